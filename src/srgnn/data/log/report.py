"""The report of a preparation: what every step left of the log."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from srgnn.data.log.clicks import Clicks


@dataclass(frozen=True)
class Step:
    """One row of the report: the counts after a rule; `sessions` is None while the visits are not cut yet."""

    rule: str
    clicks: int
    sessions: int | None
    items: int


def count(rule: str, *parts: Clicks) -> Step:
    """The step after a rule that left these parts of the log."""
    items = pl.concat([pl.Series(part.items).unique() for part in parts]).n_unique()
    return Step(rule, sum(len(part.items) for part in parts), sum(len(part) for part in parts), items)


def in_words(steps: Sequence[Step]) -> str:
    """The steps in one line, for a sentence about what they did not leave."""
    return "; ".join(f"{step.rule}: {step.clicks:,} clicks, {step.sessions:,} sessions" for step in steps)
