from dataclasses import dataclass

import torch
from torch_geometric.data import Batch

from srgnn.baselines.counted import Candidates, CountedModel, CountedSettings


@dataclass(frozen=True)
class SessionPopularitySettings(CountedSettings):
    """:class:`SessionPopularity` has no arguments."""

    def build(self, num_items: int) -> "SessionPopularity":
        """Returns a model that has not seen any session."""
        return SessionPopularity(num_items)


class SessionPopularity(CountedModel):
    """Scores the items of the session by their clicks in it, ties by popularity (S-POP in Hidasi et al., 2016).

    All other items follow, by popularity.
    """

    def candidates(self, batch: Batch) -> Candidates:
        clicks = torch.bincount(batch.alias_index, minlength=batch.num_nodes)
        return Candidates(batch.batch, batch.x, clicks + self.popularity[batch.x])
