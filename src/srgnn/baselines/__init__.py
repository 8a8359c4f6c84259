"""Baselines: counts of training clicks that score sessions under the same contract as SR-GNN."""

from collections.abc import Callable

from torch.nn import Module

from srgnn.baselines.popularity import Popularity
from srgnn.baselines.successor import LastItemSuccessor
from srgnn.data.sessions import Sessions

# Title in tables, and the class that is built from the training sessions and `num_items`.
BASELINES: dict[str, Callable[[Sessions, int], Module]] = {
    "Popularity": Popularity,
    "Last-item successor": LastItemSuccessor,
}

__all__ = ["BASELINES", "LastItemSuccessor", "Popularity"]
