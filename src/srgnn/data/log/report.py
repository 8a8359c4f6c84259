"""The report of a preparation: the size of the log after every step."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from srgnn.data.log.clicks import Clicks


@dataclass(frozen=True)
class Step:
    """One row of the report: the counts after a rule; `sessions` is None until the visits are cut."""

    rule: str
    clicks: int
    sessions: int | None
    items: int


def count(rule: str, *parts: Clicks) -> Step:
    """The step after a rule that left these parts of the log."""
    items = pl.concat([pl.Series(part.items).unique() for part in parts]).n_unique()
    return Step(rule, sum(len(part.items) for part in parts), sum(len(part) for part in parts), items)


def in_words(steps: Sequence[Step]) -> str:
    """The steps in one line, for an error message."""
    return "; ".join(f"{step.rule}: {step.clicks:,} clicks, {step.sessions:,} sessions" for step in steps)
