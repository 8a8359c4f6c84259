"""Session graphs of prefixes: single ones as PyG `Data`, or whole batches built by vectorised code."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_geometric.data import Batch, Data
from torch_geometric.index import index2ptr

from srgnn.data.sessions import Sessions, pointers


class SessionGraphs(Dataset[Data]):
    r"""Every prefix of every session as a directed graph, with the next click as its target.

    A prefix of :math:`l` clicks on :math:`n` distinct items has :math:`n` nodes and one edge for every distinct
    pair of consecutive clicks (Wu et al., 2019, section "Session graph"). The samples are ordered session by session,
    the longest prefix first. Nothing is copied per prefix: a sample is a position and a length.

    `graphs[i]` is a :class:`~torch_geometric.data.Data` with

    - `x` [n]: the items of the nodes, ascending
    - `edge_index` [2, e]: from click to next click, sorted
    - `edge_weight` [e]: number of times that the pair occurs
    - `alias_index` [l]: the node of each click
    - `y` [1]: the target

    `graphs[indices]` is the batch that `Batch.from_data_list([graphs[i] for i in indices])` would build. On a GPU, the
    clicks and all batches stay in its memory; the numbers of clicks, nodes and edges of every prefix are kept on the
    CPU as well, so that no batch waits for the GPU to return its sizes.

    Args:
        sessions: The sessions whose prefixes are the samples.
        num_items: Number of candidates.
        device: Device that batches are built on.
    """

    def __init__(self, sessions: Sessions, num_items: int, device: torch.device | str = "cpu"):
        self.num_items = num_items
        count = (sessions.lengths - 1).clamp(min=0)
        first = count.cumsum(0) - count
        rank = torch.arange(int(count.sum())) - first.repeat_interleave(count)
        length = (sessions.lengths - 1).repeat_interleave(count) - rank  # [P]
        start = sessions.ptr[:-1].repeat_interleave(count)  # [P]
        self.sizes = torch.stack(
            [length, *_distinct_within(sessions, num_items, start, length)], dim=1
        ).int()  # [P, 3] on the CPU
        self.items, self.length, self.start = (part.to(device) for part in (sessions.items, length, start))

    def __len__(self) -> int:
        return self.length.numel()

    @property
    def targets(self) -> Tensor:
        """The next click of every prefix, [P]."""
        return self.items[self.start + self.length]

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Data | Batch:
        if isinstance(index, int):
            return self._graph(range(len(self))[index])
        if isinstance(index, slice):
            index = range(*index.indices(len(self)))
        return self._batch(torch.as_tensor(index, dtype=torch.long))

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """The hook of :class:`~torch.utils.data.DataLoader` for whole batches; use `collate_fn=lambda batch: batch`."""
        return self._batch(torch.as_tensor(indices, dtype=torch.long))

    def _graph(self, i: int) -> Data:
        start, length = int(self.start[i]), int(self.length[i])
        return session_graph(self.items[start : start + length], y=self.items[start + length].view(1))

    def _batch(self, indices: Tensor) -> Batch:
        num_graphs = indices.numel()
        num_clicks, num_nodes, num_edges = self.sizes[indices].sum(dim=0).tolist()
        device = self.items.device
        indices = indices.to(device, non_blocking=True)
        length, start = self.length[indices], self.start[indices]  # [B]
        click_ptr = pointers(length)
        begins = torch.zeros(num_clicks, dtype=torch.long, device=device).scatter_(0, click_ptr[1:-1], 1)
        graph = begins.cumsum(0)  # [L] the graph of each click
        clicks = self.items[torch.arange(num_clicks, device=device) + (start - click_ptr[:-1])[graph]]  # [L]

        # Nodes: the distinct (graph, item) pairs, sorted by graph, then by item.
        node, alias_index = _distinct(graph * self.num_items + clicks, num_nodes)
        x, batch = node % self.num_items, node // self.num_items  # [N]
        ptr = index2ptr(batch, num_graphs)

        # Edges: the distinct pairs of nodes clicked one after the other. Pairs across two graphs sort to the end.
        pair = alias_index[:-1] * num_nodes + alias_index[1:]
        edge, occurrence = _distinct(pair.masked_fill(begins[1:] == 1, num_nodes**2), num_edges + 1)
        edge = edge[:num_edges]
        edge_index = torch.stack([edge // max(1, num_nodes), edge % max(1, num_nodes)])
        edge_ptr = index2ptr(batch[edge_index[0]], num_graphs)
        ones = torch.ones(occurrence.numel(), device=device)
        edge_weight = ones.new_zeros(num_edges + 1).scatter_add_(0, occurrence, ones)[:num_edges]

        out = Batch(
            _base_cls=Data,
            x=x,
            edge_index=edge_index,
            edge_weight=edge_weight,
            alias_index=alias_index,
            y=self.items[start + length],
            batch=batch,
            ptr=ptr,
        )
        # PyG splits a batch (`batch.to_data_list()`, `batch[i]`) by these private attributes. Only its own collate
        # function sets them, and that loops over the graphs in Python. test_graphs.py pins their behaviour.
        zeros = torch.zeros(num_graphs, dtype=torch.long, device=device)
        out._num_graphs = num_graphs
        out._slice_dict = {
            "x": ptr,
            "edge_index": edge_ptr,
            "edge_weight": edge_ptr,
            "alias_index": click_ptr,
            "y": torch.arange(num_graphs + 1, device=device),
        }
        out._inc_dict = dict.fromkeys(out._slice_dict, zeros) | {"edge_index": ptr[:-1], "alias_index": ptr[:-1]}
        return out


def evaluation_batch_size(num_items: int, device: torch.device | str = "cpu") -> int:
    """Number of prefixes per evaluation batch, 8 to 512, whose scores take 16 MB on a CPU and 256 MB on a GPU.

    That fits into the caches of a CPU and keeps a GPU busy.
    """
    scores = 2**22 if torch.device(device).type == "cpu" else 2**26
    return max(8, min(512, scores // num_items))


def session_graph(clicks: Tensor, y: Tensor | None = None) -> Data:
    """The directed graph of one session of item indices, [l] -> `Data` (see :class:`SessionGraphs`)."""
    x, alias_index = torch.unique(clicks, return_inverse=True)
    pairs = torch.stack([alias_index[:-1], alias_index[1:]])
    edge_index, occurrences = torch.unique(pairs, dim=1, return_counts=True)
    data = Data(x=x, edge_index=edge_index, edge_weight=occurrences.float(), alias_index=alias_index)
    if y is not None:
        data.y = y
    return data


def _distinct(keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`torch.unique(keys, return_inverse=True)` for a known number of distinct keys, without waiting for the GPU."""
    ordered, order = keys.sort()
    group = torch.zeros_like(order)
    group[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
    distinct = keys.new_empty(count).scatter_(0, group, ordered)  # equal keys are written to the same position
    return distinct, torch.empty_like(order).scatter_(0, order, group)


def _distinct_within(sessions: Sessions, num_items: int, start: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of distinct items, and of distinct pairs of consecutive items, in every prefix, [P] each."""
    is_first, first = _first_of_equals(sessions.owner * num_items + sessions.items)
    follows = sessions.owner[1:] == sessions.owner[:-1]
    is_first_pair, _ = _first_of_equals(first[:-1] * first.numel() + first[1:])
    nodes = pointers(is_first.long())
    edges = pointers((is_first_pair & follows).long())  # a pair counts at its first click
    return nodes[start + length] - nodes[start], edges[start + length - 1] - edges[start]


def _first_of_equals(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each key is the first of several equal keys, and the position of that first one, [C] each."""
    ordered, order = keys.sort(stable=True)
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    first = torch.empty_like(order).scatter_(0, order, order[begins][begins.cumsum(0) - 1])
    return first == torch.arange(keys.numel()), first
