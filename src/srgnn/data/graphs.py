"""Prefixes as session graphs: one as a PyG `Data`, or a whole batch built by vectorised code."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_geometric.data import Batch, Data
from torch_geometric.index import index2ptr

from srgnn.data.sessions import Sessions


class SessionGraphs(Dataset):
    r"""Every prefix of every session as a directed graph, with the next click as its target.

    A prefix of :math:`l` clicks on :math:`n` distinct items has :math:`n` nodes and one edge for every distinct
    pair of consecutive clicks (Wu et al., 2019, section "Session graph"). The samples come session by session,
    the longest prefix first. Nothing is copied per prefix: a sample is a position and a length.

    `graphs[i]` is a :class:`~torch_geometric.data.Data` with

    - `x` [n]: the items of the nodes, ascending
    - `edge_index` [2, e]: from click to next click, sorted
    - `edge_weight` [e]: how often the pair occurs
    - `alias_index` [l]: for each click its node
    - `y` [1]: the target

    `graphs[indices]` is the batch that `Batch.from_data_list([graphs[i] for i in indices])` makes.
    """

    def __init__(self, sessions: Sessions, num_items: int):
        self.items = sessions.items
        self.num_items = num_items
        count = (sessions.lengths - 1).clamp(min=0)
        first = count.cumsum(0) - count
        rank = torch.arange(int(count.sum())) - first.repeat_interleave(count)
        self.length = (sessions.lengths - 1).repeat_interleave(count) - rank  # [P]
        self.start = sessions.ptr[:-1].repeat_interleave(count)  # [P]

    def __len__(self) -> int:
        return self.length.numel()

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Data | Batch:
        if isinstance(index, int):
            return self._graph(range(len(self))[index])
        if isinstance(index, slice):
            index = range(*index.indices(len(self)))
        return self._batch(torch.as_tensor(index, dtype=torch.long))

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """What a :class:`~torch.utils.data.DataLoader` calls for a batch: give it `collate_fn=lambda batch: batch`."""
        return self._batch(torch.as_tensor(indices, dtype=torch.long))

    def _graph(self, i: int) -> Data:
        start, length = int(self.start[i]), int(self.length[i])
        return session_graph(self.items[start : start + length], y=self.items[start + length].view(1))

    def _batch(self, indices: Tensor) -> Batch:
        length, start = self.length[indices], self.start[indices]  # [B]
        num_graphs = indices.numel()
        click_ptr = _pointers(length)
        graph = torch.arange(num_graphs).repeat_interleave(length)  # [L] the graph of each click
        clicks = self.items[torch.arange(graph.numel()) + (start - click_ptr[:-1])[graph]]  # [L]

        # Nodes: the distinct (graph, item) pairs, which sort as each graph's own items do.
        node, alias_index = torch.unique(graph * self.num_items + clicks, return_inverse=True)
        x, batch = node % self.num_items, node // self.num_items  # [N]
        ptr = index2ptr(batch, num_graphs)

        # Edges: the distinct pairs of nodes clicked one after the other within a graph.
        follows = graph[1:] == graph[:-1]
        pair = (alias_index[:-1] * x.numel() + alias_index[1:])[follows]
        edge, occurrences = torch.unique(pair, return_counts=True)
        edge_index = torch.stack([edge // max(1, x.numel()), edge % max(1, x.numel())])
        edge_ptr = index2ptr(batch[edge_index[0]], num_graphs)

        out = Batch(
            _base_cls=Data,
            x=x,
            edge_index=edge_index,
            edge_weight=occurrences.float(),
            alias_index=alias_index,
            y=self.items[start + length],
            batch=batch,
            ptr=ptr,
        )
        # What lets PyG take the batch apart again (`batch.to_data_list()`, `batch[i]`).
        zeros = torch.zeros(num_graphs, dtype=torch.long)
        out._num_graphs = num_graphs
        out._slice_dict = {
            "x": ptr,
            "edge_index": edge_ptr,
            "edge_weight": edge_ptr,
            "alias_index": click_ptr,
            "y": torch.arange(num_graphs + 1),
        }
        out._inc_dict = dict.fromkeys(out._slice_dict, zeros) | {"edge_index": ptr[:-1], "alias_index": ptr[:-1]}
        return out


def session_graph(clicks: Tensor, y: Tensor | None = None) -> Data:
    """The directed graph of one session of item indices, [l] -> `Data` (see :class:`SessionGraphs`)."""
    x, alias_index = torch.unique(clicks, return_inverse=True)
    pairs = torch.stack([alias_index[:-1], alias_index[1:]])
    edge_index, occurrences = torch.unique(pairs, dim=1, return_counts=True)
    data = Data(x=x, edge_index=edge_index, edge_weight=occurrences.float(), alias_index=alias_index)
    if y is not None:
        data.y = y
    return data


def _pointers(lengths: Tensor) -> Tensor:
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
