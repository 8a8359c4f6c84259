"""A generated click log with the traits of real ones, to train on without any download."""

from dataclasses import asdict, dataclass, replace

import polars as pl
import torch
from torch import Tensor

from srgnn.data.sessions import SessionData, Sessions, Vocabulary, pointers
from srgnn.errors import check_bool, check_float, check_int
from srgnn.texts.words import HashedWords

CATEGORIES = (
    *("offers", "music", "games", "toys", "shoes", "shirts", "coats", "bags", "watches", "lamps"),
    *("chairs", "rugs", "knives", "teas", "plants", "tools", "bikes", "tents", "phones", "cameras"),
)
MAKERS = [
    first + second
    for first in ("Al", "Bel", "Cor", "Dan", "Fen", "Gal", "Hol", "Jun", "Kas", "Lin")
    for second in ("ada", "bro", "dell", "era", "ford", "gard", "ima", "mont", "oro", "wick")
]
KINDS = ("classic", "compact", "garden", "junior", "outdoor", "royal", "slim", "studio", "travel", "vintage")
STRETCH = 5  # neighbours on a shelf that share a maker


@dataclass(frozen=True)
class SyntheticLog:
    """A generated log of shop visits.

    A visitor comes for one of 19 categories, whose shares drift over time. The visitor enters at an item drawn by its
    long-tailed popularity and walks along the shelf in one direction, which two clicks reveal. Now and then the
    visitor goes back to an item seen before, jumps to a popular one, or looks at one of the shop's offers and then
    resumes the walk where it stopped. After an offer, the last click says nothing about the next one, but the session
    does.

    Args:
        sessions: Number of sessions; the latest tenth are the test sessions.
        items_per_category: Number of items in each of the 19 categories, and of offers.
        back: Probability of a click on an item seen earlier in the session.
        jump: Probability of a jump to an item of the category, by popularity.
        offer: Probability of a click on one of the offers, by popularity.
        titles: Whether the items have titles and vectors; False saves their 1 KB per item in a log of millions.
        seed: Seed of the generator.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    sessions: int = 12_000
    items_per_category: int = 50
    back: float = 0.1
    jump: float = 0.1
    offer: float = 0.25
    titles: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_int("sessions", self.sessions, 100)
        check_int("items_per_category", self.items_per_category, 5)
        check_int("seed", self.seed, 0)
        check_bool("titles", self.titles)
        for name in ("back", "jump", "offer"):
            check_float(name, getattr(self, name), 0)

    @property
    def num_items(self) -> int:
        """Number of candidates."""
        return len(CATEGORIES) * self.items_per_category

    def load(self) -> SessionData:
        """Generates the log; the same arguments give the same log."""
        sessions = self._generate(torch.Generator().manual_seed(self.seed))
        train, test = sessions.split_latest(0.1)
        ids = [f"{name}-{i:02d}" for name in CATEGORIES for i in range(self.items_per_category)]
        data = SessionData(train, test, Vocabulary(ids))
        if self.titles:
            titles = [_title(shelf, i) for shelf in range(len(CATEGORIES)) for i in range(self.items_per_category)]
            vectors = torch.from_numpy(HashedWords().encode(titles))
            data = replace(data, vocabulary=Vocabulary(ids, pl.DataFrame({"title": titles})), vectors=vectors)
        manifest = {
            "name": "synthetic",
            "protocol": "every prefix of every session; the latest tenth of the sessions is the test set; full ranking",
            **data.facts(),
            "sources": {"generator": asdict(self)},
        }
        return replace(data, manifest=manifest)

    def _generate(self, generator: torch.Generator) -> Sessions:
        def uniform(*size: int) -> Tensor:
            return torch.rand(*size, generator=generator)

        n, width = self.sessions, self.items_per_category
        time = torch.linspace(0, 1, n)
        # Drift: each category has a season of its own.
        season = uniform(len(CATEGORIES) - 1)
        share = 0.3 + torch.cos(torch.pi * (time[:, None] - season)).clamp(min=0) ** 4
        category = 1 + torch.multinomial(share, 1, generator=generator).squeeze(1)  # [S]
        # Long tail: Zipf's law over the items of a category in random order.
        zipf = (1 / torch.arange(1, width + 1).double()).cumsum(0)
        shelves = torch.stack([torch.randperm(width, generator=generator) for _ in CATEGORIES])  # items by popularity

        def by_popularity(shelf: Tensor) -> Tensor:
            place = torch.searchsorted(zipf, uniform(n).double() * zipf[-1])
            return shelves[shelf, place.clamp(max=width - 1)]

        length = 2 + _geometric(uniform(n), mean=3.0, maximum=18)
        direction = torch.where(uniform(n) < 0.5, -1, 1)
        position = by_popularity(category)  # on the shelf of the category
        clicks = torch.empty(n, int(length.max()), dtype=torch.long)
        clicks[:, 0] = category * width + position
        for step in range(1, clicks.size(1)):
            choice = uniform(n)
            stride = 1 + (uniform(n) < 0.25).long()  # sometimes an item is skipped
            walked = (position + direction * stride) % width
            offered = choice >= 1 - self.offer
            went_back = choice < self.back
            jumped = (choice >= self.back) & (choice < self.back + self.jump)
            position = torch.where(offered | went_back, position, torch.where(jumped, by_popularity(category), walked))
            earlier = clicks.gather(1, (uniform(n) * step).long()[:, None]).squeeze(1)
            click = torch.where(offered, by_popularity(torch.zeros_like(category)), category * width + position)
            clicks[:, step] = torch.where(went_back, earlier, click)
        in_session = torch.arange(clicks.size(1)) < length[:, None]
        return Sessions(clicks[in_session], pointers(length))


def _title(shelf: int, place: int) -> str:
    """The title of the item at a place of a shelf."""
    maker = MAKERS[(37 * shelf + place // STRETCH) % len(MAKERS)]  # 37: shelves begin with different makers
    kind = KINDS[(3 * shelf + (place + 2) // STRETCH) % len(KINDS)]
    return f"{maker} {kind} {CATEGORIES[shelf]} {place % STRETCH + 1}"


def _geometric(uniform: Tensor, mean: float, maximum: int) -> Tensor:
    """Turns uniform numbers in [0, 1) into geometric ones from 0 to `maximum`."""
    return (torch.log1p(-uniform) / torch.log(torch.tensor(1 - 1 / (mean + 1)))).long().clamp(max=maximum)
