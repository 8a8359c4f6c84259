"""The report of a preparation: the size of the log after every step, and warnings about what was found in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw
import polars as pl

from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.words import counted
from srgnn.errors import UserError


@dataclass(frozen=True)
class Step:
    """One row of the report: the counts after a rule; `sessions` is None until the visits are cut."""

    rule: str
    clicks: int
    sessions: int | None
    items: int


@dataclass(frozen=True)
class Notice:
    """Something in a log that its owner may not know, and that changes the result: a warning of the report.

    Args:
        text: One sentence: what was found, in how many rows, what was done, and the argument that changes it.
        arguments: Names of the arguments that it mentions, as in :class:`~srgnn.errors.UserError`.
    """

    text: str
    arguments: tuple[str, ...] = ()


def count(rule: str, tables: Tables, clicks: Frame) -> Step:
    """The step after a rule that left these clicks, which have the columns of :mod:`srgnn.data.log.sort`."""
    num_clicks, num_sessions = count_sessions(tables, clicks)
    return Step(rule, num_clicks, num_sessions, count_distinct(tables, clicks, "item"))


def count_sessions(tables: Tables, clicks: Frame) -> tuple[int, int]:
    """The numbers of clicks and of their sessions."""
    # A session of n clicks has n rows: far cheaper than to find the distinct sessions.
    by_length = tables.collect(clicks.group_by("length").agg(clicks=nw.len()))
    num_clicks = by_length["clicks"].cast(pl.Int64)
    return int(num_clicks.sum()), int((num_clicks // by_length["length"]).sum())


def count_rows(tables: Tables, rows: Frame) -> int:
    """The number of rows."""
    return int(tables.collect(rows.select(nw.len())).item())


def number_where(condition: nw.Expr) -> nw.Expr:
    """The expression for the number of rows for which a condition is true."""
    return condition.cast(nw.Int64).sum().cast(nw.Int64)  # DuckDB's own sums have a type that Parquet lacks


def count_distinct(tables: Tables, frame: Frame, name: str) -> int:
    """The number of distinct values of a column that are not null."""
    # Not n_unique(): DuckDB keeps the values of a count in memory, whatever its limit.
    return count_rows(tables, frame.filter(~nw.col(name).is_null()).select(name).unique())


def with_notices(error: UserError, notices: Sequence[Notice]) -> UserError:
    """An error with the warnings about the log that were found before it, one of which may be its cause."""
    if not notices:
        return error
    text = " ".join(notice.text for notice in notices)
    arguments = [argument for notice in notices for argument in notice.arguments]
    return UserError(f"{error} Before that, the log has warnings: {text}", *error.arguments, *arguments)


def in_words(steps: Sequence[Step]) -> str:
    """The steps in one line, for an error message."""
    return "; ".join(_counts(step) for step in steps)


def _counts(step: Step) -> str:
    sessions = "" if step.sessions is None else f", {counted(step.sessions, 'session')}"
    return f"{step.rule}: {counted(step.clicks, 'click')}{sessions}"
