"""Rows -> clicks: leaves out rows that are not clicks, reports or skips unreadable ones, and counts every step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import narwhals as nw
import polars as pl

from srgnn.data.log.columns.layout import Layout, LogFormat
from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.oddities import Oddity
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.faults import bad_rows, no_clicks, other_header
from srgnn.data.log.mixed_times import mixed_times
from srgnn.data.log.odd_ids import odd_ids
from srgnn.data.log.raw.paths import TEXT
from srgnn.data.log.read import Rows
from srgnn.data.log.report import Notice, Step, count_distinct, count_rows
from srgnn.errors import UserError


@dataclass(frozen=True)
class Checked:
    """The readable clicks of a log.

    Args:
        table: The columns `row`, `key`, `item`, `time` and, where used, `order` and `is_test`, without nulls.
        steps: The report of the steps that led to them.
        notices: Warnings about their values.
        shares_times: Whether the values of a list share the time of their row, so that equal clicks are no duplicates.
        lists: The log's column that seems to hold a list in each row, which is not unpacked; None if there is none.
    """

    table: Frame
    steps: list[Step]
    notices: Sequence[Notice] = ()
    shares_times: bool = False
    lists: str | None = None


def check(rows: Rows, form: LogFormat, skip: bool, tables: Tables) -> Checked:
    """Returns the readable clicks of a log.

    Args:
        rows: The rows of the log.
        form: The user's description of the log.
        skip: Whether to leave unreadable rows out instead of raising an error.
        tables: The tables of the engine.

    Raises:
        UserError: for unreadable rows, or if no click is left.
    """
    table, layout = rows.table, rows.layout
    first = _count("rows of the log", tables, table, form)
    steps = [replace(first, clicks=first.clicks + len(rows.broken))]
    if not steps[0].clicks:
        raise UserError(f"{layout.files.name} has no rows: expected one row per click.")
    if layout.is_click is not None:
        table = table.filter(nw.col("is_click"))
        steps.append(_count("rows that are clicks (events, where)", tables, table, form))
        if not steps[-1].clicks:
            raise no_clicks(layout, form)
    notices = [*rows.notices, *_oddities(tables, table, layout), *odd_ids(tables, table, layout, form, steps[-1], skip)]
    table = table.select("row", *layout.readers, *(["is_test"] if layout.files.num_test else []))
    is_bad = nw.any_horizontal(*(nw.col(role).is_null() for role in layout.readers), ignore_nulls=True)
    bad, readable = table.filter(is_bad), table.filter(~is_bad)
    number_of_bad = count_rows(tables, bad)
    of_times = mixed_times(layout, form) if number_of_bad else None
    if of_times is not None:  # also where rows are skipped: it would be a whole file
        raise of_times
    other = other_header(layout, form) if number_of_bad and layout.files.kind in TEXT else None
    if other is not None:  # also where rows are skipped: the rows below it have other columns
        raise other
    if number_of_bad and not skip:
        raise bad_rows(layout, form, tables, table, number_of_bad == steps[-1].clicks)
    if not number_of_bad and not rows.broken:
        return Checked(table, steps, notices, layout.shares_times, layout.lists)
    steps.append(_count("readable rows (on_error=skip)", tables, readable, form))
    if not steps[-1].clicks:
        if number_of_bad:
            raise bad_rows(layout, form, tables, table, skip)
        raise layout.files.broken_lines(rows.broken, skip)
    return Checked(readable, steps, notices, layout.shares_times, layout.lists)


def _count(rule: str, tables: Tables, table: Frame, form: LogFormat) -> Step:
    # Visits are cut later.
    sessions = None if form.session_gap is not None else count_distinct(tables, table, "key")
    return Step(rule, count_rows(tables, table), sessions, count_distinct(tables, table, "item"))


def _oddities(tables: Tables, table: Frame, layout: Layout) -> list[Notice]:
    """The warnings about values that are read in another way than they are written, with the number of rows."""
    if not layout.oddities:
        return []
    sums = {name: nw.col(name).cast(nw.Int64).sum() for name in layout.oddities}
    counts = tables.collect(table.select(**sums)).row(0, named=True)
    return [
        Notice(f"{oddity.found}, such as {_examples(layout, oddity)}, {oddity.done} (rows: {int(counts[name]):,}).")
        for name, oddity in layout.oddities.items()
        if counts[name]
    ]


def _examples(layout: Layout, oddity: Oddity) -> str:
    """The first odd value of each column, as `' lamp 10' in item`."""
    rows = layout.frame if layout.is_click is None else layout.frame.filter(layout.is_click)
    examples = []
    for name, condition in oddity.conditions.items():
        value = rows.filter(condition).select(pl.col(name).cast(pl.String)).head(1).collect(engine="streaming")
        examples += [f"{text[:60]!r} in {shown(name)}" for text in value.to_series()]
    return ", ".join(examples)
