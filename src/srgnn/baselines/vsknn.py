from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from srgnn.baselines.neighbours import Neighbours, NeighbourSettings, SessionNeighbours, inverse_frequency
from srgnn.data.sessions import Sessions
from srgnn.errors import check_choice, check_float

# The weight of the click at position i of a session of several clicks, from 1 (Ludewig and Jannach, 2018).
WEIGHTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "same": lambda i, clicks: torch.ones_like(i),
    "linear": lambda i, clicks: (1 - 0.1 * (clicks - i)).clamp(min=0),
    "div": lambda i, clicks: i / clicks,
    "log": lambda i, clicks: 1 / (clicks - i + 1.7).log10(),
    "quadratic": lambda i, clicks: (i / clicks) ** 2,
}
# The weight of a neighbour whose most recent shared click is the i-th of the session, from 1 for the last one.
MATCHES: dict[str, Callable[[Tensor], Tensor]] = {
    "same": torch.ones_like,
    "linear": lambda i: (1 - 0.1 * i).clamp(min=0),
    "div": lambda i: 1 / i,
    "log": lambda i: 1 / (i + 1.7).log10(),
    "quadratic": lambda i: 1 / i**2,
}


@dataclass(frozen=True)
class VSKNNSettings(NeighbourSettings):
    r"""The arguments of :class:`VSKNN`; the defaults are those of Ludewig et al. (2020) for Diginetica.

    Args:
        k: Number of neighbours :math:`k`.
        sample_size: Number :math:`m` of the most recent training sessions that neighbours are chosen from.
        weighting: Weight :math:`w` of the click at position :math:`i` of :math:`l`: `same` (1), `linear`
            (:math:`1 - (l - i) / 10`, at least 0), `div` (:math:`i / l`), `log`
            (:math:`1 / \log_{10}(l - i + 1.7)`) or `quadratic` (:math:`(i / l)^2`).
        weighting_score: Weight :math:`c` of a neighbour whose most recent shared click is the :math:`i`-th from the
            end: `same` (1), `linear` (:math:`1 - i / 10`, at least 0), `div` (:math:`1 / i`), `log`
            (:math:`1 / \log_{10}(i + 1.7)`) or `quadratic` (:math:`1 / i^2`).
        idf_weighting: Factor :math:`\lambda` of the inverse frequency of an item; 0 leaves it out.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    k: int = 500
    sample_size: int = 5000
    weighting: str = "quadratic"
    weighting_score: str = "div"
    idf_weighting: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("weighting", self.weighting, WEIGHTS)
        check_choice("weighting_score", self.weighting_score, MATCHES)
        check_float("idf_weighting", self.idf_weighting, 0)

    def build(self, num_items: int) -> "VSKNN":
        """Returns a model that has not seen any session."""
        return VSKNN(num_items, self)


class VSKNN(SessionNeighbours):
    r"""Vector multiplication session-based kNN, V-SKNN (Ludewig and Jannach, 2018; Ludewig et al., 2020).

    The weights of :class:`SessionNeighbours`: :math:`b = 1`; :math:`w_s(i)` grows towards the end of the session;
    :math:`c_{sn}` falls with the distance of the most recent shared click from the end;
    :math:`d(i) = 1 + \lambda \log(S / S_i)`, where :math:`S_i` of the :math:`S` training sessions have item :math:`i`.
    session-rec divides by the number of clicks instead of :math:`S_i`.

    Args:
        num_items: Number of items :math:`V`.
        settings: The other arguments.
    """

    settings: VSKNNSettings
    rarity: Tensor  # [V] the weight of an item

    def __init__(self, num_items: int, settings: VSKNNSettings):
        super().__init__(num_items, settings, "rarity")

    def observe(self, train: Sessions) -> None:
        super().observe(train)
        self.rarity = 1 + self.settings.idf_weighting * inverse_frequency(self.item, self.num_items, len(train))

    def click_weight(self, distance: Tensor, length: Tensor) -> Tensor:
        return WEIGHTS[self.settings.weighting]((length - distance).float(), length.float())

    def neighbour_weight(self, found: Neighbours) -> Tensor:
        return MATCHES[self.settings.weighting_score]((found.distance + 1).float())

    def item_weight(self, found: Neighbours, neighbour: Tensor, entry: Tensor) -> Tensor:
        return self.rarity[self.item[entry]]
