"""The base of models that count clicks: they score a few candidates per session, and all other items by popularity."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.data.sessions import Sessions
from srgnn.metrics import check_finite
from srgnn.nn.counts import Counts
from srgnn.nn.segments import descending


@dataclass(frozen=True)
class CountedSettings:
    """The base of the arguments of every :class:`CountedModel`."""

    has_weights: ClassVar[bool] = False


@dataclass(frozen=True)
class Candidates:
    """The items that a model has evidence for, in no particular order; no session has an item twice.

    Shapes:
        session [n], its number in the batch; item [n]; score [n], not negative
    """

    session: Tensor
    item: Tensor
    score: Tensor


class CountedModel(Counts):
    """A model that counts clicks in training instead of learning weights.

    An item that is no candidate scores below zero, by its clicks in training: popularity decides among those. A model
    of this kind writes :meth:`candidates`, and counts what that needs in :meth:`observe`.

    Args:
        num_items: Number of items :math:`V`.
        names: Names of the buffers that it counts.

    Shapes:
        a batch of B session graphs -> scores [B, V]
    """

    in_products = False
    popularity: Tensor  # [V] the score of an item that is no candidate

    def __init__(self, num_items: int, *names: str):
        super().__init__("popularity", *names)
        self.num_items = num_items
        self.by_popularity: tuple[Tensor, Tensor] | None = None  # the popularity in ascending order, and the items

    def observe(self, train: Sessions) -> None:
        """Counts the buffers in the training sessions."""
        self.by_popularity = None
        clicks = torch.bincount(train.items, minlength=self.num_items)
        top = clicks.max() + 1
        self.popularity = ((clicks - top).double() / top).float()  # below zero, however many clicks there are

    def candidates(self, batch: Batch) -> Candidates:
        """The items that the sessions of a batch are evidence for, with their scores."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Tensor:
        found = self.candidates(batch)
        scores = self.popularity.repeat(batch.num_graphs, 1)
        scores[found.session, found.item] = found.score.to(scores.dtype)
        return scores

    def probabilities(self, scores: Tensor) -> Tensor:
        """Shares of the candidates' scores, [B, V] -> [B, V]; without a candidate, shares of the clicks in training."""
        share = scores.clamp(min=0)
        share = torch.where(share.any(dim=-1, keepdim=True), share, scores + 1)
        return share / share.sum(dim=-1, keepdim=True)

    def scores_of(self, batch: Batch, items: Tensor) -> Tensor:
        """The scores of some items [K] only, [B, K]."""
        return self(batch)[:, items]  # type: ignore[no-any-return]

    def rank(self, batch: Batch, top: int) -> tuple[Tensor, Tensor, Tensor]:
        """The rank of every target [B], and the best items with their scores, [B, top] each.

        As from all scores [B, V] by :func:`~srgnn.metrics.target_ranks`, without holding them.
        """
        found = self.candidates(batch)
        session, item, score = found.session, found.item, check_finite(found.score.to(self.popularity.dtype))
        num_sessions, target = batch.num_graphs, batch.y
        if self.by_popularity is None:  # once: it takes a second for ten million items
            ascending = self.popularity.sort()
            self.by_popularity = ascending.values, ascending.indices
        popularity, items = self.by_popularity
        is_target = item == target[session]
        target_score = self.popularity[target].index_put((session[is_target],), score[is_target])  # [B]
        is_candidate = target_score >= 0
        at_least = (score >= target_score[session]).long()
        # Of a target that is no candidate: items with its popularity, but for the candidates, which are all above.
        popular = self.num_items - torch.searchsorted(popularity, target_score)
        below = (self.popularity[item] < target_score[session]).long()
        ranks = torch.where(is_candidate, 0, popular).index_add(
            0, session, torch.where(is_candidate[session], at_least, below)
        )
        # As int32, which sorts faster: floats that are not negative are in the order of their bits.
        order, place = descending(session, score.view(torch.int32))
        session, item, score = session[order], item[order], score[order]
        within = place < top
        best = item.new_zeros(num_sessions, top)
        scores = score.new_zeros(num_sessions, top)
        best[session[within], place[within]] = item[within]
        scores[session[within], place[within]] = score[within]

        # Sessions with too few candidates: the most popular of the other items fill up.
        count = session.bincount(minlength=num_sessions)
        few = (count < top).nonzero().view(-1)
        popular_items = items[len(items) - top :].flip(0)
        is_few = (count < top)[session]
        keys = (session[is_few] * self.num_items + item[is_few]).sort().values
        wanted = few.view(-1, 1) * self.num_items + popular_items
        position = torch.searchsorted(keys, wanted).clamp(max=max(0, len(keys) - 1))
        is_new = keys[position] != wanted if len(keys) else torch.ones_like(wanted, dtype=torch.bool)
        place = count[few].view(-1, 1) + is_new.cumsum(1) - 1
        row, column = (is_new & (place < top)).nonzero(as_tuple=True)
        best[few[row], place[row, column]] = popular_items[column]
        scores[few[row], place[row, column]] = self.popularity[popular_items[column]]
        return ranks, best, scores
