from dataclasses import dataclass

from torch import Tensor
from torch_geometric.data import Batch

from srgnn.nn.clicks import Clicks
from srgnn.nn.encoder import EncoderSettings, SessionEncoder


@dataclass(frozen=True)
class BPRMFSettings(EncoderSettings):
    """The arguments of :class:`BPRMF` are those of every encoder."""

    def build(self, num_items: int) -> "BPRMF":
        """Returns a model with freshly initialised weights."""
        return BPRMF(num_items, self)


class BPRMF(SessionEncoder):
    r"""Matrix factorisation for sessions: a session is the mean of the factors of its clicks.

    .. math:: \mathbf{s} = \tfrac{1}{n} \textstyle\sum_i \mathbf{x}_i

    Matrix factorisation has a factor for every user, and a new session has none: Hidasi et al. (2016) score it by this
    mean. Here sessions are the mean in training, too, and no factors are learned that are never used. The score is a
    similarity, the same in both directions, so an item can recommend its predecessor as well as its successor. The
    loss `bpr` is that of Rendle et al. (UAI 2009).

    Shapes:
        a batch of B session graphs -> scores [B, V]
    """

    def __init__(self, num_items: int, settings: BPRMFSettings | None = None):
        settings = settings or BPRMFSettings()
        super().__init__(num_items, settings)
        self.reset_parameters()

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        clicks = Clicks.of(states, batch)
        return clicks.reduce(clicks.state, "mean")  # [B, d]
