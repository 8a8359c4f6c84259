from dataclasses import dataclass

from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr

from srgnn.baselines.counted import Candidates, CountedModel, CountedSettings
from srgnn.baselines.sparse import rows_of
from srgnn.data.sessions import Sessions
from srgnn.nn.clicks import Clicks
from srgnn.nn.counts import count_pairs


@dataclass(frozen=True)
class MarkovSettings(CountedSettings):
    """:class:`MarkovChain` has no arguments."""

    def build(self, num_items: int) -> "MarkovChain":
        """Returns a model that has not seen any session."""
        return MarkovChain(num_items)


class MarkovChain(CountedModel):
    """Scores every item by how often it follows the session's last item in training; ties by popularity.

    The first-order Markov chain of Ludewig and Jannach (2018), with counts instead of probabilities: the ranking of
    the successors is the same.
    """

    # Pairs ptr[i] to ptr[i + 1] start with item i.
    ptr: Tensor  # [V + 1]
    successor: Tensor
    count: Tensor

    def __init__(self, num_items: int):
        super().__init__(num_items, "ptr", "successor", "count")

    def observe(self, train: Sessions) -> None:
        super().observe(train)
        first, self.successor, self.count = count_pairs(train, self.num_items)
        self.ptr = index2ptr(first, self.num_items)

    def candidates(self, batch: Batch) -> Candidates:
        clicks = Clicks.of(batch.x, batch)
        session, entry = rows_of(self.ptr, clicks.last(clicks.state))
        successor = self.successor[entry]
        return Candidates(session, successor, self.count[entry] + self.popularity[successor])
