from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear
from torch_geometric.data import Batch

from srgnn.errors import ArgumentError, check_float
from srgnn.nn.clicks import ClickGRU, Clicks
from srgnn.nn.encoder import EncoderSettings, SessionEncoder


@dataclass(frozen=True)
class NARMSettings(EncoderSettings):
    """The arguments of :class:`NARM`, beside those of every encoder.

    Args:
        dropout: Share of the entries of the item embeddings dropped before they enter the model, in training only.
        session_dropout: Share of the entries of the two encoders' outputs dropped, in training only.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    dropout: float = 0.25
    session_dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if check_float("session_dropout", self.session_dropout, 0) >= 1:
            raise ArgumentError("session_dropout", self.session_dropout, "a share below 1")

    def build(self, num_items: int) -> "NARM":
        """Returns a model with freshly initialised weights."""
        return NARM(num_items, self)


class NARM(SessionEncoder):
    r"""A neural attentive recommendation machine (Li et al., CIKM 2017, eqs. 4-11).

    With :math:`\mathbf{h}_1 \ldots \mathbf{h}_n` the hidden states of a GRU after each click: the global encoder gives
    the last one, the local encoder an attention over all.

    .. math::
        \alpha_i &= \mathbf{q}^\top \sigma(\mathbf{A}_1 \mathbf{h}_n + \mathbf{A}_2 \mathbf{h}_i), \qquad
        \mathbf{c} = \big[\mathbf{h}_n \,\|\, \textstyle\sum_i \alpha_i \mathbf{h}_i\big]

        \mathbf{s} &= \mathbf{B} \mathbf{c}

    The bilinear score of an item, :math:`\mathbf{x}^\top \mathbf{B} \mathbf{c}`, is the product of its embedding with
    :math:`\mathbf{s}`. As in the authors' code, both encoders share one GRU. The softmax over :math:`\alpha` in that
    code is not in the paper, and not here.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    def __init__(self, num_items: int, settings: NARMSettings | None = None):
        settings = settings or NARMSettings()
        super().__init__(num_items, settings)
        width, self.session_dropout = settings.hidden_size, settings.session_dropout
        self.gru = ClickGRU(width)
        self.lin_last = Linear(width, width, bias=False)
        self.lin_click = Linear(width, width, bias=False)
        self.query = Linear(width, 1, bias=False)
        self.bilinear = Linear(2 * width, width, bias=False)
        self.reset_parameters()

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        clicks = Clicks.of(states, batch)
        hidden = self.gru(clicks)  # [L, d]
        last = clicks.last(hidden)  # [B, d]
        alpha = clicks.additive_attention(self.query, self.lin_click(hidden), self.lin_last(last))  # [L, 1]
        both = torch.cat([last, clicks.reduce(alpha * hidden)], dim=-1)  # [B, 2d]
        session: Tensor = self.bilinear(F.dropout(both, self.session_dropout, self.training))  # [B, d]
        return session
