from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Embedding, LayerNorm, Linear, Module, ModuleList
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr
from torch_geometric.utils import segment

from srgnn.errors import ArgumentError, check_int
from srgnn.nn.clicks import Clicks
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.segments import segment_softmax


@dataclass(frozen=True)
class SASRecSettings(EncoderSettings):
    """The arguments of :class:`SASRec`, beside those of every encoder.

    Args:
        dropout: Share of the entries dropped, in training only: of the item embeddings, of the attention weights, and
            of what each layer adds.
        num_blocks: Number of blocks of attention and feed-forward layer.
        num_heads: Number of attention heads; it divides the width.
        max_clicks: Number of the latest clicks that are read, and of positions.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    dropout: float = 0.2
    num_blocks: int = 2
    num_heads: int = 1
    max_clicks: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_blocks", "num_heads", "max_clicks"):
            check_int(name, getattr(self, name), 1)
        if self.hidden_size % self.num_heads:
            raise ArgumentError("num_heads", self.num_heads, f"a divisor of hidden_size={self.hidden_size}")

    def build(self, num_items: int) -> "SASRec":
        """Returns a model with freshly initialised weights."""
        return SASRec(num_items, self)


class SASRec(SessionEncoder):
    r"""Self-attention over the clicks of a session (Kang and McAuley, ICDM 2018, eqs. 1-6).

    With :math:`\mathbf{x}_i` the embedding of the :math:`i`-th of :math:`n` clicks and :math:`\mathbf{p}` vectors for
    positions:

    .. math::
        \mathbf{h}_i^{(0)} = \mathbf{x}_i + \mathbf{p}_{n - i}, \qquad
        \mathbf{h}^{(b)} = \mathrm{Block}_b(\mathbf{h}^{(b - 1)}), \qquad
        \mathbf{s} = \mathrm{LayerNorm}(\mathbf{h}_n^{(\mathrm{last})})

    Positions count from the last click: the paper pads sessions on the left. The layer normalisation at the end is
    that of the authors' code. The loss is not the paper's, binary cross entropy of one negative item for each click,
    but that of all models here, on the last click of every prefix. The code also multiplies the embeddings by
    :math:`\sqrt{d}` and drops entries of the positions; here neither is done.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    def __init__(self, num_items: int, settings: SASRecSettings | None = None):
        settings = settings or SASRecSettings()
        super().__init__(num_items, settings)
        width = settings.hidden_size
        self.position = Embedding(settings.max_clicks, width)
        self.blocks = ModuleList(
            [CausalBlock(width, settings.num_heads, settings.dropout) for _ in range(settings.num_blocks)]
        )
        self.norm = LayerNorm(width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters as those of every encoder, except the factors and shifts of normalised layers."""
        super().reset_parameters()
        for module in self.modules():
            if isinstance(module, LayerNorm):
                module.reset_parameters()

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        clicks = Clicks.of(states, batch).latest(self.position.num_embeddings)
        hidden = clicks.state + self.position(clicks.distance)  # [L, d]
        pairs = Pairs.of(clicks)
        for block in self.blocks:
            hidden = block(hidden, pairs)
        last: Tensor = self.norm(clicks.last(hidden))  # [B, d]
        return last


@dataclass(frozen=True)
class Pairs:
    """All pairs of a click with one up to itself in its session, of which there are far fewer than with padding.

    Shapes:
        click [P], ascending; earlier [P]; ptr [L + 1], where the pairs of each click begin
    """

    click: Tensor
    earlier: Tensor
    ptr: Tensor

    @classmethod
    def of(cls, clicks: Clicks) -> "Pairs":
        """The pairs of the clicks of a batch."""
        place = torch.arange(clicks.session.size(0), device=clicks.session.device)
        first = clicks.ptr[clicks.session]  # [L]
        click = place.repeat_interleave(place - first + 1)  # [P]
        ptr = index2ptr(click, place.size(0))
        earlier = torch.arange(click.size(0), device=click.device) + (first - ptr[:-1])[click]
        return cls(click, earlier, ptr)


class CausalBlock(Module):
    r"""Attention of each click to those up to itself, then a feed-forward layer (Kang and McAuley, 2018, eqs. 2-5).

    .. math::
        \mathbf{Z} &= \mathbf{H} + \mathrm{softmax}\Big(
        \frac{\tilde{\mathbf{H}} \mathbf{W}_Q (\tilde{\mathbf{H}} \mathbf{W}_K)^\top}{\sqrt d}\Big)
        \tilde{\mathbf{H}} \mathbf{W}_V, \qquad \tilde{\mathbf{H}} = \mathrm{LayerNorm}(\mathbf{H})

        \mathrm{Block}(\mathbf{H}) &= \mathbf{Z} + \mathrm{ReLU}(\tilde{\mathbf{Z}} \mathbf{W}_1 + \mathbf{b}_1)
        \mathbf{W}_2 + \mathbf{b}_2, \qquad \tilde{\mathbf{Z}} = \mathrm{LayerNorm}(\mathbf{Z})

    where the softmax is over the clicks :math:`j \le i` of the session. With several heads, each attends with its share
    of the :math:`d` columns.

    Shapes:
        hidden [L, d], P pairs -> [L, d]
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.norm_attention, self.norm_forward = LayerNorm(hidden_size), LayerNorm(hidden_size)
        self.lin_attention = Linear(hidden_size, 3 * hidden_size, bias=False)  # queries, keys, values
        self.lin_hidden = Linear(hidden_size, hidden_size)
        self.lin_out = Linear(hidden_size, hidden_size)

    def forward(self, hidden: Tensor, pairs: "Pairs") -> Tensor:
        joint = self.lin_attention(self.norm_attention(hidden)).view(hidden.size(0), 3, self.num_heads, -1)
        query, key, value = joint.unbind(dim=1)  # [L, heads, d / heads]
        products = query.index_select(0, pairs.click) * key.index_select(0, pairs.earlier)  # [P, heads, d / heads]
        alpha = segment_softmax(products.sum(dim=-1) * query.size(-1) ** -0.5, pairs.click, pairs.ptr)  # [P, heads]
        attended = self._drop(alpha).unsqueeze(-1) * value.index_select(0, pairs.earlier)
        hidden = hidden + self._drop(segment(attended.flatten(1), pairs.ptr, reduce="sum"))  # [L, d]
        inner = self._drop(self.lin_hidden(self.norm_forward(hidden)).relu())
        return hidden + self._drop(self.lin_out(inner))

    def _drop(self, values: Tensor) -> Tensor:
        return F.dropout(values, self.dropout, self.training)
