"""Formats of times: the one that a log is written in, or an error that says which one it may be."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.times import (
    ALL,
    DAY,
    GIVEN,
    SECOND,
    UNITS,
    WEB,
    TimeFormat,
    gives_zone,
    plausible,
    stamp,
)
from srgnn.data.log.raw.text import IN_QUOTES, SINGLE_QUOTE
from srgnn.errors import ArgumentError, UserError, typed

# Formats that can be read in one way only, so that they are detected. %#z reads Z as well: Java writes it for an offset
# of zero, so that a log from London has Z in winter and +01:00 in summer.
FORMATS = (
    *("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"),
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f UTC", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"),
    *("%Y/%m/%d %H:%M:%S%.f", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y.%m.%d %H:%M:%S%.f", "%Y.%m.%d"),
    *("%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d%H%M%S%3f", "%Y%m%d %H:%M:%S", "%Y%m%dT%H%M%S"),
    *("%Y%m%dT%H%M%S%#z", "%Y-%m-%dT%H:%M%#z"),
    *("%Y-%m-%d %H:%M:%S%.f GMT", "%Y-%m-%d %H:%M:%S%.f %z"),  # the last one of Go
    *("%Y-%m-%d %H:%M:%S,%3f", "%Y-%m-%dT%H:%M:%S,%3f", "%Y-%m-%d %H:%M:%S,%6f"),  # decimal commas, as Python logs them
    *("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d-%H.%M.%S%.f"),  # the last one of DB2
    *("%d/%b/%Y:%H:%M:%S %z", "[%d/%b/%Y:%H:%M:%S %z]"),  # web servers
    *("%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S UTC", "%a, %d %b %Y %H:%M:%S %z"),  # mail and HTTP
    *("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S UTC %Y", "%a %b %d %H:%M:%S %z %Y"),  # C, date, Twitter
    "%a %b %d %Y %H:%M:%S GMT%z",  # JavaScript
    *(f"{date}{time}" for date in ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y")
      for time in ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", ", %I:%M:%S %p")),
)  # fmt: skip
# Dates that can be read in several ways, and are not: an error names those that fit.
DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d"),
    *("%d.%m.%y", "%y.%m.%d", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%d-%b-%y", "%y-%b-%d"),
)
CLOCKS = (
    *("", " %H:%M", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S%.f", ", %I:%M %p"),
    *(", %I:%M:%S %p", "T%H:%M:%S%.f", " %I.%M.%S%.f %p", " %H.%M.%S", ":%H:%M:%S"),
)
FEW = 100  # values that tell times from lists
SIGNS = r"\d[.:]\d|\pL"  # what every time with spaces or commas in it has
CALENDAR = (-2_208_988_800_000_000, 7_258_118_400_000_000)  # 1900 to 2200: numbers beyond have another unit
TICKS = 662_688_000_000_000  # 1991: as ns since 1970, ticks of .NET from the years 2001 to 2052 are before it
NAMED_ZONE = r"\d{2}:\d{2}(:\d{2})?([.,]\d+)? \(?[A-Z]{3,5}\)?( \d{4})?$"  # as `date` and Java write them
COMPACT = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])?(\.0+)?$"  # 2014040110, or as a float
THOUSANDS = r"^\s*[1-9]\d{0,2}([,. '\x{a0}\x{202f}]\d{3}){2,}\s*$"  # not 12.345, which may be seconds
DECIMAL_COMMA = r"^\s*\d+,\d+\s*$"
TIME_OF_DAY = r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?$"


@dataclass(frozen=True)
class Epoch:
    """A way to number moments that is not read: it would be mistaken for another one.

    Args:
        words: What such numbers are.
        unit: Their unit in µs.
        offset: The µs from their beginning to 1970.
        is_small: Whether they may be seconds since the beginning of the log as well.
    """

    words: str
    unit: float
    offset: int
    is_small: bool = False

    def first(self, values: pl.Series) -> int | None:
        """The first value in µs since 1970, if all values are times from 1990 to next year; else None."""
        numbers = values.cast(pl.String).cast(pl.Float64, strict=False)
        times = numbers * self.unit - self.offset
        return int(times[0]) if len(times) and times.is_between(*plausible()).fill_null(False).all() else None


EPOCHS = (
    Epoch("days since 1900, as spreadsheets store dates", DAY, 25_569 * DAY, is_small=True),
    Epoch("days since 1970", DAY, 0, is_small=True),
    Epoch("hours since 1970", 3600 * SECOND, 0, is_small=True),
    Epoch("minutes since 1970", 60 * SECOND, 0, is_small=True),
    Epoch("Julian days", DAY, round(2_440_587.5 * DAY), is_small=True),
    Epoch("ticks of 100 ns since the year 1, as .NET counts them", 0.1, 62_135_596_800 * SECOND),
    Epoch("units of 100 ns since 1601, as Windows counts them", 0.1, 11_644_473_600 * SECOND),
    Epoch("µs since 1601, as Chrome counts them", 1, 11_644_473_600 * SECOND),
    Epoch("seconds since 1904, as old Macs count them", SECOND, 2_082_844_800 * SECOND),
)


def find_format(sample: pl.Series, time_format: str | None = None, time_zone: str = "UTC") -> TimeFormat:
    """Finds out how the times of a column are written.

    Args:
        sample: First values of the column, with its name.
        time_format: s, ms, us or ns since 1970, or a strftime format; None detects the one that reads most of the
            sample as times from 1990 to next year; times outside these years are then null.
        time_zone: The time zone of times that do not give one.

    Raises:
        ArgumentError: for an unknown format or zone.
        UserError: if no known format reads any of the sample.
    """
    _check_zone(time_zone)
    if sample.dtype in (pl.Time, pl.Duration):
        raise UserError(
            f"The column {shown(sample.name)} holds {sample.dtype}, which is no moment: name another with "
            "columns.time=NAME.",
            "columns.time",
        )
    if sample.dtype in (pl.Float16, pl.Float32):
        raise UserError(
            f"The column {shown(sample.name)} holds {sample.dtype}, too short for a time: as seconds, its values are "
            "minutes apart; write them as 64-bit numbers or datetimes."
        )
    if time_format is None:
        name, limits = detect(sample, plausible()), plausible()
    else:
        _check_format(time_format)
        is_unit = time_format in UNITS or sample.dtype.is_temporal()
        limits = ALL if is_unit else GIVEN
        # A unit is taken as it is; its other values are reported with their lines.
        name = time_format if is_unit else _detect(sample, limits, [time_format])
    if name is None:
        raise _unreadable(sample, time_format)
    return TimeFormat(sample.name, sample.dtype, name, time_zone, limits)


def detect(sample: pl.Series, limits: tuple[int, int]) -> str | None:
    """The first format that reads most of a sample as times within the limits, in µs since 1970; None if none does.

    The limits tell the units apart, and 7/4/2014 from the year 7.
    """
    return _detect(sample, limits, [*UNITS, *FORMATS])


def guesses(sample: pl.Series) -> list[str]:
    """The formats, of those that can be read in several ways, that read most of a sample; empty if none does."""
    counts = {name: _count(sample, name, plausible()) for name in (date + time for date in DATES for time in CLOCKS)}
    most = max(counts.values())
    return [name for name, count in counts.items() if count == most] if most else []


def are_times(sample: pl.Series) -> bool:
    """Whether most values of a column of text, such as `Apr 1, 2014 08:00`, are one time each, in any known format."""
    sample = sample.drop_nulls().head(FEW)
    if not sample.str.contains(SIGNS).any():
        return False
    names = (*FORMATS, *(date + time for date in DATES for time in CLOCKS))
    return any(2 * _count(sample, name, CALENDAR) > len(sample) for name in names)


def _detect(sample: pl.Series, limits: tuple[int, int], names: Iterable[str]) -> str | None:
    sample = sample.drop_nulls()
    if sample.dtype.is_temporal():
        return "us" if not len(sample) or _count(sample, "us", limits) else None
    best, most = None, 0
    for name in names:
        count = _count(sample, name, limits)
        if name in UNITS and len(sample) and 2 * count >= len(sample):
            return name  # numbers of another unit become null
        if name not in UNITS and (count > most or (best is None and not len(sample))):
            best, most = name, count
        if count == len(sample) > 0:
            break
    return best


def _count(sample: pl.Series, name: str, limits: tuple[int, int]) -> int:
    """The number of values that a format reads."""
    if name == "ns" and limits != ALL:
        limits = (max(limits[0], TICKS), limits[1])
    reader = TimeFormat(sample.name, sample.dtype, name, "UTC", limits).reader
    return int(sample.to_frame().select(reader.is_not_null().sum()).item())


def _check_format(time_format: str) -> None:
    if time_format in UNITS:
        return
    for pattern, expected in (
        ("%[Zs]", "%z instead of %Z, whose names are ambiguous, and s instead of %s"),
        ("%f", "%.f for the fraction of a second with its point, or %3f for milliseconds, instead of %f"),
    ):
        if re.search(pattern, time_format):
            raise ArgumentError("time_format", time_format, expected)
    try:
        gives_zone(time_format)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError("time_format", time_format, f"s, ms, us, ns or a strftime format ({reason})") from error


def _check_zone(time_zone: str) -> None:
    try:
        pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(time_zone))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise ArgumentError("time_zone", time_zone, "a name such as UTC or Europe/Berlin") from error


def _unreadable(sample: pl.Series, time_format: str | None) -> UserError:
    values = sample.drop_nulls()
    column, first = f"The times in the column {shown(sample.name)}", repr(str(values[0]))
    if values.cast(pl.String).str.contains(TIME_OF_DAY).all():
        text = f"{column}, such as {first}, have no date: write date and time into one column, and name it with"
        return UserError(f"{text} columns.time=NAME.", "columns.time")
    if values.cast(pl.String).str.contains(IN_QUOTES).all():
        return UserError(
            f"{column}, such as {first}, are in single quotes: read a text file without them with "
            f"quote={SINGLE_QUOTE}; in files of other kinds, write the times without them.",
            "quote",
        )
    written = values.cast(pl.String)
    if time_format is None and (written.str.contains(NAMED_ZONE) & ~written.str.contains("UTC|GMT")).all():
        return UserError(
            f"{column}, such as {first}, give their zone by a name that is ambiguous: write its offset instead of the "
            "name, such as +0200."
        )
    if time_format is None and written.str.contains(COMPACT).all():
        return UserError(
            f"{column}, such as {first}, look like dates without signs between their parts: write them like 2014-04-01 "
            "10:00:00."
        )
    if written.str.contains(THOUSANDS).all():
        return UserError(f"{column}, such as {first}, are numbers with signs between the thousands: leave these out.")
    if written.str.contains(DECIMAL_COMMA).all():
        return UserError(f"{column}, such as {first}, are numbers with a decimal comma: write a point instead of it.")
    for epoch in EPOCHS if time_format is None and not sample.dtype.is_temporal() else ():
        time = epoch.first(values)
        if time is not None:
            text = f"{column}, such as {first}, look like {epoch.words}: write them as dates, here {stamp(time)}"
            if epoch.is_small:
                text += ", or, if they are seconds, take them as they are with time_format=s"
            return UserError(f"{text}.", *(["time_format"] if epoch.is_small else []))
    likely = detect(values, plausible()) if time_format is not None else None
    name, limits = None, ALL if sample.dtype.is_temporal() else GIVEN
    if time_format is None:
        name = _detect(values, CALENDAR, UNITS) or _detect(values, limits, FORMATS)
    general = "time_format=s, ms, us, ns or a strftime format like '%d.%m.%Y %H:%M'"
    general += ", or write them like 2014-04-01 10:00:00"
    if name is not None:
        frame = values.to_frame().select(TimeFormat(sample.name, sample.dtype, name, "UTC", limits).reader)
        place = frame.to_series().is_not_null().arg_max() or 0
        time = frame.item(place, 0)
        when = f"{'before 1990' if time < WEB else 'in the future'}, {stamp(time)} by the format {name}"
        text = (
            f"{column}, such as {str(values[place])!r}, are {when}: take them as they are with "
            f"time_format={typed(name)}, or name their format with {general}"
        )
    else:
        by = f" with time_format={typed(time_format)}" if time_format else ""
        fitting = [likely] if likely is not None else guesses(values)
        remedy = " or ".join(f"time_format={typed(name)}" for name in fitting) or general
        text = f"{column} cannot be read{by}, such as {first}: name their format with {remedy}"
    return UserError(f"{text}.", "time_format")
