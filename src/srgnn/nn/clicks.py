from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import GRU, Module
from torch.nn.utils.rnn import pack_padded_sequence
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr
from torch_geometric.utils import segment, to_dense_batch

from srgnn.nn.segments import to_end


@dataclass(frozen=True)
class Clicks:
    """The clicks of a batch of B sessions, in order, one session after the other.

    Shapes:
        state [L, d], that of the item of each click, or [L], the item; session [L], its number in the batch;
        ptr [B + 1], where the clicks of each session begin

    Args:
        longest: A number of clicks that no session exceeds, in the batches of an exported program; else None.
    """

    state: Tensor
    session: Tensor
    ptr: Tensor
    longest: int | None = None

    @classmethod
    def of(cls, states: Tensor, batch: Batch) -> "Clicks":
        """The clicks of a batch, given the states [N, d] or the items [N] of its nodes."""
        session = batch.batch[batch.alias_index]
        ptr, longest = index2ptr(session, batch.num_graphs), getattr(batch, "longest", None)
        return cls(states.index_select(0, batch.alias_index), session, ptr, longest)

    def latest(self, count: int) -> "Clicks":
        """Only the latest `count` clicks of each session."""
        is_late = self.distance < count
        session = self.session[is_late]
        return Clicks(self.state[is_late], session, index2ptr(session, self.ptr.size(0) - 1))

    @property
    def distance(self) -> Tensor:
        """Number of clicks from each click to the last one of its session, [L]."""
        return to_end(self.session, self.ptr)

    def last(self, values: Tensor) -> Tensor:
        """The values at the last click of each session, [L, d] -> [B, d]."""
        return values.index_select(0, self.ptr[1:] - 1)

    def additive_attention(self, query: Module, of_click: Tensor, of_session: Tensor) -> Tensor:
        r"""The weights :math:`\mathbf{q}^\top \sigma(\mathbf{a}_i + \mathbf{b})` of the clicks, [L, 1]; no softmax.

        Args:
            query: The linear map :math:`\mathbf{q}^\top`.
            of_click: The terms :math:`\mathbf{a}_i` of the clicks, [L, d].
            of_session: The terms :math:`\mathbf{b}` of the sessions, [B, d].
        """
        weight: Tensor = query(torch.sigmoid(of_click + of_session.index_select(0, self.session)))
        return weight

    def reduce(self, values: Tensor, reduce: str = "sum") -> Tensor:
        """The sum or mean of values over the clicks of each session, [L, d] -> [B, d]."""
        total: Tensor = segment(values, self.ptr, reduce=reduce)
        return total


class ClickGRU(Module):
    """A GRU over the clicks of each session.

    Args:
        hidden_size: Width :math:`d` of the states.
        num_layers: Number of layers, each over the states of the one before.

    Shapes:
        the clicks of B sessions -> the hidden state after each click [L, d]
    """

    def __init__(self, hidden_size: int, num_layers: int = 1):
        super().__init__()
        self.gru = GRU(hidden_size, hidden_size, num_layers)

    def forward(self, clicks: Clicks) -> Tensor:
        if clicks.longest is not None:
            return self._padded(clicks, clicks.longest)
        # Padding and packing the places of the clicks, not their states, halves the time: it needs no gradient.
        places = torch.arange(len(clicks.session), device=clicks.session.device)
        padded, _ = to_dense_batch(places, clicks.session)  # [B, T]
        packed = pack_padded_sequence(padded, clicks.ptr.diff().cpu(), batch_first=True, enforce_sorted=False)
        states, _ = self.gru(packed._replace(data=clicks.state.index_select(0, packed.data)))
        hidden: Tensor = states.data.index_select(0, packed.data.argsort())  # [L, d]
        return hidden

    def _padded(self, clicks: Clicks, longest: int) -> Tensor:
        """The same without packing: all sizes depend on the numbers of sessions and of clicks only."""
        num_sessions = clicks.ptr.size(0) - 1
        place = torch.arange(clicks.session.size(0), device=clicks.session.device) - clicks.ptr[clicks.session]
        place = clicks.session * longest + place.clamp(max=longest - 1)  # [L]
        padded = clicks.state.new_zeros(num_sessions * longest, clicks.state.size(1))
        padded = padded.index_put((place,), clicks.state).view(num_sessions, longest, -1)
        states, _ = self.gru(padded.transpose(0, 1))  # [T, B, d]
        hidden: Tensor = states.transpose(0, 1).flatten(0, 1).index_select(0, place)
        return hidden
