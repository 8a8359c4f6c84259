from dataclasses import dataclass

import torch
from torch import Tensor

from srgnn.baselines.neighbours import Neighbours, NeighbourSettings, SessionNeighbours
from srgnn.errors import check_float


@dataclass(frozen=True)
class STANSettings(NeighbourSettings):
    r"""The arguments of :class:`STAN`.

    The defaults are those of Ludewig et al. (2020) for Diginetica, but for the decay by age, which goes by the order of
    the sessions here: of the range that they searched, 2.5 to 100 days, the longest was the best for the latest tenth
    of the training sessions of Diginetica and Yoochoose 1/64. On Diginetica, that is 0.7 of the sessions.

    Args:
        k: Number of neighbours :math:`k`.
        sample_size: Number :math:`m` of the most recent training sessions that neighbours are chosen from.
        click_decay: :math:`\lambda_1`, in clicks from the end of the session.
        age_decay: :math:`\lambda_2`, as a share of the training sessions, which are in order of time.
        item_decay: :math:`\lambda_3`, in clicks from the last shared one of the neighbour.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    k: int = 500
    sample_size: int = 10000
    click_decay: float = 1.225
    age_decay: float = 0.7
    item_decay: float = 4.9

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("click_decay", "age_decay", "item_decay"):
            check_float(name, getattr(self, name), 0, exclusive=True)

    def build(self, num_items: int) -> "STAN":
        """Returns a model that has not seen any session."""
        return STAN(num_items, self)


class STAN(SessionNeighbours):
    r"""Sequence and time aware neighbourhood, STAN (Garg et al., 2019).

    The weights of :class:`SessionNeighbours`, with the number of clicks :math:`\delta_s(i)` from the last one on
    :math:`i` to the end of the session, the age :math:`t_n` of a training session and the place :math:`p_n(i)` of
    the last click on :math:`i` in it:

    .. math::
        w_s(i) = e^{-\delta_s(i) / \lambda_1}, \quad
        b_{sn} = \frac{e^{-t_n / \lambda_2}}{\sqrt{|n|}}, \quad
        c = 1, \quad
        d_{sn}(i) = e^{-|p_n(i) - \max_{j \in s \cap n} p_n(j)| / \lambda_3}

    :math:`|n|` is the number of distinct items. The norm of the session, by which the paper divides, is the same for
    all of its neighbours: it does not affect the ranking. The published sets have no times: the age of a training
    session is the share of the training sessions that are later. The age of the session itself is a common factor,
    too: ages are counted from the most recent session of the sample, so that no similarity is lost to rounding.

    Args:
        num_items: Number of items :math:`V`.
        settings: The other arguments.
    """

    settings: STANSettings

    def click_weight(self, distance: Tensor, length: Tensor) -> Tensor:
        return torch.exp(-distance / self.settings.click_decay)

    def similarity(self, found: Neighbours) -> Tensor:
        num_sessions = len(self.ptr) - 1
        size = self.ptr[found.session + 1] - self.ptr[found.session]
        latest = found.session.new_zeros(int(found.prefix.max()) + 1 if len(found.prefix) else 0)
        latest = latest.scatter_reduce_(0, found.prefix, found.session, "amax")
        age = (latest[found.prefix] - found.session) / num_sessions
        return found.similarity * torch.exp(-age / self.settings.age_decay) / size.sqrt()

    def neighbour_weight(self, found: Neighbours) -> Tensor:
        return torch.ones_like(found.similarity)

    def item_weight(self, found: Neighbours, neighbour: Tensor, entry: Tensor) -> Tensor:
        distance = (self.position[entry] - found.anchor[neighbour]).abs()
        return torch.exp(-distance / self.settings.item_decay)
