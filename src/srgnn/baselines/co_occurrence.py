"""Models that score items by how often they are in the same sessions as the last item."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.baselines.counted import Candidates, CountedModel, CountedSettings
from srgnn.baselines.sparse import SessionItems, parts, rows_of, sums_by
from srgnn.data.sessions import Sessions, pointers
from srgnn.errors import check_float, check_int
from srgnn.nn.clicks import Clicks
from srgnn.nn.segments import descending


@dataclass(frozen=True)
class AssociationRulesSettings(CountedSettings):
    """:class:`AssociationRules` has no arguments."""

    def build(self, num_items: int) -> "AssociationRules":
        """Returns a model that has not seen any session."""
        return AssociationRules(num_items)


@dataclass(frozen=True)
class ItemKNNSettings(CountedSettings):
    r"""The arguments of :class:`ItemKNN`; the defaults are those of GRU4Rec's authors, whom SR-GNN's authors follow.

    Args:
        k: Number of neighbours :math:`k` of an item.
        regularization: :math:`\lambda`, in sessions: rare items are not similar by chance.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    k: int = 100
    regularization: float = 20.0

    def __post_init__(self) -> None:
        check_int("k", self.k, 1)
        check_float("regularization", self.regularization, 0)

    def build(self, num_items: int) -> "ItemKNN":
        """Returns a model that has not seen any session."""
        return ItemKNN(num_items, self)


class ItemToItem(CountedModel):
    """Scores items by a table of numbers, counted in training, for the session's last item.

    A method of this kind is what :meth:`rules` yields. Of a session, the latest :data:`~srgnn.baselines.sparse.LATEST`
    clicks count.

    Args:
        num_items: Number of items :math:`V`.
    """

    # The items that occur together with item i, other[ptr[i]] to other[ptr[i + 1]], and their scores.
    ptr: Tensor  # [V + 1]
    other: Tensor
    score: Tensor

    def __init__(self, num_items: int):
        super().__init__(num_items, "ptr", "other", "score")

    def rules(self, of: SessionItems) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The items, others and scores, ascending by the items; one part of the items after the other."""
        raise NotImplementedError

    def observe(self, train: Sessions) -> None:
        super().observe(train)
        of = SessionItems.of(train, self.num_items)
        rules = [(item.int(), other.int(), score) for item, other, score in self.rules(of)]
        item, self.other, self.score = (torch.cat(column) for column in zip(*rules, strict=True))
        self.ptr = pointers(item.bincount(minlength=self.num_items))

    def candidates(self, batch: Batch) -> Candidates:
        clicks = Clicks.of(batch.x, batch)
        session, entry = rows_of(self.ptr, clicks.last(clicks.state))
        return Candidates(session, self.other[entry].long(), self.score[entry])


class AssociationRules(ItemToItem):
    r"""Scores items by their clicks in the sessions of the last item, before or after it; ties by popularity.

    .. math:: \mathrm{score}(j) = \sum_{n} c_n(i)\, (c_n(j) - [i = j])

    where :math:`c_n(i)` is the number of clicks on item :math:`i` in training session :math:`n` (AR in Ludewig and
    Jannach, 2018). A click is no evidence for itself: an item follows itself only where it is repeated, as in the
    authors' code, session-rec. That keeps the 20 strongest rules of an item; here, all count.
    """

    def rules(self, of: SessionItems) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        item_of, clicks = of.item, of.clicks.float()

        def times(one: Tensor, other: Tensor) -> Tensor:
            return clicks[one] * (clicks[other] - (item_of[one] == item_of[other]).float())

        for item, other, score in sums_over_sessions(of, self.num_items, times):
            yield item, other, score + self.popularity[other]


class ItemKNN(ItemToItem):
    r"""Scores the :math:`k` items that are most similar to the last item (Item-KNN in Hidasi et al., 2016).

    .. math:: \mathrm{score}(j) = \frac{S_{ij}}{\sqrt{(S_i + \lambda)\,(S_j + \lambda)}}, \qquad j \neq i

    :math:`S_i` training sessions have item :math:`i`, and :math:`S_{ij}` have both: the regularised cosine of the
    vectors of their sessions. GRU4Rec's authors count clicks instead of sessions.

    Args:
        num_items: Number of items :math:`V`.
        settings: The other arguments.
    """

    def __init__(self, num_items: int, settings: ItemKNNSettings):
        super().__init__(num_items)
        self.settings = settings

    def rules(self, of: SessionItems) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        norm = (of.item_ptr.diff() + self.settings.regularization).sqrt()

        def both(one: Tensor, other: Tensor) -> Tensor:
            return (of.item[one] != of.item[other]).float()

        for item, other, sessions in sums_over_sessions(of, self.num_items, both):
            score = sessions / (norm[item] * norm[other])
            order, place = descending(item, score)
            order = order[place < self.settings.k]
            yield item[order], other[order], score[order]


def sums_over_sessions(
    of: SessionItems, num_items: int, value: Callable[[Tensor, Tensor], Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Sums values of pairs of items over the sessions that have both, for some items after the other.

    Args:
        of: The items of the sessions.
        num_items: Number of items :math:`V`.
        value: The values of pairs in a session, given their entries in `of`: [n] and [n] -> [n].

    Returns:
        item [n], other item [n], sum [n]: the distinct pairs whose sum is positive, in ascending order.
    """
    size = pointers(of.ptr.diff()[of.session])  # of the sessions, in the order of the items
    for begin, end in parts(size[of.item_ptr].diff(), num_items):
        rows = slice(int(of.item_ptr[begin]), int(of.item_ptr[end]))
        row, other = rows_of(of.ptr, of.session[rows])
        one = of.entry[rows][row]
        key, total = sums_by((of.item[one] - begin) * num_items + of.item[other], value(one, other))
        key, total = key[total > 0], total[total > 0]
        yield key // num_items + begin, key % num_items, total
