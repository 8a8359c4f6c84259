import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr

from srgnn.data.sessions import Sessions


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
        follows = train.owner[1:] == train.owner[:-1]
        pair = (train.items[:-1] * num_items + train.items[1:])[follows]
        pair, count = torch.unique(pair, return_counts=True)
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
