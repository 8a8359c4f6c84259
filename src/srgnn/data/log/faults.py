"""Errors about the rows of a log: how many rows are affected, and the first three with their lines."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from srgnn.data.log.broken import BrokenLine
from srgnn.data.log.files import JSON, TEXT, RawFiles
from srgnn.data.log.layout import Layout, LogFormat, unpacked
from srgnn.errors import UserError

EXAMPLES = 3


def broken_lines(files: RawFiles, broken: Sequence[BrokenLine], skip: bool) -> UserError:
    """The error for lines that are not rows at all."""
    what = "lines that are not JSON objects" if files.kind in JSON else "lines with more fields than the header"
    examples = ", ".join(f"{line.path.name} line {line.number}: {line.text[:60]!r}" for line in broken[:EXAMPLES])
    return UserError(f"{files.name} has {what}: {len(broken):,} ({examples}). Fix them{_or_skip(skip)}.", "on_error")


def bad_rows(layout: Layout, form: LogFormat, table: pl.LazyFrame, skip: bool) -> UserError:
    """The error for rows without session, item or readable time, which are null in `table`."""
    faults = {
        "key": "no session" if form.session_gap is None else "no user",
        "item": "no item",
        "time": "a time that cannot be read",
        "order": "no number to order by",
    }
    counts = table.select(pl.len(), pl.col([*layout.readers]).null_count()).collect(engine="streaming")
    rows, *nulls = counts.row(0)
    kinds = [
        f"{number:,} {'has' if number == 1 else 'have'} {faults[role]} ({_examples(layout, form, role)})"
        for role, number in zip(layout.readers, nulls, strict=True)
        if number
    ]
    return UserError(
        f"{layout.files.name}: of {rows:,} rows, {'; '.join(kinds)}. "
        f"Fix them, or give another time format with time_format=FORMAT{_or_skip(skip)}.",
        "time_format",
        "on_error",
    )


def no_clicks(layout: Layout, form: LogFormat) -> UserError:
    """The error for a log without any row that is a click."""
    message = f"No row of {layout.files.name} is a click under events={form.events} and where={form.where}"
    if form.events:
        event = pl.col(layout.names["event"]).cast(pl.String)
        found = layout.frame.select(event.unique()).head(10).collect(engine="streaming").to_series().sort()
        message += "; the log has the events " + ", ".join(map(str, found))
    return UserError(f"{message}.", "events", "where")


def _or_skip(skip: bool) -> str:
    return "" if skip else ", or leave them out with on_error=skip"


def _examples(layout: Layout, form: LogFormat, role: str) -> str:
    """The first rows whose value for a role cannot be read, as `line 7: 'yesterday'`."""
    examples: list[str] = []
    files, name = layout.files, layout.names[role]
    unit = "click" if form.nested else "line" if files.kind in TEXT else "row"
    is_bad = layout.readers[role].is_null() & (True if layout.is_click is None else layout.is_click)
    for path, known_path in zip(files.paths, files.named or files.paths, strict=True):
        part = replace(files, paths=(path,))
        prefix = "" if len(files.paths) == 1 else f"{known_path.name} "
        if form.nested is None and name not in part.rows().collect_schema():
            examples.append(f"{prefix}has no column {name}")
            continue
        if form.nested is None:
            frame = part.rows(numbered=True)
        else:
            frame = unpacked(part.rows(), form.nested).with_row_index("_line", 1)
        bad = frame.filter(is_bad).select("_line", pl.col(name).cast(pl.String)).head(EXAMPLES)
        for line, text in bad.collect(engine="streaming").iter_rows():
            examples.append(f"{prefix}{unit} {line}: {'nothing' if text is None else repr(text)}")
    return ", ".join(examples[:EXAMPLES])
