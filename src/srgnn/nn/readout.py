from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import Embedding, Linear, Module
from torch_geometric.index import index2ptr

from srgnn.errors import check_choice, check_int
from srgnn.nn.clicks import Clicks
from srgnn.nn.segments import segment_softmax

READOUTS = ["local", "global", "hybrid", "average"]
ATTENTIVE = ["global", "hybrid"]  # those with weights of the clicks


class SessionReadout(Module):
    r"""Maps the node states of each session to one embedding (Wu et al., 2019, eqs. 6 and 7).

    With :math:`\mathbf{v}_1 \ldots \mathbf{v}_n` the states of the clicks of a session, in order:

    .. math::
        \alpha_i &= \mathbf{q}^\top \sigma(\mathbf{W}_1 \mathbf{v}_n + \mathbf{W}_2 \mathbf{v}_i + \mathbf{c}), \qquad
        \mathbf{s}_g = \textstyle\sum_i \alpha_i \mathbf{v}_i

        \mathbf{s} &= \mathbf{W}_3 [\mathbf{s}_g \,\|\, \mathbf{v}_n]

    As in the authors' code, :math:`\mathbf{W}_3` also has a bias, which the paper leaves out.
    The attention has no softmax, so the sum can grow with the number of clicks; with `softmax`, the weights
    :math:`\alpha_i` of a session sum to one.

    Args:
        hidden_size: Width :math:`d` of the states.
        readout: `hybrid` is :math:`\mathbf{s}`; `global` is :math:`\mathbf{s}_g`; `local` is the last click
            :math:`\mathbf{v}_n`; `average` is the mean over the clicks.
        reversed_positions: Number of learned vectors, one of which is added to the state of each click by its distance
            from the last click; clicks further away share the last vector. 0 adds nothing.
        positions: Number of learned vectors, one of which is added to the state of each click by its place in the
            session, from the first. Of a session of more clicks, the last ones have a vector each, and the clicks
            before them share the first. 0 adds nothing.
        softmax: Whether the attention has a softmax.

    Shapes:
        states [N, d], alias_index [L], batch [N], num_sessions B -> [B, d]; context [B, d], if there is one, is a
        further term in the parentheses of :math:`\alpha_i`

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    def __init__(
        self,
        hidden_size: int,
        readout: str = "hybrid",
        reversed_positions: int = 0,
        positions: int = 0,
        softmax: bool = False,
    ):
        super().__init__()
        self.hidden_size = check_int("hidden_size", hidden_size, 1)
        self.readout = check_choice("readout", readout, READOUTS)
        check_int("reversed_positions", reversed_positions, 0)
        check_int("positions", positions, 0)
        self.softmax = softmax
        self.position = Embedding(reversed_positions, hidden_size) if reversed_positions else None
        self.place = Embedding(positions, hidden_size) if positions else None
        if readout in ATTENTIVE:
            self.lin_last = Linear(hidden_size, hidden_size)
            self.lin_click = Linear(hidden_size, hidden_size)
            self.query = Linear(hidden_size, 1, bias=False)
        if readout == "hybrid":
            self.lin_join = Linear(2 * hidden_size, hidden_size)

    def forward(
        self, states: Tensor, alias_index: Tensor, batch: Tensor, num_sessions: int, context: Tensor | None = None
    ) -> Tensor:
        clicks = self._clicks(states, alias_index, batch, num_sessions)
        last = clicks.last(clicks.state)  # [B, d]
        if self.readout == "local":
            return last
        if self.readout == "average":
            return clicks.reduce(clicks.state, "mean")
        interest = clicks.reduce(self._weights(clicks, last, context) * clicks.state)  # [B, d]
        if self.readout == "global":
            return interest
        joined: Tensor = self.lin_join(torch.cat([interest, last], dim=-1))
        return joined

    def attention(self, states: Tensor, alias_index: Tensor, batch: Tensor, num_sessions: int) -> Tensor:
        r"""The weights :math:`\alpha_i` of all clicks, [L]; the arguments are those of a call.

        Raises:
            ArgumentError: if the readout has no attention.
        """
        check_choice("readout", self.readout, ATTENTIVE)
        clicks = self._clicks(states, alias_index, batch, num_sessions)
        return self._weights(clicks, clicks.last(clicks.state)).view(-1)

    def _clicks(self, states: Tensor, alias_index: Tensor, batch: Tensor, num_sessions: int) -> Clicks:
        """The clicks, with the vectors of their positions added to their states."""
        session = batch[alias_index]  # [L]
        clicks = Clicks(states.index_select(0, alias_index), session, index2ptr(session, num_sessions))
        state = clicks.state  # [L, d]
        if self.position is not None:
            state = state + self.position(clicks.distance.clamp(max=self.position.num_embeddings - 1))
        if self.place is not None:
            from_first = clicks.ptr.diff().clamp(max=self.place.num_embeddings)[session] - 1 - clicks.distance
            state = state + self.place(from_first.clamp(min=0))
        return replace(clicks, state=state)

    def _weights(self, clicks: Clicks, last: Tensor, context: Tensor | None = None) -> Tensor:
        of_session = self.lin_last(last) if context is None else self.lin_last(last) + context
        alpha = clicks.additive_attention(self.query, self.lin_click(clicks.state), of_session)  # [L, 1]
        return segment_softmax(alpha, clicks.session, clicks.ptr) if self.softmax else alpha
