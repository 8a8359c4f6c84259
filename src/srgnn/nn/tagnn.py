from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear
from torch.utils.checkpoint import checkpoint
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr

from srgnn.errors import check_choice, check_int
from srgnn.nn.conv import EDGE_WEIGHTS, SessionGraphConv
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.readout import SessionReadout
from srgnn.nn.segments import attend

NUMBERS_PER_CHUNK = 2**22  # of products of nodes with items: 16 MB in float32, of which a few lie side by side


@dataclass(frozen=True)
class TAGNNSettings(EncoderSettings):
    """The arguments of :class:`TAGNN`, beside those of every encoder.

    Args:
        scale: Factor of the cosines of an item with the session embedding and with those of the nodes; None, the
            default, takes plain products.
        propagation_steps: Number of message passing steps on the session graph; 0 does not use the graph.
        edge_weight: `binary` or `occurrence`, see :class:`~srgnn.nn.conv.SessionGraphConv`.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    propagation_steps: int = 1
    edge_weight: str = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("propagation_steps", self.propagation_steps, 0)
        check_choice("edge_weight", self.edge_weight, EDGE_WEIGHTS)

    def build(self, num_items: int) -> "TAGNN":
        """Returns a model with freshly initialised weights."""
        return TAGNN(num_items, self)


class TAGNN(SessionEncoder):
    r"""Target attentive graph neural network (TAGNN; Yu et al., SIGIR 2020).

    The session is another vector for every item that may be recommended. With :math:`\mathbf{h}_i` the states of the
    clicks after SR-GNN's propagation, :math:`\mathbf{h}_n` that of the last one, and :math:`\mathbf{s}_g` SR-GNN's
    attention with a softmax, the score of item :math:`\mathbf{v}` is

    .. math::
        \mathbf{s}_t(\mathbf{v}) &= \textstyle\sum_i \mathrm{softmax}_i(\mathbf{v}^\top \mathbf{W} \mathbf{h}_i)
        \, \mathbf{h}_i

        z(\mathbf{v}) &= \mathbf{v}^\top \mathbf{W}_3 [\mathbf{s}_t(\mathbf{v}) \,\|\, \mathbf{h}_n \,\|\, \mathbf{s}_g]

    No :math:`\mathbf{s}_t` is ever computed. With :math:`\mathbf{W}_3 = [\mathbf{W}_t \,\|\, \mathbf{W}_s]`, products
    of the item with two projections of each node and with one vector of each session are enough:

    .. math::
        z(\mathbf{v}) = \textstyle\sum_i \mathrm{softmax}_i(\mathbf{v}^\top \mathbf{W} \mathbf{h}_i)
        \; \mathbf{v}^\top \mathbf{W}_t \mathbf{h}_i + \mathbf{v}^\top \mathbf{W}_s [\mathbf{s}_g \,\|\, \mathbf{h}_n]

    They are computed for a part of the items at a time, and again for the gradient: the memory does not grow with the
    number of products, which is several times that of the scores. With a scale, the vectors :math:`\mathbf{W}_t
    \mathbf{h}_i` and :math:`\mathbf{W}_s [\cdot]` are normalised as the items are.

    The authors' code differs from their paper, which is followed here: it adds :math:`\mathbf{s}_t` without
    :math:`\mathbf{W}_t`, and both of its softmaxes run over the padding of a batch, too, so that the scores depend on
    the longest session there.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    in_products = False

    def __init__(self, num_items: int, settings: TAGNNSettings | None = None):
        settings = settings or TAGNNSettings()
        super().__init__(num_items, settings)
        size = settings.hidden_size
        self.conv = SessionGraphConv(size, settings.propagation_steps, settings.edge_weight)
        self.readout = SessionReadout(size, softmax=True)
        self.lin_query = Linear(size, size, bias=False)
        self.lin_target = Linear(size, size, bias=False)
        if settings.propagation_steps == 0:
            self.conv.requires_grad_(False)  # never used: no gradient for DDP to wait for
        self.reset_parameters()

    def forward(self, batch: Batch) -> Tensor:
        return self._scores(*self.item_embedding.with_table(batch.x), batch)

    def scores_of(self, batch: Batch, items: Tensor) -> Tensor:
        """The scores of some items [K] only, [B, K]."""
        rows = self.item_embedding(torch.cat([batch.x, items]))  # in one lookup, which has one gradient
        return self._scores(rows[: batch.x.size(0)], rows[batch.x.size(0) :], batch)

    def _scores(self, states: Tensor, items: Tensor, batch: Batch) -> Tensor:
        """Embeddings of the nodes [N, d] and of the items to score [K, d] -> [B, K]."""
        states = F.dropout(states, self.dropout, self.training)
        if self.conv.propagation_steps:
            states = self.conv(states, batch.edge_index, batch.edge_weight)  # [N, d]
        session = self.readout(states, batch.alias_index, batch.batch, batch.num_graphs)  # [B, d]
        query, value = self.lin_query(states), self.lin_target(states)  # [N, d]
        if self.scale is not None:
            session, value = self.scale * F.normalize(session), self.scale * F.normalize(value)
        clicks = index2ptr(batch.alias_index.sort().values, states.size(0)).diff()  # of every node, [N]
        vectors = session, query, value, clicks.log().view(-1, 1), batch.batch, batch.ptr
        if torch.compiler.is_exporting():  # a number of parts would be fixed in the program
            return _score(items, *vectors)
        parts = torch.split(items, max(1, NUMBERS_PER_CHUNK // states.size(0)))
        if not torch.is_grad_enabled():
            return torch.cat([_score(part, *vectors) for part in parts], dim=1)
        scores = [checkpoint(_score, part, *vectors, use_reentrant=False, preserve_rng_state=False) for part in parts]
        return torch.cat(scores, dim=1)


def _score(
    items: Tensor, session: Tensor, query: Tensor, value: Tensor, log_clicks: Tensor, owner: Tensor, segments: Tensor
) -> Tensor:
    """The scores of items [K, d] for every session, [B, K].

    A softmax over the clicks is one over the nodes in which each counts as often as it is clicked.
    """
    with torch.autocast(items.device.type, enabled=False):  # in 16 bits many scores would be equal
        session, query, value = (vectors.to(items.dtype) for vectors in (session, query, value))
        of_target = attend(query @ items.T + log_clicks, value @ items.T, owner, segments)
        return session @ items.T + of_target
