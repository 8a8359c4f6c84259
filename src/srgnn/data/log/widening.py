"""A search for values in later rows that do not fit the layout, which the first rows decided."""

import narwhals as nw
import polars as pl

from srgnn.data.log.columns.ids import exact_limit
from srgnn.data.log.columns.layout import Layout
from srgnn.data.log.columns.names import shown
from srgnn.data.log.engines import Frame, Tables
from srgnn.errors import UserError


def find_wide(layout: Layout, tables: Tables, table: Frame) -> set[str]:
    """The roles whose later values contradict the layout, such as text among integers: read them in their wide form.

    Args:
        layout: The layout that the log was read with.
        tables: The tables of the engine.
        table: The rows of the log, read with the layout; null where a value is missing or contradicts it.

    Raises:
        UserError: for ids that are floats too large to be exact.
    """
    nulls = tables.collect(table.select(nw.col(*layout.wide).is_null().any())).row(0, named=True)
    suspects = [role for role in nulls if nulls[role]]
    for role in suspects:
        if role != "order":
            _check_floats(layout, role)
    contradicts = {role: layout.readers[role].is_null() & layout.wide[role].is_not_null() for role in suspects}
    return {role for role in suspects if _any(layout, contradicts[role])}


def _check_floats(layout: Layout, role: str) -> None:
    name = layout.names[role]
    dtype = layout.frame.collect_schema()[name]
    if dtype.is_float() and _any(layout, pl.col(name).fill_nan(None).abs() >= exact_limit(dtype)):
        raise UserError(
            f"{layout.files.name}: the column {shown(name)} has ids that are floats too large to be exact, "
            f"{exact_limit(dtype):,} or more: write them as integers or as text."
        )


def _any(layout: Layout, condition: pl.Expr) -> bool:
    return bool(layout.frame.filter(condition).head(1).collect(engine="streaming").height)
