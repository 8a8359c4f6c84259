from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Linear
from torch_geometric.data import Batch
from torch_geometric.utils import segment

from srgnn.errors import check_choice, check_int
from srgnn.nn.conv import EDGE_WEIGHTS, SessionGraphConv
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.readout import SessionReadout
from srgnn.nn.segments import attend


@dataclass(frozen=True)
class SGNNHNSettings(EncoderSettings):
    """The arguments of :class:`SGNNHN`, beside those of every encoder.

    Args:
        propagation_steps: Number of message passing steps on the star graph.
        edge_weight: `binary` or `occurrence`, see :class:`~srgnn.nn.conv.SessionGraphConv`.
        positions: Number of learned vectors for the place of a click in the session, see
            :class:`~srgnn.nn.readout.SessionReadout`; 0 uses none.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    hidden_size: int = 256
    scale: float | None = 12.0
    propagation_steps: int = 1
    edge_weight: str = "binary"
    positions: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("propagation_steps", self.propagation_steps, 1)
        check_choice("edge_weight", self.edge_weight, EDGE_WEIGHTS)
        check_int("positions", self.positions, 0)

    def build(self, num_items: int) -> "SGNNHN":
        """Returns a model with freshly initialised weights."""
        return SGNNHN(num_items, self)


class SGNNHN(SessionEncoder):
    r"""Star graph neural network with a highway network (SGNN-HN; Pan et al., CIKM 2020).

    A star node :math:`\mathbf{x}`, at first the mean of the nodes :math:`\mathbf{h}^0_i` of the session, is connected
    with all of them. A step propagates as in SR-GNN, then from the star to the nodes and back:

    .. math::
        \hat{\mathbf{h}}_i &= \mathrm{SessionGraphConv}(\mathbf{h})_i, \qquad
        \alpha_i = \sigma(\hat{\mathbf{h}}_i^\top \mathbf{x} / \sqrt d)

        \mathbf{h}_i' &= (1 - \alpha_i) \hat{\mathbf{h}}_i + \alpha_i \mathbf{x}, \qquad
        \mathbf{x}' = \textstyle\sum_i \mathrm{softmax}_i(\mathbf{h}_i'^\top \mathbf{x}) \, \mathbf{h}_i'

    After the last step :math:`L` a highway network takes a share of the first states. SR-GNN's readout, with positions
    and with :math:`\mathbf{W}_0 \mathbf{x}^L` as a further term of the attention, makes the session embedding:

    .. math::
        \mathbf{g}_i = \sigma(\mathbf{W}_g [\mathbf{h}^0_i \,\|\, \mathbf{h}^L_i] + \mathbf{b}_g), \qquad
        \mathbf{h}_i = \mathbf{g}_i \odot \mathbf{h}^0_i + (1 - \mathbf{g}_i) \odot \mathbf{h}^L_i

    The paper projects nodes and star before their products, and has no :math:`\sigma` in :math:`\alpha`; the public
    code (the copy in SR-PredictAO, and RecBole-GNN) is as here. Three things differ from that code. It subtracts the
    mean of the entries of session and item before it normalises them for the score, and items enter the graph without
    being normalised; here they are normalised everywhere, as in NISER. It cuts sessions to the last 10 clicks; here
    those are the ones with a position of their own.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    def __init__(self, num_items: int, settings: SGNNHNSettings | None = None):
        settings = settings or SGNNHNSettings()
        super().__init__(num_items, settings)
        self.propagation_steps = settings.propagation_steps
        self.conv = SessionGraphConv(settings.hidden_size, 1, settings.edge_weight)
        self.lin_highway = Linear(2 * settings.hidden_size, settings.hidden_size)
        self.lin_star = Linear(settings.hidden_size, settings.hidden_size)
        self.readout = SessionReadout(settings.hidden_size, positions=settings.positions)
        self.reset_parameters()

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        first = states  # [N, d]
        star = segment(states, batch.ptr, reduce="mean")  # [B, d]
        for _ in range(self.propagation_steps):
            states = self.conv(states, batch.edge_index, batch.edge_weight)
            of_node = star.index_select(0, batch.batch)  # [N, d]
            alpha = torch.sigmoid((states * of_node).sum(dim=1, keepdim=True) / states.size(1) ** 0.5)  # [N, 1]
            states = (1 - alpha) * states + alpha * of_node
            star = attend((states * of_node).sum(dim=1, keepdim=True), states, batch.batch, batch.ptr)
        gate = torch.sigmoid(self.lin_highway(torch.cat([first, states], dim=1)))  # [N, d]
        states = gate * first + (1 - gate) * states
        session: Tensor = self.readout(states, batch.alias_index, batch.batch, batch.num_graphs, self.lin_star(star))
        return session
