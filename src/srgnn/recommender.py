"""Recommendations by raw item ids, from a checkpoint. Needs neither Hydra nor Lightning."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srgnn.answers import Query, Recommendations, SimilarItems, check_ids
from srgnn.compiled import CompiledModel
from srgnn.contracts import Model
from srgnn.data.sessions import Sessions, Vocabulary
from srgnn.errors import ArgumentError, UserError, check_int
from srgnn.index import ItemIndex, embedding_of
from srgnn.metrics import check_finite
from srgnn.nn.embedding import SMALLEST_NORM
from srgnn.retrieval import Retrieval
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.new_items import Likeness, add_items


class Recommender:
    """A trained model together with the vocabulary that it was trained on.

    Args:
        model: The model; it is put into evaluation mode.
        vocabulary: Its items.
        clicks: Number of training clicks of every item, [V]: they answer sessions of which no click is known. None
            refuses such sessions.
        index: An index of its items, which proposes the ones to score; None scores all.
        compiled: The model as compiled programs; None runs its layers one by one.

    Example:
        >>> Recommender.load("outputs/.../best.ckpt").recommend(["A", "B", "A"], k=10)
    """

    def __init__(
        self,
        model: Model,
        vocabulary: Vocabulary,
        clicks: Tensor | None = None,
        index: ItemIndex | None = None,
        compiled: CompiledModel | None = None,
    ):
        self.model = model.eval()
        self.vocabulary = vocabulary
        self.titles = vocabulary.titles
        self.clicks = clicks
        self.retrieval = Retrieval(self.model, len(vocabulary), clicks, index, compiled)
        self.saved: Checkpoint | None = None

    @classmethod
    def load(
        cls, checkpoint: str | Path, index: str | Path | None = None, compiled: str | Path | None = None
    ) -> "Recommender":
        """The recommender of a checkpoint file.

        Args:
            checkpoint: The checkpoint.
            index: The file of an :class:`~srgnn.index.ItemIndex` of its items, for large catalogues: the best items are
                searched for among those that it proposes, and have no probabilities. None scores all items.
            compiled: The file of its :class:`~srgnn.compiled.CompiledModel`, for a service: it answers where neither
                probabilities nor a choice of items are asked for. None runs the layers of the model one by one.

        Raises:
            UserError: if a file is missing or not one of this project, or the index or the compiled model is another
                checkpoint's.
        """
        return cls.from_checkpoint(Checkpoint.load(checkpoint), index, compiled)

    @classmethod
    def from_checkpoint(
        cls, saved: Checkpoint, index: str | Path | None = None, compiled: str | Path | None = None
    ) -> "Recommender":
        """The recommender of a checkpoint in memory, see :meth:`load`.

        Raises:
            UserError: if the weights do not fit the model or are not finite, or the index or the compiled model is
                another checkpoint's.
        """
        model, vocabulary, clicks = saved.build_model(), saved.vocabulary, saved.record.clicks
        counted = None if clicks is None else torch.tensor(clicks)
        proposing = None if index is None else ItemIndex.load(index, model, vocabulary)
        programs = None
        if compiled is not None:
            rows = embedding_of(model).divided()
            programs = CompiledModel.load(compiled, saved.fingerprint, rows, with_search=index is None)
        recommender = cls(model, vocabulary, counted, proposing, programs)
        recommender.saved = saved
        return recommender

    def add_items(
        self, items: Mapping[int | str, Likeness], titles: Mapping[int | str, str] | None = None
    ) -> "Recommender":
        """A recommender that knows further items, without any training; this one stays as it is.

        Its checkpoint is `saved`, whose method `save` keeps the items.

        The arguments are those of :func:`~srgnn.training.new_items.add_items`.

        Raises:
            UserError: see there; and for a recommender that has an index or a compiled model, or was made without a
                checkpoint.

        Example:
            >>> grown = Recommender.load("best.ckpt").add_items({"new": ["A", "B"]})
        """
        if self.saved is None:
            raise UserError("Items are added to a checkpoint: make the recommender with Recommender.load.")
        for option, what in (("index", self.retrieval.index), ("compiled", self.retrieval.compiled)):
            if what is not None:
                raise UserError(
                    f"{option}= does not know items that are added later: load the checkpoint without it.", option
                )
        return self.from_checkpoint(add_items(self.saved, items, titles))

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
            best = self.retrieval.best_items(
                Sessions.from_lists(known),
                max(queries[i].k for i in members),
                Sessions.from_lists(left_out) if any(left_out) else None,
                None if only is None else self.choice(only),
                with_probabilities,
            )
            # Lists of all at once: each small operation of torch would hand the interpreter to another thread.
            rows = zip(best.items.tolist(), best.scores.tolist(), strict=True)
            shares = None if best.probabilities is None else best.probabilities.tolist()
            for place, ((items, scores), i) in enumerate(zip(rows, members, strict=True)):
                found = [item for item in items[: queries[i].k] if item >= 0]
                answers[i] = Recommendations(
                    [self.vocabulary.ids[item] for item in found],
                    scores[: len(found)],
                    None if shares is None else shares[place][: len(found)],
                    None if self.titles is None else [self.titles[item] for item in found],
                    sessions[i][1],
                    by_popularity=not known[place],
                )
        return [answers[i] for i in range(len(queries))]

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

        Items that never occurred in training keep the embeddings that they were initialised with, and their neighbours
        are a matter of chance, unless the model knows their texts.

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
