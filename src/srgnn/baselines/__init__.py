"""Simple methods that count clicks in training: they score sessions under the same contract as SR-GNN."""

from typing import TYPE_CHECKING

from srgnn.baselines.co_occurrence import AssociationRules, AssociationRulesSettings, ItemKNN, ItemKNNSettings
from srgnn.baselines.markov import MarkovChain, MarkovSettings
from srgnn.baselines.popularity import Popularity, PopularitySettings
from srgnn.baselines.session_popularity import SessionPopularity, SessionPopularitySettings
from srgnn.baselines.stan import STAN, STANSettings
from srgnn.baselines.vmis import VMIS, VMISSettings
from srgnn.baselines.vsknn import VSKNN, VSKNNSettings

if TYPE_CHECKING:
    from srgnn.contracts import ModelSettings

# Keyed by the name of their row in tables.
BASELINES: dict[str, "type[ModelSettings]"] = {
    "Popularity": PopularitySettings,
    "S-POP": SessionPopularitySettings,
    "Markov chain": MarkovSettings,
    "Association rules": AssociationRulesSettings,
    "Item-KNN": ItemKNNSettings,
    "V-SKNN": VSKNNSettings,
    "STAN": STANSettings,
    "VMIS-kNN": VMISSettings,
}

__all__ = [
    "BASELINES",
    "STAN",
    "VMIS",
    "VSKNN",
    "AssociationRules",
    "AssociationRulesSettings",
    "ItemKNN",
    "ItemKNNSettings",
    "MarkovChain",
    "MarkovSettings",
    "Popularity",
    "PopularitySettings",
    "STANSettings",
    "SessionPopularity",
    "SessionPopularitySettings",
    "VMISSettings",
    "VSKNNSettings",
]
