"""Recommendations by raw item ids, from a checkpoint. Needs neither Hydra nor Lightning."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.answers import BestItems, Query, Recommendations, SimilarItems, check_ids
from srgnn.contracts import Model, TrainableModel
from srgnn.data.graphs import evaluation_batch_size, whole_sessions
from srgnn.data.sessions import Sessions, Vocabulary
from srgnn.errors import ArgumentError, UserError, check_int
from srgnn.evaluation import Ranker
from srgnn.index import ItemIndex
from srgnn.metrics import check_finite
from srgnn.nn.embedding import SMALLEST_NORM
from srgnn.nn.ranking import best_products
from srgnn.training.checkpoint import Checkpoint

# Up to this number of scores, 32 MB, they are held at once: on two cores, 128 sessions among 43,097 items are ranked so
# in half the time of tiles, and one in a quarter.
HELD = 2**23


class Recommender:
    """A trained model together with the vocabulary that it was trained on.

    Args:
        model: The model; it is put into evaluation mode.
        vocabulary: Its items.
        clicks: Number of training clicks of every item, [V]: they answer sessions of which no click is known. None
            refuses such sessions.
        index: An index of its items, which proposes the ones to score; None scores all.

    Example:
        >>> Recommender.load("outputs/.../best.ckpt").recommend(["A", "B", "A"], k=10)
    """

    def __init__(
        self, model: Model, vocabulary: Vocabulary, clicks: Tensor | None = None, index: ItemIndex | None = None
    ):
        self.model = model.eval()
        self.index = index
        self.vocabulary = vocabulary
        self.titles = vocabulary.titles
        self.clicks = clicks
        self.popular = None if clicks is None else clicks.sort(descending=True, stable=True).indices
        self.ranker = Ranker(model, torch.device("cpu"))
        self.scores: Callable[[Batch], Tensor] = model
        if model.in_products:
            trained, of_items = cast(TrainableModel, model), (self.ranker.items, self.ranker.norm)
            self.scores = lambda batch: trained.item_embedding.scores(trained.session_embedding(batch), *of_items)

    @classmethod
    def load(cls, checkpoint: str | Path, index: str | Path | None = None) -> "Recommender":
        """The recommender of a checkpoint file.

        Args:
            checkpoint: The checkpoint.
            index: The file of an :class:`~srgnn.index.ItemIndex` of its items, for large catalogues: the best items are
                searched for among those that it proposes, and have no probabilities. None scores all items.

        Raises:
            UserError: if a file is missing or not one of this project, or the index is another checkpoint's.
        """
        return cls.from_checkpoint(Checkpoint.load(checkpoint), index)

    @classmethod
    def from_checkpoint(cls, saved: Checkpoint, index: str | Path | None = None) -> "Recommender":
        """The recommender of a checkpoint in memory, see :meth:`load`.

        Raises:
            UserError: if the weights do not fit the model or are not finite, or the index is another checkpoint's.
        """
        model, vocabulary, clicks = saved.build_model(), saved.vocabulary, saved.record.clicks
        loaded = None if index is None else ItemIndex.load(index, model, vocabulary)
        return cls(model, vocabulary, None if clicks is None else torch.tensor(clicks), loaded)

    def recommend(
        self,
        session: Sequence[int | str],
        k: int = 10,
        *,
        new_only: bool = False,
        without: Sequence[int | str] = (),
        only: Sequence[int | str] | None = None,
    ) -> Recommendations:
        """The `k` most probable next items after the clicks of `session`, with their probabilities.

        Unknown ids are left out of the session and listed as `skipped` in the result. If none is known, or there is
        none, the result holds the items with the most training clicks.

        The arguments are those of :class:`~srgnn.answers.Query`.

        Raises:
            UserError: if `session` is one text, `k` is larger than the number of items, no id of `only` is known, or a
                score is not a finite number.
        """
        return self.answer([Query(session, k, new_only, without, only, probabilities=True)])[0]

    def recommend_many(
        self,
        sessions: Sequence[Sequence[int | str]],
        k: int = 10,
        *,
        new_only: bool = False,
        without: Sequence[int | str] = (),
        only: Sequence[int | str] | None = None,
    ) -> list[Recommendations]:
        """As :meth:`recommend` for many sessions at once, which takes a fraction of the time."""
        return self.answer([Query(each, k, new_only, without, only, probabilities=True) for each in sessions])

    def answer(self, queries: Sequence[Query]) -> list[Recommendations]:
        """The answers to queries, computed together.

        Raises:
            UserError: see :meth:`recommend`.
        """
        for query in queries:
            check_int("k", query.k, 1, len(self.vocabulary))
        sessions = [self.look_up(query.session) for query in queries]
        answers: dict[int, Recommendations] = {}
        kinds = [(None if query.only is None else tuple(query.only), query.probabilities) for query in queries]
        for (only, with_probabilities), members in _grouped(kinds):
            known = [sessions[i][0] for i in members]
            left_out = [self._left_out(queries[i], sessions[i][0]) for i in members]
            best = self.best_items(
                Sessions.from_lists(known),
                max(queries[i].k for i in members),
                Sessions.from_lists(left_out) if any(left_out) else None,
                None if only is None else self.choice(only),
                with_probabilities,
            )
            for row, i in enumerate(members):
                answers[i] = self._in_raw_ids(best, row, queries[i].k, sessions[i][1], not known[row])
        return [answers[i] for i in range(len(queries))]

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
        num_items = len(self.vocabulary)
        with_probabilities = with_probabilities and self.index is None
        most_left_out = 0 if without is None else int(without.lengths.max())
        top = min(k + most_left_out, num_items if only is None else len(only))
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
        graphs = whole_sessions(sessions, num_items)
        size = evaluation_batch_size(num_items, holds_scores=holds_scores)
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
        if without is not None:
            keys = torch.arange(len(sessions)).view(-1, 1) * num_items + items
            is_out = torch.isin(keys, without.owner * num_items + without.items)
            order = is_out.int().sort(dim=1, stable=True).indices  # the others move up
            items = items.masked_fill(is_out, -1).gather(1, order)
            scores = scores.masked_fill(is_out, -torch.inf).gather(1, order)
            probabilities = None if probabilities is None else probabilities.gather(1, order)
        return BestItems(items[:, :k], scores[:, :k], None if probabilities is None else probabilities[:, :k])

    def _retrieve(self, batch: Batch, top: int, only: Tensor | None) -> tuple[Tensor, Tensor]:
        """The best items of a batch and their scores, [B, top] each."""
        if only is not None:
            of_choice = check_finite(self.model.scores_of(batch, only)).topk(top)
            return only[of_choice.indices], of_choice.values
        model = cast(TrainableModel, self.model)
        if self.index is not None:
            session = check_finite(model.session_embedding(batch))
            items, scores = self.index.best(session, model.item_embedding, self.ranker.norm, top)
            if (items >= 0).all():  # else it proposed too few
                return items, scores
        if self.ranker.in_tiles and batch.num_graphs * len(self.vocabulary) <= HELD:
            session = model.session_embedding(batch)
            check_finite(session.norm(dim=1) * self.ranker.longest)  # no score is larger
            return best_products(session, self.ranker.items, self.ranker.norm, top)
        _, items, scores = self.ranker(batch, top)
        return items, scores

    def _most_popular(self, top: int, only: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.clicks is None or self.popular is None:
            raise UserError(
                "No item of a session is known, and the checkpoint does not hold the popularity of the items, which "
                "answers such sessions: train the model again with this version."
            )
        items = self.popular if only is None else self.popular[torch.isin(self.popular, only)]
        return items[:top], self.clicks[items[:top]].float()

    def _left_out(self, query: Query, known: list[int]) -> list[int]:
        """The indices of the items that a query leaves out."""
        others = [self.vocabulary.index(raw) for raw in query.without]
        return list({*(i for i in others if i is not None), *(known if query.new_only else ())})

    def choice(self, only: Sequence[int | str]) -> Tensor:
        """The indices of the known ones of the items to choose from, ascending, [n].

        Raises:
            ArgumentError: if none is known.
        """
        found = {index for raw in only if (index := self.vocabulary.index(raw)) is not None}
        if not found:
            raise ArgumentError("only", list(only), f"at least one known id, such as {self.vocabulary.ids[0]}")
        return torch.tensor(sorted(found))

    def _in_raw_ids(
        self, best: BestItems, row: int, k: int, skipped: list[int | str], by_popularity: bool
    ) -> Recommendations:
        found = [i for i in best.items[row, :k].tolist() if i >= 0]
        return Recommendations(
            [self.vocabulary.ids[i] for i in found],
            best.scores[row, : len(found)].tolist(),
            None if best.probabilities is None else best.probabilities[row, : len(found)].tolist(),
            None if self.titles is None else [self.titles[i] for i in found],
            skipped,
            by_popularity,
        )

    @property
    def item_embeddings(self) -> Tensor:
        """The embeddings of all items, [V, d].

        Raises:
            UserError: if the model has none.
        """
        embedding = getattr(self.model, "item_embedding", None)
        if embedding is None:
            raise UserError("The model has no item embeddings: similar items need a model that is trained.")
        return embedding.table().detach()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def similar_items(self, item: int | str, k: int = 10) -> SimilarItems:
        """The `k` items whose embeddings have the largest cosine with that of `item`, which is not among them.

        Items that never occurred in training keep the embeddings that they were initialised with: their neighbours
        are a matter of chance.

        Args:
            item: A raw id.
            k: Number of items.

        Raises:
            UserError: if the model has no item embeddings, `item` is not known, `k` is not smaller than the number of
                items, or an embedding is not finite.
        """
        table = self.item_embeddings
        check_int("k", k, 1, len(self.vocabulary) - 1)
        index = self.vocabulary.index(item)
        if index is None:
            raise ArgumentError("item", item, f"an id of the vocabulary, such as {self.vocabulary.ids[0]}")
        norm = torch.linalg.vector_norm(table, dim=1).clamp(min=SMALLEST_NORM)
        cosines = (table @ table[index] / norm / norm[index]).clamp(-1, 1)  # [V]
        check_finite(cosines)[index] = -torch.inf
        found, titles = cosines.topk(k), self.titles
        best = found.indices.tolist()
        return SimilarItems(
            [self.vocabulary.ids[i] for i in best],
            found.values.tolist(),
            None if titles is None else [titles[i] for i in best],
        )

    def look_up(self, session: Sequence[int | str]) -> tuple[list[int], list[int | str]]:
        """The indices of the known ids of a session, and its unknown ids.

        Raises:
            ArgumentError: if `session` is one text.
        """
        check_ids("session", session)
        indices = [self.vocabulary.index(raw) for raw in session]
        known = [index for index in indices if index is not None]
        return known, [raw for raw, index in zip(session, indices, strict=True) if index is None]


def _grouped(keys: Sequence[Hashable]) -> Iterable[tuple[Any, list[int]]]:
    """The distinct keys, with the positions that have them."""
    groups: dict[Any, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return groups.items()
