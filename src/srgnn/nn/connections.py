"""Connection schemes of session graphs that SR-GNN's paper compares with its own (Wu et al., 2019)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr

from srgnn.nn.counts import Counts, count_pairs

if TYPE_CHECKING:
    from srgnn.data.sessions import Sessions


class PairCounts(Counts):
    """Weights of edges from the global graph of all training sessions: how often one item follows the other there.

    They are the normalised global connections (NGC) of the paper once they are divided by their sum over the neighbours
    in the session, as :class:`~srgnn.nn.conv.SessionGraphConv` does. A pair that was never clicked in training counts
    once, which is its click in the session itself; so does every pair before the counts are there.

    Args:
        num_items: Number of items :math:`V`.

    Shapes:
        first item [e], second item [e] -> [e]
    """

    pair: Tensor  # [n] first item * V + second item, ascending
    count: Tensor  # [n]

    def __init__(self, num_items: int):
        super().__init__("pair", "count")
        self.num_items = num_items

    def observe(self, train: "Sessions") -> None:
        first, second, count = count_pairs(train, self.num_items)
        self.pair, self.count = first * self.num_items + second, count.float()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        if not len(self.pair):
            return torch.ones(first.shape, device=first.device)
        pair = first * self.num_items + second
        place = torch.searchsorted(self.pair, pair).clamp(max=len(self.pair) - 1)
        return torch.where(self.pair[place] == pair, self.count[place], 1)


def full_connections(batch: Batch) -> Tensor:
    """Edges from every node to each one that is clicked later in its session, in one batch: the paper's FC.

    Each pair of nodes has one edge at most, and an item clicked again has one to itself. The number of edges grows with
    the square of the number of items in a session.

    Returns:
        edge_index [2, e], sorted
    """
    num_nodes, device = batch.x.size(0), batch.x.device
    order = batch.alias_index.argsort(stable=True)
    clicks = index2ptr(batch.alias_index[order], num_nodes)  # [N + 1]
    first, last = order[clicks[:-1]], order[clicks[1:] - 1]  # positions in the batch of each node's clicks, [N]

    size = batch.ptr.diff()[batch.batch]  # number of nodes in the session of each node, [N]
    source = torch.arange(num_nodes, device=device).repeat_interleave(size)
    nth = torch.arange(source.numel(), device=device) - (size.cumsum(0) - size)[source]
    target = batch.ptr[batch.batch][source] + nth
    return torch.stack([source, target])[:, first[source] < last[target]]
