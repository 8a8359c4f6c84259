from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Linear
from torch_geometric.data import Batch

from srgnn.nn.clicks import Clicks
from srgnn.nn.encoder import EncoderSettings, SessionEncoder


@dataclass(frozen=True)
class STAMPSettings(EncoderSettings):
    """The arguments of :class:`STAMP` are those of every encoder."""

    def build(self, num_items: int) -> "STAMP":
        """Returns a model with freshly initialised weights."""
        return STAMP(num_items, self)


class STAMP(SessionEncoder):
    r"""Short-term attention and memory priority (Liu et al., KDD 2018, eqs. 1-8).

    With :math:`\mathbf{x}_1 \ldots \mathbf{x}_n` the embeddings of the clicks and :math:`\bar{\mathbf{x}}` their mean:

    .. math::
        \alpha_i &= \mathbf{w}_0^\top
        \sigma(\mathbf{W}_1 \mathbf{x}_i + \mathbf{W}_2 \mathbf{x}_n + \mathbf{W}_3 \bar{\mathbf{x}} + \mathbf{b}_a),
        \qquad \mathbf{m}_a = \bar{\mathbf{x}} + \textstyle\sum_i \alpha_i \mathbf{x}_i

        \mathbf{s} &= \tanh(\mathbf{W}_s \mathbf{m}_a + \mathbf{b}_s)
        \odot \tanh(\mathbf{W}_t \mathbf{x}_n + \mathbf{b}_t)

    The trilinear score of an item, :math:`\langle \mathbf{h}_s, \mathbf{h}_t, \mathbf{x} \rangle` with the two factors
    of :math:`\mathbf{s}`, is the product of its embedding with :math:`\mathbf{s}`. Two things are as in the authors'
    code and not as in the paper: the mean is part of :math:`\mathbf{m}_a`, and no sigmoid confines the scores to
    (0, 1), within which a softmax over thousands of items could favour none.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    def __init__(self, num_items: int, settings: STAMPSettings | None = None):
        settings = settings or STAMPSettings()
        super().__init__(num_items, settings)
        width = settings.hidden_size
        self.lin_click = Linear(width, width)
        self.lin_last = Linear(width, width, bias=False)
        self.lin_mean = Linear(width, width, bias=False)
        self.query = Linear(width, 1, bias=False)
        self.lin_session = Linear(width, width)
        self.lin_short = Linear(width, width)
        self.reset_parameters()

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        clicks = Clicks.of(states, batch)
        last = clicks.last(clicks.state)  # [B, d]
        mean = clicks.reduce(clicks.state, "mean")  # [B, d]
        context = self.lin_last(last) + self.lin_mean(mean)  # [B, d]
        alpha = clicks.additive_attention(self.query, self.lin_click(clicks.state), context)  # [L, 1]
        memory = mean + clicks.reduce(alpha * clicks.state)  # [B, d]
        return torch.tanh(self.lin_session(memory)) * torch.tanh(self.lin_short(last))  # [B, d]
