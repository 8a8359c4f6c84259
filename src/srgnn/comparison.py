"""The simple baselines that every table of results shows beside the model."""

from collections.abc import Sequence

from srgnn.baselines import BASELINES
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData
from srgnn.evaluation import evaluate


def evaluate_baselines(data: SessionData, k: Sequence[int]) -> dict[str, dict[str, float]]:
    """The test metrics of every baseline as fractions, keyed by the name of the baseline."""
    graphs = SessionGraphs(data.test, data.num_items)
    return {
        name: evaluate(baseline(data.train, data.num_items), graphs, k, name) for name, baseline in BASELINES.items()
    }
