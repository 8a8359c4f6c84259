"""The simple baselines that every table of results shows beside the model."""

from collections.abc import Iterable, Sequence

from srgnn.baselines import BASELINES
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData
from srgnn.evaluation import Measurement, measure


def measure_baselines(data: SessionData, k: Sequence[int], names: Iterable[str] = BASELINES) -> dict[str, Measurement]:
    """Tests baselines, each with the default settings; the keys are their names."""
    graphs, clicks = SessionGraphs(data.test, data.num_items), data.train_clicks
    tests = {}
    for name in names:
        model = BASELINES[name]().build(data.num_items)
        model.observe(data.train)
        tests[name] = measure(model, graphs, clicks, k, name)
    return tests
