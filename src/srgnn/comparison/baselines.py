"""The simple baselines that every table of results shows beside the model."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from srgnn import baselines, evaluation, metrics
from srgnn.baselines import BASELINES
from srgnn.data import graphs, sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData
from srgnn.errors import UserError
from srgnn.evaluation import Measurement, measure
from srgnn.nn import clicks, counts, segments
from srgnn.saving import whole_file

FOLDER = "baselines"  # within that of the prepared data
# Beyond these sizes only the cheap ones are shown beside a model. The others take time and memory by the pairs of items
# in a session, and nearest neighbours by the clicks of all prefixes to test: those of Diginetica, 0.3 million, take
# half a minute.
CHEAP = ("Popularity", "S-POP", "Markov chain")
MOST_PAIRS = 100_000_000  # of clicks in training sessions, several times those of the published sets
MOST_CLICKS = 2_000_000  # of all prefixes to test
MOST_ITEMS = 1_000_000


def affordable(data: SessionData) -> list[str]:
    """The names of the baselines that take little time and memory beside a training."""
    pairs, clicks = (float((part.lengths.double() ** 2).sum()) for part in (data.train, data.test))
    is_small = pairs <= MOST_PAIRS and clicks / 2 <= MOST_CLICKS and data.num_items <= MOST_ITEMS
    return [name for name in BASELINES if is_small or name in CHEAP]


def measure_baselines(
    data: SessionData, k: Sequence[int], names: Iterable[str] | None = None
) -> dict[str, Measurement]:
    """Tests baselines, each with the default settings; the keys are their names.

    What was measured is kept in the folder of the prepared data, if there is one: nothing random is in it, and every
    later training finds it there.

    Args:
        data: Training and test sessions.
        k: Cut-offs of the metrics.
        names: Names of baselines; None takes those of :func:`affordable`.
    """
    prefixes = SessionGraphs(data.test, data.num_items)
    tests = {}
    for name in affordable(data) if names is None else names:
        settings: Any = BASELINES[name]()
        path = None
        if data.folder is not None:
            description = f"{name} {settings} {sorted(set(k))} {_code()}"
            path = data.folder / FOLDER / f"{sha256(description.encode()).hexdigest()[:16]}.pt"
            if found := _read(path):
                tests[name] = found
                continue
        model = settings.build(data.num_items)
        model.observe(data.train)
        tests[name] = measure(model, prefixes, data.train_clicks, k, name)
        if path is not None:
            with suppress(UserError), whole_file(path, "the baselines") as temporary:  # others may not write there
                torch.save(asdict(tests[name]), temporary)
    return tests


def _read(path: Path) -> Measurement | None:
    """A measurement that was kept; None if there is none, or it is damaged."""
    try:
        return Measurement(**torch.load(path, weights_only=True))
    except Exception:  # torch raises many kinds of errors for a damaged file
        return None


@cache
def _code() -> str:
    """A hash of the code that measures baselines: after a change they are measured anew."""
    modules = (clicks, counts, evaluation, graphs, metrics, segments, sessions)
    files = [*sorted(Path(baselines.__file__).parent.glob("*.py")), *(Path(str(module.__file__)) for module in modules)]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
