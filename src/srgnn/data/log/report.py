"""The report of a preparation: the size of the log after every step, and warnings about what was found in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw

from srgnn.data.log.engines import Frame, Tables


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
    """The step after a rule that left these clicks."""
    num_clicks = tables.collect(clicks.select(nw.len())).item()
    return Step(rule, num_clicks, count_distinct(tables, clicks, "session"), count_distinct(tables, clicks, "item"))


def count_distinct(tables: Tables, frame: Frame, name: str) -> int:
    """The number of distinct values of a column that are not null."""
    # Not n_unique(): DuckDB keeps the values of a count in memory, whatever its limit.
    values = frame.filter(~nw.col(name).is_null()).select(name).unique()
    return int(tables.collect(values.select(nw.len())).item())


def in_words(steps: Sequence[Step]) -> str:
    """The steps in one line, for an error message."""
    return "; ".join(f"{step.rule}: {step.clicks:,} clicks, {step.sessions:,} sessions" for step in steps)
