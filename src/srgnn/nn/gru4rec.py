from dataclasses import dataclass

from torch import Tensor
from torch_geometric.data import Batch

from srgnn.errors import check_int
from srgnn.nn.clicks import ClickGRU, Clicks
from srgnn.nn.encoder import EncoderSettings, SessionEncoder


@dataclass(frozen=True)
class GRU4RecSettings(EncoderSettings):
    """The arguments of :class:`GRU4Rec`, beside those of every encoder.

    Args:
        num_layers: Number of GRU layers.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    num_layers: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("num_layers", self.num_layers, 1)

    def build(self, num_items: int) -> "GRU4Rec":
        """Returns a model with freshly initialised weights."""
        return GRU4Rec(num_items, self)


class GRU4Rec(SessionEncoder):
    r"""A GRU over the clicks of a session, whose last hidden state is the session (Hidasi et al., ICLR 2016).

    With :math:`\mathbf{x}_1 \ldots \mathbf{x}_n` the embeddings of the clicks, in order:

    .. math::
        \mathbf{h}_i = \mathrm{GRU}(\mathbf{x}_i, \mathbf{h}_{i-1}), \qquad
        \mathbf{h}_0 = \mathbf{0}, \qquad \mathbf{s} = \mathbf{h}_n

    As in their later code, the items have one table for clicks and scores ("constrained embeddings"; Hidasi and
    Karatzoglou, CIKM 2018), and the loss is cross entropy. The parameter files of that code take it over a sample of
    2,048 items and drop entries of the states; here it is over all items (`loss=sampled_softmax` draws a sample), the
    states are whole, and every prefix of a session is trained on, not mini-batches of parallel sessions.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    def __init__(self, num_items: int, settings: GRU4RecSettings | None = None):
        settings = settings or GRU4RecSettings()
        super().__init__(num_items, settings)
        self.gru = ClickGRU(settings.hidden_size, settings.num_layers)
        self.reset_parameters()

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        clicks = Clicks.of(states, batch)
        return clicks.last(self.gru(clicks))  # [B, d]
