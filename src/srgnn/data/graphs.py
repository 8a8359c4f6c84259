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
    the longest prefix first. Nothing is copied per prefix: a sample is a position and a length, found by the session.

    `graphs[i]` is a :class:`~torch_geometric.data.Data` with

    - `x` [n]: the items of the nodes, ascending
    - `edge_index` [2, e]: from click to next click, sorted
    - `edge_weight` [e]: number of times that the pair occurs
    - `alias_index` [l]: the node of each click
    - `y` [1]: the target

    `graphs[indices]` is the batch that `Batch.from_data_list([graphs[i] for i in indices])` would build. On a GPU, the
    clicks and all batches stay in its memory; the numbers of clicks, nodes and edges of every prefix are counted
    beforehand and kept on the CPU, so that no batch waits for the GPU to return its sizes. On a CPU, nothing is stored
    per prefix or copied per click: the clicks may be mapped from a file that is larger than the memory.

    Args:
        sessions: The sessions whose prefixes are the samples.
        num_items: Number of candidates.
        device: Device that batches are built on.
        counted: Whether the sizes of all prefixes are counted beforehand; None counts them on a GPU only.
    """

    def __init__(
        self,
        sessions: Sessions,
        num_items: int,
        device: torch.device | str = "cpu",
        counted: bool | None = None,
    ):
        self.num_items = num_items
        self.items = sessions.items.to(device)
        self.ptr = sessions.ptr
        self.first = pointers((sessions.lengths - 1).clamp_(min=0))  # [S + 1] the first sample of each session
        self.sizes: Tensor | None = None
        if torch.device(device).type != "cpu" if counted is None else counted:
            start, length = self._samples()
            self.sizes = torch.stack(
                [length, *_distinct_within(sessions, num_items, start, length)], dim=1
            ).int()  # [P, 3] on the CPU
            self._start, self._length = start.to(device), length.to(device)

    def __len__(self) -> int:
        return int(self.first[-1])

    @property
    def session(self) -> Tensor:
        """The session of every prefix, [P]."""
        return torch.arange(len(self.ptr) - 1).repeat_interleave(self.first.diff())

    @property
    def start(self) -> Tensor:
        """The position of the first click of every prefix, [P]."""
        return self._samples()[0]

    @property
    def length(self) -> Tensor:
        """The number of clicks of every prefix, [P]."""
        return self._samples()[1]

    @property
    def targets(self) -> Tensor:
        """The next click of every prefix, [P]."""
        start, length = (part.to(self.items.device) for part in self._samples())
        return self.items[start + length].long()

    def _samples(self, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The position of the first click and the number of clicks of samples, or of all, on the CPU."""
        if index is None:
            index, session = torch.arange(len(self)), self.session
        else:
            session = torch.searchsorted(self.first[1:], index, right=True)
        start, end = self.ptr.index_select(0, session), self.ptr.index_select(0, session + 1)
        return start, self.first.index_select(0, session).add_(end).sub_(start).sub_(index).sub_(1)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Data | Batch:
        if isinstance(index, int):
            return self._graph(range(len(self))[index])
        if isinstance(index, slice):
            index = range(*index.indices(len(self)))
        indices = torch.as_tensor(index, dtype=torch.long)
        indices = indices.where(indices >= 0, indices + len(self))
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < len(self):
            raise IndexError(f"a sample outside of {len(self)}")
        return self._batch(indices)

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """The hook of :class:`~torch.utils.data.DataLoader` for whole batches; use `collate_fn=lambda batch: batch`."""
        return self._batch(torch.as_tensor(indices, dtype=torch.long))

    def _graph(self, i: int) -> Data:
        start, length = (int(part) for part in self._samples(torch.tensor([i])))
        clicks = self.items[start : start + length + 1].long()
        return session_graph(clicks[:-1], y=clicks[-1:])

    def _batch(self, indices: Tensor) -> Batch:
        num_graphs = indices.numel()
        device = self.items.device
        if self.sizes is None:
            start, length = (part.to(device) for part in self._samples(indices))  # [B]
            click_ptr = pointers(length)
            num_clicks, num_nodes, num_edges = int(click_ptr[-1]), None, None
        else:
            num_clicks, num_nodes, num_edges = self.sizes[indices].sum(dim=0).tolist()
            indices = indices.to(device, non_blocking=True)
            start, length = self._start[indices], self._length[indices]
            click_ptr = pointers(length)
        graph = torch.arange(num_graphs, device=device).repeat_interleave(length, output_size=num_clicks)  # [L]
        position = torch.arange(num_clicks, device=device) + (start - click_ptr[:-1])[graph]
        clicks = self.items.index_select(0, position).long()  # [L]

        # Nodes: the distinct (graph, item) pairs, sorted by graph, then by item.
        node, alias_index = _distinct(graph * self.num_items + clicks, num_nodes)
        num_nodes = node.numel()
        x, batch = node % self.num_items, node // self.num_items  # [N]
        ptr = index2ptr(batch, num_graphs)

        # Edges: the distinct pairs of nodes clicked one after the other. Pairs across two graphs sort to the end.
        pair = alias_index[:-1] * num_nodes + alias_index[1:]
        across = int(num_graphs > 1)  # one entry for all of these pairs
        edge, occurrence = _distinct(
            pair.masked_fill(graph[1:] != graph[:-1], num_nodes**2), None if num_edges is None else num_edges + across
        )
        num_edges = edge.numel() - across
        edge = edge[:num_edges]
        edge_index = torch.stack([edge // max(1, num_nodes), edge % max(1, num_nodes)])
        edge_ptr = index2ptr(batch[edge_index[0]], num_graphs)
        ones = torch.ones(occurrence.numel(), device=device)
        edge_weight = ones.new_zeros(num_edges + across).scatter_add_(0, occurrence, ones)[:num_edges]

        out = Batch(
            _base_cls=Data,
            x=x,
            edge_index=edge_index,
            edge_weight=edge_weight,
            alias_index=alias_index,
            y=self.items[start + length].long(),
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


def whole_sessions(sessions: Sessions, num_items: int) -> SessionGraphs:
    """The graphs of whole sessions, whose next click is not known: that of session `s` is `graphs[graphs.first[s]]`.

    Its target is item 0 and means nothing. Sessions without a click have no graph.
    """
    ends = sessions.ptr[1:] + torch.arange(len(sessions))
    items = sessions.items.new_zeros(len(sessions.items) + len(sessions))
    is_click = torch.ones(len(items), dtype=torch.bool).index_fill_(0, ends, False)
    items[is_click] = sessions.items
    return SessionGraphs(Sessions(items, pointers(sessions.lengths + 1)), num_items)


def evaluation_batch_size(num_items: int, device: torch.device | str = "cpu", holds_scores: bool = True) -> int:
    """Number of prefixes per evaluation batch: 512, or fewer whose scores take 16 MB on a CPU and 256 MB on a GPU.

    That fits into the caches of a CPU and keeps a GPU busy. No batch is smaller than 8.

    Args:
        num_items: Number of candidates.
        device: The device on which they are ranked.
        holds_scores: Whether the scores of a batch are held, see :class:`srgnn.evaluation.Ranker`.
    """
    if not holds_scores:
        return 512
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


def _distinct(keys: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """`torch.unique(keys, return_inverse=True)`, without waiting for a GPU if the number of distinct keys is given."""
    ordered, order = keys.sort()
    group = torch.zeros_like(order)
    group[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
    if count is None:
        count = int(group[-1]) + 1 if keys.numel() else 0
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
