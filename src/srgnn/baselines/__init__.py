"""Baselines: counts of training clicks that map sessions to scores, by the contract that SR-GNN meets."""

from collections.abc import Callable

from torch.nn import Module

from srgnn.baselines.popularity import Popularity
from srgnn.baselines.successor import LastItemSuccessor
from srgnn.data.sessions import Sessions

# Title in tables, and what counts the training sessions with item indices below `num_items`.
BASELINES: dict[str, Callable[[Sessions, int], Module]] = {
    "Popularity": Popularity,
    "Last-item successor": LastItemSuccessor,
}

__all__ = ["BASELINES", "LastItemSuccessor", "Popularity"]
