from dataclasses import dataclass

from torch_geometric.data import Batch

from srgnn.baselines.counted import Candidates, CountedModel, CountedSettings


@dataclass(frozen=True)
class PopularitySettings(CountedSettings):
    """:class:`Popularity` has no arguments."""

    def build(self, num_items: int) -> "Popularity":
        """Returns a model that has not seen any session."""
        return Popularity(num_items)


class Popularity(CountedModel):
    """Scores every item by its clicks in training, regardless of the session (POP in Wu et al., 2019)."""

    def candidates(self, batch: Batch) -> Candidates:
        none = batch.x[:0]
        return Candidates(none, none, none.float())
