"""The simple baselines that every table of results shows beside the model."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from srgnn import baselines
from srgnn.baselines import BASELINES
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData
from srgnn.errors import UserError
from srgnn.evaluation import Measurement, measure
from srgnn.saving import whole_file

FOLDER = "baselines"  # within that of the prepared data
# Beyond these sizes only the cheap ones are shown beside a model: association rules count 18 million clicks in half a
# minute and 4 GB, and nearest neighbours are found for about a thousand prefixes a second.
CHEAP = ("Popularity", "S-POP", "Markov chain")
MOST_CLICKS = 20_000_000  # in training
MOST_PREFIXES = 200_000  # to test


def affordable(data: SessionData) -> list[str]:
    """The names of the baselines that take little time and memory beside a training."""
    is_small = data.train.items.numel() <= MOST_CLICKS and data.test.num_prefixes <= MOST_PREFIXES
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
    graphs = SessionGraphs(data.test, data.num_items)
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
        tests[name] = measure(model, graphs, data.train_clicks, k, name)
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
    """A hash of the baselines' code: a changed one is measured anew."""
    files = sorted(Path(baselines.__file__).parent.glob("*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
