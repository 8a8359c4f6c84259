"""Rows -> clicks: leaves out rows that are not clicks, reports or skips unreadable ones, and counts every step."""

from dataclasses import replace

import polars as pl

from srgnn.data.log.faults import bad_rows, broken_lines, no_clicks
from srgnn.data.log.layout import LogFormat
from srgnn.data.log.read import Rows
from srgnn.data.log.report import Step
from srgnn.errors import UserError


def check(rows: Rows, form: LogFormat, skip: bool) -> tuple[pl.LazyFrame, list[Step]]:
    """Returns the clicks of a log, and the report of the steps that led to them.

    Args:
        rows: The rows of the log.
        form: The user's description of the log.
        skip: Whether to leave unreadable rows out instead of raising an error.

    Raises:
        UserError: for unreadable rows, or if no click is left.
    """
    table, layout = rows.table, rows.layout
    first = _count("rows of the log", table, form)
    steps = [replace(first, clicks=first.clicks + len(rows.broken))]
    if not steps[0].clicks:
        raise UserError(f"{layout.files.name} has no rows: expected one row per click.")
    if layout.is_click is not None:
        table = table.filter("is_click").drop("is_click")
        steps.append(_count("rows that are clicks (events, where)", table, form))
        if not steps[-1].clicks:
            raise no_clicks(layout, form)
    is_bad = pl.any_horizontal(pl.col([*layout.readers]).is_null())
    number_of_bad = table.select(is_bad.sum()).collect(engine="streaming").item()
    if number_of_bad and not skip:
        raise bad_rows(layout, form, table, skip)
    if not number_of_bad and not rows.broken:
        return table, steps
    readable = table.filter(~is_bad)
    steps.append(_count("readable rows (on_error=skip)", readable, form))
    if not steps[-1].clicks:
        raise bad_rows(layout, form, table, skip) if number_of_bad else broken_lines(layout.files, rows.broken, skip)
    return readable, steps


def _count(rule: str, table: pl.LazyFrame, form: LogFormat) -> Step:
    counts = {
        "clicks": pl.len(),
        "sessions": pl.col("key").drop_nulls().n_unique(),
        "items": pl.col("item").drop_nulls().n_unique(),
    }
    step = Step(rule, **table.select(**counts).collect(engine="streaming").row(0, named=True))
    return step if form.session_gap is None else replace(step, sessions=None)  # visits are cut later
