from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor
from torch_geometric.data import Batch

from srgnn.errors import check_choice, check_int
from srgnn.nn.connections import PairCounts, full_connections
from srgnn.nn.conv import EDGE_WEIGHTS, SessionGraphConv
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.readout import READOUTS, SessionReadout

if TYPE_CHECKING:
    from srgnn.data.sessions import Sessions

CONNECTIONS = ["session", "global", "full"]


@dataclass(frozen=True)
class SRGNNSettings(EncoderSettings):
    """The arguments of :class:`SRGNN`, beside those of every encoder.

    Args:
        propagation_steps: Number of message passing steps on the session graph; 0 does not use the graph.
        readout: `hybrid`, `global`, `local` or `average`, see :class:`~srgnn.nn.readout.SessionReadout`.
        edge_weight: `binary` or `occurrence`, see :class:`~srgnn.nn.conv.SessionGraphConv`.
        reversed_positions: Number of learned vectors for the distance of a click from the last one, see
            :class:`~srgnn.nn.readout.SessionReadout`; 0 uses none.
        connections: Edges between the items of a session. `session` takes its clicks. `global` weights these edges by
            how often the pair was clicked in training, whatever `edge_weight` is: SR-GNN-NGC in the paper, see
            :class:`~srgnn.nn.connections.PairCounts`. `full` appends edges from each item to all later ones: SR-GNN-FC,
            see :func:`~srgnn.nn.connections.full_connections`.
        positions: Number of learned vectors for the place of a click in the session, see
            :class:`~srgnn.nn.readout.SessionReadout`; 0 uses none.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    propagation_steps: int = 1
    readout: str = "hybrid"
    edge_weight: str = "binary"
    reversed_positions: int = 0
    connections: str = "session"
    positions: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("propagation_steps", self.propagation_steps, 0)
        check_choice("readout", self.readout, READOUTS)
        check_choice("edge_weight", self.edge_weight, EDGE_WEIGHTS)
        check_int("reversed_positions", self.reversed_positions, 0)
        check_choice("connections", self.connections, CONNECTIONS)
        check_int("positions", self.positions, 0)

    def build(self, num_items: int) -> "SRGNN":
        """Returns a model with freshly initialised weights."""
        return SRGNN(num_items, self)


class SRGNN(SessionEncoder):
    """Session-based recommendation with graph neural networks (Wu et al., AAAI 2019).

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    settings: SRGNNSettings

    def __init__(self, num_items: int, settings: SRGNNSettings | None = None):
        settings = settings or SRGNNSettings()
        super().__init__(num_items, settings)
        self.connections = settings.connections
        edge_weight = "occurrence" if settings.connections == "global" else settings.edge_weight
        self.conv = SessionGraphConv(
            settings.hidden_size, settings.propagation_steps, edge_weight, appended=settings.connections == "full"
        )
        self.readout = SessionReadout(
            settings.hidden_size, settings.readout, settings.reversed_positions, settings.positions
        )
        self.pairs = PairCounts(num_items) if settings.connections == "global" else None
        if settings.propagation_steps == 0:
            self.conv.requires_grad_(False)  # never used: no gradient for DDP to wait for
        self.reset_parameters()

    def observe(self, train: "Sessions") -> None:
        """Counts the pairs of clicks in training, if they weight the edges."""
        if self.pairs is not None:
            self.pairs.observe(train)

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        states = self.node_states(states, batch)  # [N, d]
        session: Tensor = self.readout(states, batch.alias_index, batch.batch, batch.num_graphs)  # [B, d]
        return session

    def node_states(self, states: Tensor, batch: Batch) -> Tensor:
        """The states of the nodes after propagation, from their item embeddings, [N, d] -> [N, d]."""
        if self.conv.propagation_steps == 0:
            return states
        appended = full_connections(batch) if self.connections == "full" else None
        after: Tensor = self.conv(states, batch.edge_index, self.edge_weights(batch), appended)
        return after

    def edge_weights(self, batch: Batch) -> Tensor:
        """The weights of the edges of session graphs before they are normalised, [num_edges]."""
        weight: Tensor = batch.edge_weight if self.pairs is None else self.pairs(*batch.x[batch.edge_index])
        return weight
