"""What a recommender is asked and what it answers, as values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from srgnn.errors import ArgumentError, check_int


@dataclass(frozen=True)
class Query:
    """One session, and which items are wanted after it.

    Args:
        session: Raw item ids, oldest click first.
        k: Number of items.
        new_only: Whether the items of the session itself are left out.
        without: Further items to leave out.
        only: The items to choose from; None for all.
        probabilities: Whether the probabilities of the items are wanted, too, which takes longer.

    Raises:
        ArgumentError: if `session`, `without` or `only` is one text, or `k` is not positive.
    """

    session: Sequence[int | str]
    k: int = 10
    new_only: bool = False
    without: Sequence[int | str] = ()
    only: Sequence[int | str] | None = None
    probabilities: bool = False

    def __post_init__(self) -> None:
        check_int("k", self.k, 1)
        for name in ("session", "without", "only"):
            check_ids(name, getattr(self, name))


@dataclass(frozen=True)
class Recommendations:
    """The best next items, best first; iterating gives (raw id, score) pairs.

    There are fewer than were asked for where the options of the query leave fewer.

    Args:
        items: Raw ids.
        scores: Their scores by the model; numbers of clicks if `by_popularity`.
        probabilities: Their probabilities among all items; None if they were not asked for, or with an index.
        titles: Their titles; None if the log had no table of items.
        skipped: Ids of the session that are not in the vocabulary, in its order.
        by_popularity: Whether no click of the session was known, so that these are the most clicked items.
    """

    items: list[int | str]
    scores: list[float]
    probabilities: list[float] | None
    titles: list[str | None] | None
    skipped: list[int | str]
    by_popularity: bool = False

    def __iter__(self) -> Iterator[tuple[int | str, float]]:
        return iter(zip(self.items, self.scores, strict=True))

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class BestItems:
    """The best items of S sessions, best first: -1, with a score of minus infinity, where there are too few.

    Shapes:
        items, scores and probabilities [S, k]; probabilities are None if they were not asked for
    """

    items: Tensor
    scores: Tensor
    probabilities: Tensor | None


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


def check_ids(name: str, ids: object) -> None:
    """Checks that item ids are a list, not one text.

    Raises:
        ArgumentError: if they are one text.
    """
    if isinstance(ids, str):
        raise ArgumentError(name, ids, "a list of item ids, such as ['A', 'B']")
