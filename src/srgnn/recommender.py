"""Recommendations by raw item ids, from a checkpoint. Needs neither Hydra nor Lightning."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.contracts import Model, TrainableModel
from srgnn.data.graphs import session_graph
from srgnn.data.sessions import Vocabulary
from srgnn.errors import ArgumentError, UserError, check_int
from srgnn.metrics import check_finite
from srgnn.nn.embedding import SMALLEST_NORM
from srgnn.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Recommendations:
    """The most probable next items, best first; iterating gives (raw id, probability) pairs."""

    items: list[int | str]
    probabilities: list[float]
    titles: list[str | None] | None  # None if the log had no table of items
    skipped: list[int | str]  # ids that are not in the vocabulary, in the order of the session

    def __iter__(self) -> Iterator[tuple[int | str, float]]:
        return iter(zip(self.items, self.probabilities, strict=True))

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class SimilarItems:
    """The items nearest to one item, nearest first; iterating gives (raw id, cosine) pairs."""

    items: list[int | str]
    cosines: list[float]
    titles: list[str | None] | None  # None if the log had no table of items

    def __iter__(self) -> Iterator[tuple[int | str, float]]:
        return iter(zip(self.items, self.cosines, strict=True))

    def __len__(self) -> int:
        return len(self.items)


class Recommender:
    """A trained model together with the vocabulary that it was trained on.

    Example:
        >>> Recommender.load("outputs/.../best.ckpt").recommend(["A", "B", "A"], k=10)
    """

    def __init__(self, model: Model, vocabulary: Vocabulary):
        self.model = model.eval()
        self.vocabulary = vocabulary
        self.titles = vocabulary.titles
        self.scores: Callable[[Batch], Tensor] = model
        if model.in_products:
            trained = cast(TrainableModel, model)
            with torch.no_grad():
                norm = trained.item_embedding.norm()  # of all items: once, not for every session
            self.scores = lambda batch: trained.item_embedding.scores(trained.session_embedding(batch), norm)

    @classmethod
    def load(cls, checkpoint: str | Path) -> "Recommender":
        """The recommender of a checkpoint file.

        Raises:
            UserError: if the file is missing or not a checkpoint of this project.
        """
        saved = Checkpoint.load(checkpoint)
        return cls(saved.build_model(), saved.vocabulary)

    @torch.inference_mode()
    def recommend(self, session: Sequence[int | str], k: int = 10) -> Recommendations:
        """The `k` most probable next items after the clicks of `session`, oldest first.

        Unknown ids are left out of the session and listed as `skipped` in the result.

        Raises:
            UserError: if `session` is one text, no id of it is known, `k` is larger than the number of items, or a
                score is not a finite number.
        """
        known, skipped = self.look_up(session)
        check_int("k", k, 1, len(self.vocabulary))
        scores = check_finite(self.scores(Batch.from_data_list([session_graph(torch.tensor(known))])))
        found, titles = scores.squeeze(0).topk(k).indices, self.titles
        best = found.tolist()
        return Recommendations(
            [self.vocabulary.ids[i] for i in best],
            self.model.probabilities(scores)[0, found].tolist(),
            None if titles is None else [titles[i] for i in best],
            skipped,
        )

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
        embedding = getattr(self.model, "item_embedding", None)
        if embedding is None:
            raise UserError("The model has no item embeddings: similar items need a model that is trained.")
        check_int("k", k, 1, len(self.vocabulary) - 1)
        index = self.vocabulary.index(item)
        if index is None:
            raise ArgumentError("item", item, f"an id of the vocabulary, such as {self.vocabulary.ids[0]}")
        table = embedding.weight
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
            UserError: if `session` is one text, or no id of it is known.
        """
        if isinstance(session, str):
            raise ArgumentError("session", session, "a list of item ids, such as ['A', 'B']")
        indices = [self.vocabulary.index(raw) for raw in session]
        known = [index for index in indices if index is not None]
        skipped = [raw for raw, index in zip(session, indices, strict=True) if index is None]
        if not known:
            raise UserError(
                f"No item of the session is known ({', '.join(map(str, session)) or 'it is empty'}): the vocabulary "
                f"has {len(self.vocabulary):,} ids, such as {', '.join(map(str, self.vocabulary.ids[:3]))}."
            )
        return known, skipped
