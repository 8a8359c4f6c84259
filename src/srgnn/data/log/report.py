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
    ids = ("session", "item")
    distinct = {f"{name}s": nw.col(name).n_unique() for name in ids}
    nulls = {f"no_{name}": nw.col(name).is_null().any() for name in ids}  # counted as one more id, and is none
    found = tables.collect(clicks.select(clicks=nw.len(), **distinct, **nulls)).row(0, named=True)
    # Some engines count no rows as null.
    sessions, items = ((found[f"{name}s"] or 0) - (found[f"no_{name}"] or 0) for name in ids)
    return Step(rule, found["clicks"] or 0, sessions, items)


def in_words(steps: Sequence[Step]) -> str:
    """The steps in one line, for an error message."""
    return "; ".join(f"{step.rule}: {step.clicks:,} clicks, {step.sessions:,} sessions" for step in steps)
