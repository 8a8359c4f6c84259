from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr

from srgnn.data.sessions import Sessions

SESSIONS = 1 << 20  # sessions that are counted at once


class LastItemSuccessor(Module):
    """Scores every item by how often it follows the session's last item in training; ties by popularity.

    The first-order Markov chain of Ludewig and Jannach (2018), with counts instead of probabilities: the ranking of
    the successors is the same.

    Args:
        train: The training sessions.
        num_items: Number of candidates :math:`V`.

    Shapes:
        a batch of B session graphs -> scores [B, V]
    """

    # The distinct pairs of consecutive items, sorted: pairs row_ptr[i] to row_ptr[i + 1] start with item i.
    row_ptr: Tensor
    successor: Tensor
    count: Tensor
    tie_break: Tensor

    def __init__(self, train: Sessions, num_items: int):
        super().__init__()
        pair, count = _pairs(train, num_items)
        clicks = torch.bincount(train.items, minlength=num_items).float()
        self.register_buffer("row_ptr", index2ptr(pair // num_items, num_items))  # [V + 1]
        self.register_buffer("successor", pair % num_items)
        self.register_buffer("count", count.float())
        self.register_buffer("tie_break", clicks / (clicks.max() + 1))  # [V], below one

    def forward(self, batch: Batch) -> Tensor:
        sessions = batch.batch[batch.alias_index]
        last_click = index2ptr(sessions, batch.num_graphs)[1:] - 1
        last = batch.x[batch.alias_index[last_click]]  # [B]
        start, length = self.row_ptr[last], self.row_ptr[last + 1] - self.row_ptr[last]
        row = torch.arange(last.numel(), device=last.device).repeat_interleave(length)
        offset = torch.arange(row.numel(), device=last.device) - (length.cumsum(0) - length)[row]
        entry = start[row] + offset
        scores = self.tie_break.repeat(last.numel(), 1)  # [B, V]
        scores[row, self.successor[entry]] += self.count[entry]
        return scores


def _pairs(train: Sessions, num_items: int) -> tuple[Tensor, Tensor]:
    """The distinct pairs of consecutive items, as `first * num_items + second`, ascending, and their numbers of times.

    Counted part by part: all pairs of a large log at once would take many times its size.
    """
    parts = [(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long))]
    for begin in range(0, len(train), SESSIONS):
        ptr = train.ptr[begin : begin + SESSIONS + 1]
        clicks = train.items[ptr[0] : ptr[-1]].long()
        ends = torch.zeros(clicks.numel() + 1, dtype=torch.bool).index_fill_(0, ptr[1:] - ptr[0], True)
        pair = (clicks[:-1] * num_items + clicks[1:])[~ends[1:-1]]
        parts.append(torch.unique(pair, return_counts=True))
        if sum(pair.numel() for pair, _ in parts[1:]) > parts[0][0].numel():  # seldom: merging costs a sort
            parts = [_merged(parts)]
    return _merged(parts)


def _merged(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The sum of several counts: distinct keys, ascending, and their numbers of times."""
    keys, counts = (torch.cat(part) for part in zip(*parts, strict=True))
    distinct, place = torch.unique(keys, return_inverse=True)
    return distinct, torch.zeros_like(distinct).index_add_(0, place, counts)
