from srgnn.baselines.popularity import Popularity
from srgnn.baselines.successor import LastItemSuccessor

BASELINES = {"Popularity": Popularity, "Last-item successor": LastItemSuccessor}

__all__ = ["BASELINES", "LastItemSuccessor", "Popularity"]
