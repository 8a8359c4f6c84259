"""The model that the service answers with, and its replacement while requests arrive."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from srgnn.answers import Query, Recommendations
from srgnn.recommender import Recommender
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.new_items import Likeness


@dataclass(frozen=True)
class Answered:
    """Recommendations, with the fingerprint of the model that made them."""

    recommendations: Recommendations
    model: str


@dataclass(frozen=True)
class LoadedModel:
    """A recommender, whole and in memory.

    Args:
        recommender: The recommender.
        fingerprint: Hash of its weights and its vocabulary.
    """

    recommender: Recommender
    fingerprint: str

    @classmethod
    def load(cls, path: Path, index: Path | None = None, compiled: Path | None = None) -> "LoadedModel":
        """Reads a checkpoint, with an index of its items or its compiled model if they are given, and answers one
        session.

        Raises:
            UserError: if they cannot be read, do not belong together, or do not answer.
        """
        saved = Checkpoint.load(path)
        # Weights that stayed in the file would change, or end the process, when something is copied onto it.
        saved = replace(saved, weights={name: weight.clone() for name, weight in saved.weights.items()})
        return cls.tried(Recommender.from_checkpoint(saved, index, compiled))

    @classmethod
    def tried(cls, recommender: Recommender) -> "LoadedModel":
        """A recommender of a checkpoint, once it has answered one session.

        Raises:
            UserError: if it does not answer.
        """
        assert recommender.saved is not None
        loaded = cls(recommender, recommender.saved.fingerprint)
        loaded.answer([Query(recommender.vocabulary.ids[:2], k=1)])
        return loaded

    def answer(self, queries: Sequence[Query]) -> list[Answered]:
        """The answers to queries, computed together.

        Unlike those of :meth:`srgnn.recommender.Recommender.answer`, `k` may be larger than the number of items, and no
        id of `only` needs to be known: nothing is recommended then.
        """
        look_up, most = self.recommender.look_up, len(self.recommender.vocabulary)
        possible = [each for each in queries if each.only is None or look_up(each.only)[0]]
        found = iter(self.recommender.answer([replace(each, k=min(each.k, most)) for each in possible]))
        answers = []
        for each in queries:
            if each.only is None or look_up(each.only)[0]:
                answers.append(next(found))
            else:
                known, skipped = look_up(each.session)
                answers.append(Recommendations([], [], None, None, skipped, by_popularity=not known))
        return [Answered(each, self.fingerprint) for each in answers]

    @cached_property
    def catalogue(self) -> pl.DataFrame:
        """The items, those with the most training clicks first: `index`, `title`, `clicks`, and `id` and `words` (the
        title), in small letters."""
        recommender = self.recommender
        num_items = len(recommender.vocabulary)
        table = pl.DataFrame(
            {
                "index": range(num_items),
                "id": [str(raw).lower() for raw in recommender.vocabulary.ids],
                "title": recommender.titles or [None] * num_items,
                "clicks": [None] * num_items if recommender.clicks is None else recommender.clicks.tolist(),
            },
            schema={"index": pl.Int64, "id": pl.String, "title": pl.String, "clicks": pl.Int64},
        )
        words = pl.col("title").fill_null("").str.to_lowercase()
        return table.with_columns(words=words).sort("clicks", descending=True, nulls_last=True, maintain_order=True)


class ServedModel:
    """The model that answers now. A new one replaces it once it is whole; until then the old one answers.

    Args:
        locate: Finds the checkpoint; it is called for every (re)load.
        index: The file of an index of its items, which is read anew with it; None scores all items.
        compiled: The file of its compiled model, which is read anew with it; None runs its layers one by one.

    Raises:
        UserError: if the first one cannot be loaded.
    """

    def __init__(self, locate: Callable[[], Path], index: Path | None = None, compiled: Path | None = None):
        self._load: Callable[[], LoadedModel] = lambda: LoadedModel.load(locate(), index, compiled)
        self._lock = threading.Lock()
        self.current = self._load()

    def reload(self) -> LoadedModel:
        """Loads the checkpoint anew and returns the model that answers from now on.

        Raises:
            UserError: if it cannot be loaded; the old model stays.
        """
        with self._lock:  # the last one to begin is the one that stays
            self.current = self._load()
            return self.current

    def add_items(self, items: Mapping[int | str, Likeness], titles: Mapping[int | str, str]) -> LoadedModel:
        """Adds items that are not trained, until the checkpoint is loaded anew; returns the model that knows them.

        Raises:
            UserError: see :meth:`srgnn.recommender.Recommender.add_items`; the old model stays.
        """
        with self._lock:
            self.current = LoadedModel.tried(self.current.recommender.add_items(items, titles))
            return self.current

    def answer(self, queries: Sequence[Query]) -> list[Answered]:
        """The answers to queries, all by one model."""
        return self.current.answer(queries)
