"""The best items of sessions, all as indices, by the way that suits the model and the size of its catalogue."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.answers import BestItems
from srgnn.compiled import CLICKS_AT_ONCE, CompiledModel
from srgnn.contracts import Model, TrainableModel
from srgnn.data.graphs import evaluation_batch_size, whole_sessions
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.evaluation import Ranker
from srgnn.index import ItemIndex
from srgnn.metrics import check_finite
from srgnn.nn.ranking import best_products

# Up to this number of scores, 32 MB, they are held at once: on two cores, 128 sessions among 43,097 items are ranked so
# in half the time of tiles, and one in a quarter.
HELD = 2**23


class Retrieval:
    """Finds the best items of a model.

    Args:
        model: The model, in evaluation mode.
        num_items: Number of its items :math:`V`.
        clicks: Number of training clicks of every item, [V]: they answer sessions without a click. None refuses these.
        index: An index of its items, which proposes the ones to score; None scores all.
        compiled: The model as compiled programs, for batches of up to :data:`~srgnn.compiled.CLICKS_AT_ONCE`;
            None runs its layers one by one.
    """

    def __init__(
        self,
        model: Model,
        num_items: int,
        clicks: Tensor | None = None,
        index: ItemIndex | None = None,
        compiled: CompiledModel | None = None,
    ):
        self.model, self.num_items, self.clicks = model, num_items, clicks
        self.index, self.compiled = index, compiled
        self.popular = None if clicks is None else clicks.sort(descending=True, stable=True).indices
        self.ranker = Ranker(model, torch.device("cpu"))
        self.scores: Callable[[Batch], Tensor] = model
        if model.in_products:
            trained, of_items = cast(TrainableModel, model), (self.ranker.items, self.ranker.norm)
            self.scores = lambda batch: trained.item_embedding.scores(trained.session_embedding(batch), *of_items)

    @torch.inference_mode()
    def best_items(
        self,
        sessions: Sessions,
        k: int,
        without: Sessions | None = None,
        only: Tensor | None = None,
        with_probabilities: bool = False,
    ) -> BestItems:
        """The best `k` items of many sessions, all as indices.

        Args:
            sessions: The clicks; sessions without any get the items with the most training clicks.
            k: Number of items.
            without: The items that are left out for each session, none twice; None leaves out nothing.
            only: The items to choose from, ascending, [n]; None for all.
            with_probabilities: Whether the probabilities among all items are computed, too; never with an index.

        Raises:
            UserError: if a session has no click and the clicks of the items are not known, or a score is not finite.
        """
        with_probabilities = with_probabilities and self.index is None
        most_left_out = 0 if without is None else int(without.lengths.max())
        top = min(k + most_left_out, self.num_items if only is None else len(only))
        if self.compiled is None or with_probabilities or only is not None:
            items, scores, probabilities = self._by_layers(sessions, top, only, with_probabilities)
        else:
            items, scores, probabilities = *self._by_programs(sessions, top), None
        if without is not None:
            keys = torch.arange(len(sessions)).view(-1, 1) * self.num_items + items
            is_out = torch.isin(keys, without.owner * self.num_items + without.items)
            order = is_out.int().sort(dim=1, stable=True).indices  # the others move up
            items = items.masked_fill(is_out, -1).gather(1, order)
            scores = scores.masked_fill(is_out, -torch.inf).gather(1, order)
            probabilities = None if probabilities is None else probabilities.gather(1, order)
        return BestItems(items[:, :k], scores[:, :k], None if probabilities is None else probabilities[:, :k])

    def _by_layers(
        self, sessions: Sessions, top: int, only: Tensor | None, with_probabilities: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The best items of sessions, their scores, and their probabilities, [S, top] each."""
        items = torch.zeros(len(sessions), top, dtype=torch.long)
        scores = torch.zeros(len(sessions), top)
        probabilities = torch.zeros(len(sessions), top) if with_probabilities else None
        is_empty = sessions.lengths == 0
        if is_empty.any():
            items[is_empty], scores[is_empty] = self._most_popular(top, only)
            if probabilities is not None:
                probabilities[is_empty] = scores[is_empty] / max(1, int(self.clicks.sum()))  # type: ignore[union-attr]
        filled = (~is_empty).nonzero().view(-1)
        holds_scores = with_probabilities or not (self.ranker.in_tiles or self.ranker.rank)
        graphs = whole_sessions(sessions, self.num_items)
        size = evaluation_batch_size(self.num_items, holds_scores=holds_scores)
        for first in range(0, len(filled), size):
            rows = filled[first : first + size]
            batch = graphs[graphs.first[rows]]
            if probabilities is None:
                items[rows], scores[rows] = self._retrieve(batch, top, only)
                continue
            of_all = check_finite(self.scores(batch))  # [b, V], for the ranks and for the probabilities
            scores[rows], found = (of_all if only is None else of_all[:, only]).topk(top)
            items[rows] = found if only is None else only[found]
            probabilities[rows] = self.model.probabilities(of_all).gather(1, items[rows])
        return items, scores, probabilities

    @torch.inference_mode()
    def session_embeddings(self, sessions: Sessions) -> Tensor:
        """The embeddings of sessions, none of them empty, [S, d].

        Raises:
            AttributeError: if the model has none.
        """
        graphs = whole_sessions(sessions, self.num_items)
        parts = torch.split(graphs.first[:-1], evaluation_batch_size(self.num_items, holds_scores=False))
        return torch.cat([cast(TrainableModel, self.model).session_embedding(graphs[rows]) for rows in parts])

    def _retrieve(self, batch: Batch, top: int, only: Tensor | None) -> tuple[Tensor, Tensor]:
        """The best items of a batch and their scores, [B, top] each."""
        if only is not None:
            of_choice = check_finite(self.model.scores_of(batch, only)).topk(top)
            return only[of_choice.indices], of_choice.values
        if self.index is not None:
            session = check_finite(cast(TrainableModel, self.model).session_embedding(batch))
            items, scores = self.index.best(session, self.ranker.items, self.ranker.norm, top)
            if (items >= 0).all():  # else it proposed too few
                return items, scores
        if self.ranker.in_tiles and batch.num_graphs * self.num_items <= HELD:
            return self._of_all(cast(TrainableModel, self.model).session_embedding(batch), top)
        _, items, scores = self.ranker(batch, top)
        return items, scores

    def _of_all(self, session: Tensor, top: int) -> tuple[Tensor, Tensor]:
        """The best ones of all items for few session embeddings [B, d] and their scores, [B, top] each."""
        check_finite(session.norm(dim=1) * self.ranker.longest)  # no score is larger
        parts = torch.split(session, max(1, HELD // self.num_items))
        found = [best_products(part, self.ranker.items, self.ranker.norm, top, self.columns) for part in parts]
        items, scores = (torch.cat(each) for each in zip(*found, strict=True))
        return items, scores

    def _by_programs(self, sessions: Sessions, top: int) -> tuple[Tensor, Tensor]:
        """The best items of sessions and their scores, [S, top] each, by the compiled model where it suits them."""
        lengths = np.diff(sessions.ptr.numpy())
        if len(lengths) and lengths.all() and len(lengths) * lengths.max() <= CLICKS_AT_ONCE:
            return self._compiled(padded(sessions), top)
        items, scores = torch.zeros(len(lengths), top, dtype=torch.long), torch.zeros(len(lengths), top)
        for rows in batches_of(lengths):
            part = Sessions.from_lists([sessions[s].tolist() for s in rows])
            if 0 < lengths[rows].max() <= CLICKS_AT_ONCE:
                items[rows], scores[rows] = self._compiled(padded(part), top)
            else:
                items[rows], scores[rows], _ = self._by_layers(part, top, None, False)
        return items, scores

    def _compiled(self, clicks: NDArray[np.int64], top: int) -> tuple[Tensor, Tensor]:
        """The best items of sessions [B, L] and their scores, [B, top] each, by the compiled model.

        With few operations of torch, since each of them offers the interpreter to the other threads of a service.
        """
        assert self.compiled is not None
        session = self.compiled.encode(clicks)
        embeddings = torch.from_numpy(session)
        if self.index is not None:
            items, scores = self.index.best(check_finite(embeddings), self.ranker.items, self.ranker.norm, top)
            return (items, scores) if (items >= 0).all() else self._of_all(embeddings, top)
        found = self.compiled.best(session, top)
        if found is None:
            return self._of_all(embeddings, top)
        items, scores, is_proven = map(torch.from_numpy, found)
        if not found[2].all():  # also where a score is not finite
            items[~is_proven], scores[~is_proven] = self._of_all(embeddings[~is_proven], top)
        return items, scores

    @cached_property
    def columns(self) -> Tensor | None:
        """A copy of the items, column by column, for :func:`~srgnn.nn.ranking.best_products`, [d, V].

        None where it would take more than 32 MB.
        """
        items = self.ranker.items
        return items.T.contiguous() if items.numel() <= HELD else None

    def _most_popular(self, top: int, only: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.clicks is None or self.popular is None:
            raise UserError(
                "No item of a session is known, and the checkpoint does not hold the popularity of the items, which "
                "answers such sessions: train the model again with this version."
            )
        items = self.popular if only is None else self.popular[torch.isin(self.popular, only)]
        return items[:top], self.clicks[items[:top]].float()


def padded(sessions: Sessions) -> NDArray[np.int64]:
    """The clicks of sessions, [S, L], oldest first, with -1 for padding."""
    lengths = np.diff(sessions.ptr.numpy())
    place = np.arange(lengths.max())
    clicks = np.full((len(lengths), len(place)), -1, dtype=np.int64)
    clicks[place < lengths[:, None]] = sessions.items.numpy()
    return clicks


def batches_of(lengths: NDArray[np.int64]) -> Iterator[list[int]]:
    """Sessions of similar lengths, as positions: those without a click, and then batches that the compiled model takes
    at once. Longer ones are alone.
    """
    batch: list[int] = []
    for s in np.argsort(lengths, kind="stable").tolist():
        is_first_filled = batch and not lengths[batch[-1]] and lengths[s]
        if is_first_filled or (len(batch) + 1) * lengths[s] > CLICKS_AT_ONCE:
            if batch:
                yield batch
            batch = []
        batch.append(s)
    if batch:
        yield batch
