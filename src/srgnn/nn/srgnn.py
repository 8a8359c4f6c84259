from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch

from srgnn.errors import ArgumentError, check_choice, check_float, check_int
from srgnn.nn.conv import EDGE_WEIGHTS, SessionGraphConv
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.readout import READOUTS, SessionReadout


@dataclass(frozen=True)
class SRGNNSettings:
    """The arguments of :class:`SRGNN` except the number of items, which the data determines.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    hidden_size: int = 100
    propagation_steps: int = 1
    readout: str = "hybrid"
    edge_weight: str = "binary"
    scale: float | None = None
    reversed_positions: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_int("hidden_size", self.hidden_size, 1)
        check_int("propagation_steps", self.propagation_steps, 0)
        check_choice("readout", self.readout, READOUTS)
        check_choice("edge_weight", self.edge_weight, EDGE_WEIGHTS)
        if self.scale is not None:
            check_float("scale", self.scale, 0, exclusive=True)
        check_int("reversed_positions", self.reversed_positions, 0)
        if check_float("dropout", self.dropout, 0) >= 1:
            raise ArgumentError("dropout", self.dropout, "a share below 1")

    def build(self, num_items: int) -> "SRGNN":
        """Returns a model with freshly initialised weights."""
        return SRGNN(num_items, **asdict(self))


class SRGNN(Module):
    """Session-based recommendation with graph neural networks (Wu et al., AAAI 2019).

    Args:
        num_items: Number of candidates :math:`V`.
        hidden_size: Width :math:`d` of item embeddings and states.
        propagation_steps: Number of message passing steps on the session graph; 0 does not use the graph.
        readout: `hybrid`, `global`, `local` or `average`, see :class:`~srgnn.nn.readout.SessionReadout`.
        edge_weight: `binary` or `occurrence`, see :class:`~srgnn.nn.conv.SessionGraphConv`.
        scale: Factor of the cosine of session and item; their product is the score, as in NISER (Gupta et al., 2019).
            None, the default, scores by the plain product of the embeddings.
        reversed_positions: Number of learned vectors for the distance of a click from the last one, see
            :class:`~srgnn.nn.readout.SessionReadout`; 0 uses none.
        dropout: Share of the entries of the item embeddings dropped before they enter the graph, in training only.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    def __init__(
        self,
        num_items: int,
        hidden_size: int = 100,
        propagation_steps: int = 1,
        readout: str = "hybrid",
        edge_weight: str = "binary",
        scale: float | None = None,
        reversed_positions: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.num_items = check_int("num_items", num_items, 1)
        self.settings = SRGNNSettings(
            hidden_size, propagation_steps, readout, edge_weight, scale, reversed_positions, dropout
        )
        self.scale = scale
        self.dropout = dropout
        self.item_embedding = ItemEmbedding(num_items, hidden_size, normalized=scale is not None)
        self.conv = SessionGraphConv(hidden_size, propagation_steps, edge_weight)
        self.readout = SessionReadout(hidden_size, readout, reversed_positions)
        if propagation_steps == 0:
            self.conv.requires_grad_(False)  # never used: no gradient for DDP to wait for
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draws all parameters as the authors' code does, uniformly within :math:`\pm 1 / \sqrt d`."""
        bound = self.settings.hidden_size**-0.5
        torch.nn.init.uniform_(self.item_embedding.weight, -bound, bound)
        self.conv.reset_parameters()
        self.readout.reset_parameters()

    def forward(self, batch: Batch) -> Tensor:
        return self.item_embedding.scores(self.session_embedding(batch))  # [B, V]

    def session_embedding(self, batch: Batch) -> Tensor:
        """The embeddings of a batch of B session graphs, [B, d]."""
        return self.encode(self.item_embedding(batch.x), batch)

    def session_embedding_and_table(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Session embeddings [B, d] and the item table [V, d] that they are multiplied by, for losses over all items.

        A loss hands over its gradient of the table, see :meth:`~srgnn.nn.embedding.ItemEmbedding.with_table`.
        """
        states, table = self.item_embedding.with_table(batch.x)
        return self.encode(states, batch), table

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        """Item embeddings of the nodes [N, d] -> session embeddings [B, d]."""
        states = F.dropout(states, self.dropout, self.training)  # [N, d]
        states = self.conv(states, batch.edge_index, batch.edge_weight)  # [N, d]
        session = self.readout(states, batch.alias_index, batch.batch, batch.num_graphs)  # [B, d]
        return session if self.scale is None else self.scale * F.normalize(session)
