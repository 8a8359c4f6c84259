"""Why a value of a log is missing or unreadable, and what to do about it."""

from dataclasses import dataclass, replace

import polars as pl

from srgnn.data.log.arguments import listed
from srgnn.data.log.columns import times
from srgnn.data.log.columns.formats import detect, guesses
from srgnn.data.log.columns.ids import BLANKS, RECORD
from srgnn.data.log.columns.layout import Layout, LogFormat
from srgnn.data.log.raw import files as raw
from srgnn.data.log.raw.paths import JSON
from srgnn.errors import typed


@dataclass(frozen=True)
class Cause:
    """Why a value is null for its reader.

    Args:
        condition: The expression that is true where this is the cause.
        words: What is said about such a value, after it.
        remedy: What the user can do, besides fixing the value or leaving its row out.
        argument: Name of the argument that the remedy mentions.
    """

    condition: pl.Expr
    words: str = ""
    remedy: str = ""
    argument: str = ""


def find_causes(layout: Layout, form: LogFormat, role: str) -> list[Cause]:
    """The causes for null values of a role; the first whose condition is true applies.

    Args:
        layout: The layout of the log.
        form: The user's description of it.
        role: The role of the column: `key`, `item`, `time` or `order`.
    """
    column = pl.col(layout.names[role])
    words = [word.lower() for word in listed(form.missing)]
    text = as_text(layout, layout.names[role]).str.strip_chars(BLANKS)
    causes = [Cause((text == "") | text.is_null())]
    if role in ("key", "item"):
        dtype = layout.frame.collect_schema()[layout.names[role]]
        word = text.str.to_lowercase().is_in(words) & (not dtype.is_float())
        causes.append(Cause(word, remedy='keep such words as ids with "missing=[]"', argument="missing"))
        if layout.files.kind in JSON and dtype == pl.String:
            is_record = text.str.contains(RECORD)
            causes.append(Cause(is_record & text.str.starts_with("{"), "which is a record, not a single value"))
            causes.append(Cause(is_record, "which is a list, not a single value"))
    elif role == "time":
        causes.append(Cause(text.str.to_lowercase().is_in(words)))
        causes += _causes_of_times(layout, column)
    else:
        remedy = "name a column of numbers with columns.order=NAME"
        causes.append(Cause(pl.lit(True), "which is no number", remedy, "columns.order"))
    return [*causes, Cause(pl.lit(True))]


def as_text(layout: Layout, name: str) -> pl.Expr:
    """The expression for the values of a column as an error message shows them; null where there are none."""
    is_binary = layout.frame.collect_schema()[name] == pl.Binary
    return pl.col(name).bin.encode("hex") if is_binary else pl.col(name).cast(pl.String)


def _causes_of_times(layout: Layout, column: pl.Expr) -> list[Cause]:
    time = layout.time
    anytime, anywhere = replace(time, limits=times.ALL).reader, replace(time, zone="UTC").reader
    take = f"take such times as they are with time_format={typed(time.name)}"
    early = "which is before 1990" if time.limits[0] == times.WEB else "whose year has two digits"
    causes = [
        Cause(anytime > time.limits[1], "which is in the future", take, "time_format"),
        Cause(anytime < time.limits[0], early, *((take, "time_format") if time.limits[0] == times.WEB else ())),
        Cause(
            anywhere.is_not_null(),
            f"which does not exist with time_zone={time.zone}, whose clocks skip that hour",
            "name the zone of these times, such as time_zone=UTC",
            "time_zone",
        ),
    ]
    others = _other_formats(layout, column)
    if others:
        names = " or ".join(other.name for other in others)
        words = f"in the format {names} instead of {time.name}{_first_time(layout)}"
        is_other = pl.any_horizontal(other.reader.is_not_null() for other in others)
        causes.append(Cause(is_other, words, "write all times in one format"))
    return causes


def _other_formats(layout: Layout, column: pl.Expr) -> list[times.TimeFormat]:
    """The format of most of the times that the layout's format does not read; several where they cannot be told."""
    is_unread = replace(layout.time, zone="UTC", limits=times.ALL).reader.is_null() & column.is_not_null()
    unread = layout.frame.filter(is_unread).select(column).head(raw.SAMPLE).collect(engine="streaming").to_series()
    if layout.time.dtype.is_temporal() or not len(unread):
        return []
    name = detect(unread, times.plausible())
    names = guesses(unread) if name is None else [name]
    return [replace(layout.time, name=name, limits=times.plausible()) for name in names]


def _first_time(layout: Layout) -> str:
    """An example of the times that the layout reads, for a message."""
    name = layout.names["time"]
    times_read = layout.frame.filter(layout.readers["time"].is_not_null()).select(as_text(layout, name))
    first = times_read.head(1).collect(engine="streaming").to_series()
    return f" as in {first[0]!r}" if len(first) else ""
