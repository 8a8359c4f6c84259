"""Rows of a comparison: tested models, each with its runs over several seeds, and the differences between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from srgnn.comparison.significance import (
    Difference,
    Interval,
    by_session,
    gains,
    holm,
    mean_interval,
    paired_bootstrap,
)
from srgnn.errors import ArgumentError, check_choice

RESAMPLED = ("prefix", "session")


@dataclass(frozen=True)
class Test:
    """One test of one model.

    Args:
        metrics: Metrics by name, as fractions; novelty in bits.
        by_length: The same by the number of clicks of the prefix, with their number as `prefixes`; empty if unknown.
        ranks: 1-based rank of every target, [P], where ranks beyond the largest cut-off may be cut to any rank beyond
            it; None if unknown.
        seed: Seed of the training.
        folder: Folder of the run; None for a baseline.
        seconds: Duration of the run; None for a baseline.
        memory: Its peak memory in GB; None if unknown.
        resumed: Whether the run was resumed: `seconds` is then the duration of its last part.
    """

    __test__ = False  # not a class of tests

    metrics: dict[str, float]
    by_length: dict[str, dict[str, float]] = field(default_factory=dict)
    ranks: NDArray[np.integer] | None = None
    seed: int = 0
    folder: Path | None = None
    seconds: float | None = None
    memory: float | None = None
    resumed: bool = False


@dataclass(frozen=True)
class Row:
    """A model with its tests, one per seed.

    Args:
        name: Name in tables and pictures.
        tests: The tests; at least one.
        is_baseline: Whether it is one of the simple baselines.
    """

    name: str
    tests: Sequence[Test]
    is_baseline: bool = False

    @property
    def ranks(self) -> NDArray[np.integer] | None:
        """The ranks of all seeds, [seeds, P]; None if those of one are unknown."""
        known = [test.ranks for test in self.tests if test.ranks is not None]
        return np.stack(known) if len(known) == len(self.tests) else None

    def values(self, metric: str) -> list[float]:
        """The values of a metric, one per seed; empty if that of one is unknown."""
        known = [test.metrics[metric] for test in self.tests if metric in test.metrics]
        return known if len(known) == len(self.tests) else []

    def mean(self, metric: str) -> float | None:
        """The mean of a metric over the seeds; None if it is unknown."""
        values = self.values(metric)
        return mean(values) if values else None

    def deviation(self, metric: str) -> float | None:
        """The sample standard deviation of a metric over the seeds; None with one seed."""
        values = self.values(metric)
        return stdev(values) if len(values) > 1 else None

    def at_length(self, length: str, metric: str) -> float | None:
        """The mean of a metric over the seeds for the prefixes of a length; None if it is unknown."""
        values = [test.by_length[length][metric] for test in self.tests if metric in test.by_length.get(length, {})]
        return mean(values) if len(values) == len(self.tests) else None


@dataclass(frozen=True)
class Compared(Difference):
    """A difference from the reference.

    Args:
        corrected: p-value, corrected by Holm's method for all comparisons with this reference.
    """

    corrected: float


@dataclass(frozen=True)
class Comparison:
    """Rows that were tested on the same prefixes, and what :func:`compare` found about them.

    Args:
        title: Name of the data set and of the protocol.
        rows: The rows; their names are unique.
        cutoffs: Cut-offs of recall, mrr and ndcg.
        session: Number of the session of every prefix, [P]; None if no row has ranks.
        protocol: Evaluation protocol.
        data_set: Name of the data set.
        reference: Name of the row that the others are compared with; None if nothing is compared.
        intervals: Confidence intervals by row and metric.
        differences: Differences from the reference by row and metric.
        resample: What was resampled, `prefix` or `session`.
        draws: Number of resamples.
        notes: Sentences about the rows, for below a table.
    """

    title: str
    rows: Sequence[Row]
    cutoffs: Sequence[int] = (20,)
    session: NDArray[np.integer] | None = None
    protocol: str = ""
    data_set: str = ""
    reference: str | None = None
    intervals: dict[tuple[str, str], Interval] = field(default_factory=dict)
    differences: dict[tuple[str, str], Compared] = field(default_factory=dict)
    resample: str = "prefix"
    draws: int = 0
    notes: Sequence[str] = ()

    @property
    def tested(self) -> list[str]:
        """The metrics whose differences are tested."""
        return [f"{name}@{cut}" for cut in self.cutoffs for name in ("recall", "mrr")]

    @property
    def lengths(self) -> dict[str, int]:
        """The number of prefixes of each length that at least one row knows."""
        counts: dict[str, int] = {}
        for row in self.rows:
            for length, values in row.tests[0].by_length.items():
                counts.setdefault(length, int(values["prefixes"]))
        return counts


def compare(
    comparison: Comparison,
    reference: str | None = None,
    resample: Literal["prefix", "session"] | str = "prefix",
    draws: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Adds confidence intervals, and the differences of all rows from one of them.

    Args:
        comparison: The rows, and the sessions of their prefixes.
        reference: Name of a row with ranks; by default the trained model with the best mean of mrr at the largest
            cut-off.
        resample: `prefix`, or `session` to keep the prefixes of a session together, since they depend on each other.
        draws: Number of resamples.
        seed: Seed of the resamples.

    Raises:
        ArgumentError: for a reference without ranks, or a wrong value.
    """
    check_choice("resample", resample, RESAMPLED)
    ranked = [row for row in comparison.rows if row.ranks is not None]
    if reference is not None and reference not in [row.name for row in ranked]:
        raise ArgumentError("reference", reference, "the name of a row with ranks")
    if not ranked or comparison.session is None:
        return comparison
    last = comparison.tested[-1]
    if reference is None:
        candidates = [row for row in ranked if not row.is_baseline] or ranked
        reference = max(candidates, key=lambda row: gains(row.ranks, last).mean()).name  # type: ignore[arg-type]
    first = next(row for row in ranked if row.name == reference)
    assert first.ranks is not None

    intervals: dict[tuple[str, str], Interval] = {}
    found: dict[tuple[str, str], Difference] = {}
    for metric in comparison.tested:
        baseline = gains(first.ranks, metric)
        for row in ranked:
            assert row.ranks is not None
            values = baseline if row is first else gains(row.ranks, metric)
            for differs, sample in ((False, values), (True, values - baseline)):
                if differs and row is first:
                    continue
                if resample == "session":
                    sample = by_session(sample, comparison.session)
                if differs:
                    found[row.name, metric] = paired_bootstrap(sample, draws, seed)
                else:
                    intervals[row.name, metric] = mean_interval(sample, draws, seed)
    corrected = holm([difference.p for difference in found.values()])
    differences = {
        key: Compared(each.mean, each.low, each.high, each.p, p)
        for (key, each), p in zip(found.items(), corrected, strict=True)
    }
    return replace(
        comparison, reference=reference, intervals=intervals, differences=differences, resample=resample, draws=draws
    )
