"""Significance of the difference between two models that were tested on the same prefixes, by a paired bootstrap.

The ranks of both models are resampled together, prefix by prefix, so what makes a prefix hard for both does not count
as noise. Sources: Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapters 13 and 15; Sakai,
*Evaluating Evaluation Metrics based on the Bootstrap* (SIGIR 2006), for its use in retrieval; Holm, *A Simple
Sequentially Rejective Multiple Test Procedure* (1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srgnn.errors import check_int

LEVEL = 0.95  # of the intervals
BINS = 256  # steps of the values' range: the rounding is far below the noise of 10,000 draws
BLOCK = 10_000  # draws at a time: 20 MB of counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean, and the bounds of its confidence interval at :data:`LEVEL`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """A mean difference with its interval, and the probability of one as large if both models were equally good.

    Args:
        p: Two-sided p-value of this comparison alone.
    """

    p: float


def gains(ranks: NDArray[np.integer], metric: str) -> Floats:
    """What every prefix adds to a metric, [P]: with several seeds, the mean over the seeds.

    Args:
        ranks: 1-based ranks of the targets, [seeds, P].
        metric: `recall@k` or `mrr@k`, for any k.
    """
    name, _, cut = metric.partition("@")
    rank = np.arange(1, int(cut) + 2, dtype=np.float64)
    value = {"recall": np.ones_like(rank), "mrr": 1 / rank}[name]
    value[-1] = 0  # all ranks beyond the cut-off
    total = np.zeros(ranks.shape[1])
    for row in ranks:  # one at a time: a test may have millions of prefixes
        total += value[np.minimum(row, len(rank)) - 1]
    return total / len(ranks)


def by_session(values: Floats, session: NDArray[np.integer]) -> Floats:
    r"""What every session adds to the mean over all prefixes, [S]; the mean of the result is that of `values`.

    Resampling whole sessions keeps the prefixes of one session together. The mean over the prefixes of a resample is
    a ratio of two sums over sessions, which is linearised at the sample:

    .. math:: z_s = \bar{v} + \frac{S}{P} \sum_{i \in s} (v_i - \bar{v})

    Args:
        values: One value per prefix, [P].
        session: Number of the session of every prefix, [P].
    """
    mean = values.mean()
    index = np.unique(session, return_inverse=True)[1]
    sums = np.bincount(index, values - mean)
    return np.asarray(mean + sums * (len(sums) / len(values)))


def bootstrap_means(values: Floats, draws: int = 10_000, seed: int = 0) -> Floats:
    """The means of `draws` resamples with replacement, [draws].

    The mean of a resample depends only on how often it holds each distinct value, so these counts are drawn, from a
    multinomial distribution: time and memory do not grow with the number of values. Values are told apart by
    :data:`BINS` steps of their range, and each step counts with its own mean.

    Args:
        values: The sample, [n].
        draws: Number of resamples.
        seed: Seed of the draws.
    """
    check_int("draws", draws, 1)
    check_int("seed", seed, 0)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.full(draws, low)
    place = ((values - low) * ((BINS - 1) / (high - low))).round().astype(np.int64)
    counts = np.bincount(place, minlength=BINS)
    present = np.argsort(-counts)[: np.count_nonzero(counts)]  # most frequent first: the rest of a draw is soon empty
    means = np.bincount(place, values, minlength=BINS)[present] / counts[present]
    share = counts[present] / len(values)
    generator = np.random.default_rng(seed)
    sizes = [min(BLOCK, draws - first) for first in range(0, draws, BLOCK)]
    return np.concatenate([generator.multinomial(len(values), share, size) @ means for size in sizes]) / len(values)


def mean_interval(values: Floats, draws: int = 10_000, seed: int = 0) -> Interval:
    """The mean of a sample with its percentile interval.

    Args:
        values: One value per prefix, from :func:`gains`, or per session, from :func:`by_session`.
        draws: Number of resamples.
        seed: Seed of the draws.
    """
    low, high = np.quantile(bootstrap_means(values, draws, seed), _tails())
    return Interval(float(values.mean()), float(low), float(high))


def paired_bootstrap(differences: Floats, draws: int = 10_000, seed: int = 0) -> Difference:
    """The mean difference of two models with its percentile interval and two-sided p-value.

    The p-value is the smallest level at which the percentile interval excludes zero, and at least 2 / (draws + 1).

    Args:
        differences: Of one model's values and the other's, for the same prefixes, [P], or by session, [S].
        draws: Number of resamples.
        seed: Seed of the draws.
    """
    means = bootstrap_means(differences, draws, seed)
    tail = int(min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0)))
    low, high = np.quantile(means, _tails())
    p = min(1.0, 2 * (1 + tail) / (draws + 1))
    return Difference(float(differences.mean()), float(low), float(high), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for their number: the chance that any of them is below a level by luck is at most that level.

    The smallest of m p-values is multiplied by m, the next one by m - 1 and so on; none becomes smaller than the one
    before it, or larger than 1.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def _tails() -> tuple[float, float]:
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2
