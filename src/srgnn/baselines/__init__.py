"""Simple methods that count clicks in training: they score sessions under the same contract as SR-GNN."""

from typing import TYPE_CHECKING

from srgnn.baselines.markov import MarkovChain, MarkovSettings
from srgnn.baselines.popularity import Popularity, PopularitySettings

if TYPE_CHECKING:
    from srgnn.contracts import ModelSettings

# Keyed by the name of their row in tables.
BASELINES: dict[str, "type[ModelSettings]"] = {
    "Popularity": PopularitySettings,
    "Markov chain": MarkovSettings,
}

__all__ = ["BASELINES", "MarkovChain", "MarkovSettings", "Popularity", "PopularitySettings"]
