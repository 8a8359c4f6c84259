"""The simple baselines that every table of results shows beside the model."""

from collections.abc import Sequence

from srgnn.baselines import BASELINES
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData
from srgnn.evaluation import Measurement, measure


def measure_baselines(data: SessionData, k: Sequence[int]) -> dict[str, Measurement]:
    """Tests every baseline; the keys are their names."""
    graphs, clicks = SessionGraphs(data.test, data.num_items), data.train_clicks
    return {
        name: measure(baseline(data.train, data.num_items), graphs, clicks, k, name)
        for name, baseline in BASELINES.items()
    }
