from dataclasses import dataclass

import torch
from torch import Tensor

from srgnn.baselines.neighbours import Neighbours, NeighbourSettings, SessionNeighbours, inverse_frequency
from srgnn.data.sessions import Sessions
from srgnn.errors import check_int


@dataclass(frozen=True)
class VMISSettings(NeighbourSettings):
    """The arguments of :class:`VMIS`; the defaults are those of Serenade, the authors' service.

    Args:
        k: Number of neighbours :math:`k`.
        sample_size: Number :math:`m` of the most recent training sessions that neighbours are chosen from.
        last_clicks: Number of the last clicks of a session that count, at most 9: the tenth from the end has no weight.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    k: int = 500
    sample_size: int = 500
    last_clicks: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("last_clicks", self.last_clicks, 1, 9)

    def build(self, num_items: int) -> "VMIS":
        """Returns a model that has not seen any session."""
        return VMIS(num_items, self)


class VMIS(SessionNeighbours):
    r"""Vector multiplication indexed session kNN, VMIS-kNN (Kersbergen et al., 2022), the method of Serenade.

    The weights of :class:`SessionNeighbours`, with the number of clicks :math:`\delta_s(i)` from the last one on
    :math:`i` to the end of the session, which is cut to its last :math:`l` clicks:

    .. math::
        w_s(i) = 1 - \delta_s(i) / l, \quad
        b = 1, \quad
        c_{sn} = 1 - \tfrac{1}{10} \big(1 + \min_{i \in s \cap n} \delta_s(i)\big), \quad
        d(i) = \log(S / S_i)

    :math:`S_i` of the :math:`S` training sessions have item :math:`i`; an item of all sessions has the weight 1, as in
    Serenade, the authors' service. The paper's index, which skips what cannot be among the :math:`m` most recent
    sessions, finds the same neighbours. Serenade never recommends the last item, counts pairs of sessions and items
    instead of :math:`S`, and leaves out the longest sessions. Here the last item is a candidate, as for the other
    methods: a tenth of the clicks on Diginetica and a sixth on Yoochoose 1/64 repeat it.

    Args:
        num_items: Number of items :math:`V`.
        settings: The other arguments.
    """

    settings: VMISSettings
    rarity: Tensor  # [V] the weight of an item

    def __init__(self, num_items: int, settings: VMISSettings):
        super().__init__(num_items, settings, "rarity")

    def observe(self, train: Sessions) -> None:
        super().observe(train)
        rarity = inverse_frequency(self.item, self.num_items, len(train))
        self.rarity = torch.where(rarity > 0, rarity, 1.0)

    def click_weight(self, distance: Tensor, length: Tensor) -> Tensor:
        seen = length.clamp(max=self.settings.last_clicks)
        return ((seen - distance) / seen).clamp(min=0)

    def neighbour_weight(self, found: Neighbours) -> Tensor:
        return (1 - 0.1 * (found.distance + 1)).clamp(min=0)

    def item_weight(self, found: Neighbours, neighbour: Tensor, entry: Tensor) -> Tensor:
        return self.rarity[self.item[entry]]
