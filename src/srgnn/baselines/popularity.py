import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch

from srgnn.data.sessions import Sessions


class Popularity(Module):
    """Scores every item by its clicks in training, regardless of the session (POP, as in Wu et al., 2019).

    Args:
        train: The training sessions.
        num_items: Number of candidates :math:`V`.

    Shapes:
        a batch of B session graphs -> scores [B, V]
    """

    clicks: Tensor  # [V]

    def __init__(self, train: Sessions, num_items: int):
        super().__init__()
        self.register_buffer("clicks", torch.bincount(train.items, minlength=num_items).float())

    def forward(self, batch: Batch) -> Tensor:
        return self.clicks.expand(batch.num_graphs, -1)
