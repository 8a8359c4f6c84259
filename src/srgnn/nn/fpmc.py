from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor
from torch.nn import Embedding
from torch_geometric.data import Batch

from srgnn.errors import check_int
from srgnn.nn.clicks import Clicks
from srgnn.nn.encoder import EncoderSettings, SessionEncoder


@dataclass(frozen=True)
class FPMCSettings(EncoderSettings):
    """The arguments of :class:`FPMC`, beside those of every encoder.

    Args:
        dropout: Share of the entries of the factors of clicks dropped, in training only.
        basket: Number of the latest clicks of a session from which the next one follows.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    basket: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("basket", self.basket, 1)

    def build(self, num_items: int) -> "FPMC":
        """Returns a model with freshly initialised weights."""
        return FPMC(num_items, self)


class FPMC(SessionEncoder):
    r"""A factorised Markov chain (Rendle et al., WWW 2010, eq. 9), without the term of the user.

    With :math:`\mathcal{B}` the latest clicks, :math:`\mathbf{v}_i` the factors of a click, and :math:`\mathbf{x}_j`
    those of the next item, which are a table of their own:

    .. math:: s_j = \langle \mathbf{s}, \mathbf{x}_j \rangle, \qquad
        \mathbf{s} = \tfrac{1}{|\mathcal{B}|} \textstyle\sum_{i \in \mathcal{B}} \mathbf{v}_i

    A session is anonymous, so there is no user. Where each click is a basket of its own, this is a first-order Markov
    chain, whose matrix of transitions has rank :math:`d`.

    The table of :math:`\mathbf{v}` has dense gradients, and a sharded training leaves it whole in every process.

    Shapes:
        a batch of B session graphs -> scores [B, V]
    """

    item_tables = ("item_embedding.weight", "click_embedding.weight")

    def __init__(self, num_items: int, settings: FPMCSettings | None = None):
        settings = settings or FPMCSettings()
        super().__init__(num_items, settings)
        self.basket = settings.basket
        self.click_embedding = Embedding(num_items, settings.hidden_size)
        self.reset_parameters()

    def looked_up(self, batch: Batch) -> Tensor:
        """None of the items: clicks have factors of their own."""
        nodes: Tensor = batch.x[:0]
        return nodes

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        factors = F.dropout(self.click_embedding(batch.x), self.dropout, self.training)  # [N, d]
        clicks = Clicks.of(factors, batch).latest(self.basket)
        return clicks.reduce(clicks.state, "mean")  # [B, d]
