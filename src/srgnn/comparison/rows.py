"""Rows of a comparison: tested models, each with its runs over several seeds, and the differences between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from srgnn.comparison.significance import (
    Difference,
    Floats,
    Interval,
    by_session,
    gains,
    holm,
    mean_interval,
    paired_bootstrap,
)
from srgnn.errors import ArgumentError, check_choice
from srgnn.metrics import click_classes

RESAMPLED = ("prefix", "session")
FEWEST = 20  # prefixes or sessions of a class that is tested
Key = TypeVar("Key", bound=tuple[str, ...])


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
        by_clicks: The metrics by the training clicks of the target, with the number of `prefixes`; empty if unknown.
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
    by_clicks: dict[str, dict[str, float]] = field(default_factory=dict)


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
        return _mean_in([test.by_length for test in self.tests], length, metric)

    def at_clicks(self, name: str, metric: str) -> float | None:
        """The mean of a metric over the seeds for the targets of a class of clicks; None if it is unknown."""
        return _mean_in([test.by_clicks for test in self.tests], name, metric)


def _mean_in(groups: Sequence[dict[str, dict[str, float]]], name: str, metric: str) -> float | None:
    values = [each[name][metric] for each in groups if metric in each.get(name, {})]
    return mean(values) if len(values) == len(groups) else None


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
        target_clicks: Number of training clicks of the target of every prefix, [P]; None if no row knows them.
        protocol: Evaluation protocol.
        data_set: Name of the data set.
        reference: Name of the row that the others are compared with; None if nothing is compared.
        intervals: Confidence intervals by row and metric.
        differences: Differences from the reference by row and metric.
        by_clicks: Differences from the reference by row, metric at the largest cut-off, and class of clicks.
        resample: What was resampled, `prefix` or `session`.
        draws: Number of resamples.
        notes: Sentences about the rows, for below a table.
    """

    title: str
    rows: Sequence[Row]
    cutoffs: Sequence[int] = (20,)
    session: NDArray[np.integer] | None = None
    target_clicks: NDArray[np.integer] | None = None
    protocol: str = ""
    data_set: str = ""
    reference: str | None = None
    intervals: dict[tuple[str, str], Interval] = field(default_factory=dict)
    differences: dict[tuple[str, str], Compared] = field(default_factory=dict)
    by_clicks: dict[tuple[str, str, str], Compared] = field(default_factory=dict)
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
        return _prefixes([row.tests[0].by_length for row in self.rows])

    @property
    def classes(self) -> dict[str, int]:
        """The number of prefixes of each class of clicks of the target that at least one row knows."""
        return _prefixes([row.tests[0].by_clicks for row in self.rows])


def _prefixes(groups: Sequence[dict[str, dict[str, float]]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in groups:
        for name, values in each.items():
            counts.setdefault(name, int(values["prefixes"]))
    return counts


def compare(
    comparison: Comparison,
    reference: str | None = None,
    resample: Literal["prefix", "session"] | str = "prefix",
    draws: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Adds confidence intervals, and the differences of all rows from one of them, overall and by clicks of the target.

    A class of clicks with fewer than 20 prefixes, or sessions if those are resampled, is not tested: a bootstrap of so
    few is too sure of itself.

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
    classes: dict[str, NDArray[np.bool_]] = {}
    if comparison.target_clicks is not None and len(comparison.classes) > 1:
        clicks = torch.tensor(comparison.target_clicks)
        classes = {name: mask.numpy() for name, mask in click_classes(clicks)}

    def units(values: Floats, session: NDArray[np.integer]) -> Floats:
        """What is resampled: the values of prefixes, or what each session adds to their mean."""
        return by_session(values, session) if resample == "session" else values

    session = comparison.session
    intervals: dict[tuple[str, str], Interval] = {}
    found: dict[tuple[str, str], Difference] = {}
    by_clicks: dict[tuple[str, str, str], Compared] = {}
    for metric in comparison.tested:
        in_class: dict[tuple[str, str, str], Difference] = {}
        baseline = gains(first.ranks, metric)
        for row in ranked:
            assert row.ranks is not None
            values = baseline if row is first else gains(row.ranks, metric)
            intervals[row.name, metric] = mean_interval(units(values, session), draws, seed)
            if row is first:
                continue
            difference = values - baseline
            found[row.name, metric] = paired_bootstrap(units(difference, session), draws, seed)
            for name, mask in classes.items() if metric in comparison.tested[-2:] else ():
                sample = units(difference[mask], session[mask])
                if len(sample) >= FEWEST:
                    in_class[row.name, metric, name] = paired_bootstrap(sample, draws, seed)
        by_clicks |= _corrected(in_class)  # for the comparisons of one table
    return replace(
        comparison,
        reference=reference,
        intervals=intervals,
        differences=_corrected(found),
        by_clicks=by_clicks,
        resample=resample,
        draws=draws,
    )


def _corrected(found: dict[Key, Difference]) -> dict[Key, Compared]:
    """Differences with their p-values corrected for their number."""
    corrected = holm([difference.p for difference in found.values()])
    return {
        key: Compared(each.mean, each.low, each.high, each.p, p)
        for (key, each), p in zip(found.items(), corrected, strict=True)
    }
