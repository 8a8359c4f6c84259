"""A seeded click log with what real ones have, to train on without any download."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from srgnn.data.sessions import SessionData, Sessions, Vocabulary
from srgnn.errors import check_float, check_int

CATEGORIES = (
    *("books", "music", "games", "toys", "shoes", "shirts", "coats", "bags", "watches", "lamps"),
    *("chairs", "rugs", "knives", "teas", "plants", "tools", "bikes", "tents", "phones", "cameras"),
)


@dataclass(frozen=True)
class SyntheticLog:
    """A generated log of shop visits.

    A visitor comes for one of 20 categories, whose shares drift over time, enters at an item by its long-tailed
    popularity and then walks along the shelf in one direction. Only two clicks or more tell the direction: what
    follows an item most often (the usual baseline) cannot know it. At times the visitor goes back to an item seen
    before, or jumps to a popular one.

    Args:
        sessions: Number of sessions; the latest tenth are the test sessions.
        items_per_category: Items in each of the 20 categories.
        back: Probability of a click on an item seen earlier in the session.
        jump: Probability of a click on an item of the category by popularity.
        seed: Of the generator.
    """

    sessions: int = 12_000
    items_per_category: int = 50
    back: float = 0.12
    jump: float = 0.12
    seed: int = 0

    def __post_init__(self) -> None:
        check_int("sessions", self.sessions, 100)
        check_int("items_per_category", self.items_per_category, 5)
        check_int("seed", self.seed, 0)
        for name in ("back", "jump"):
            check_float(name, getattr(self, name), 0)

    @property
    def num_items(self) -> int:
        return len(CATEGORIES) * self.items_per_category

    def load(self) -> SessionData:
        """Generates the log: the same one for the same arguments."""
        sessions = self._generate(torch.Generator().manual_seed(self.seed))
        train, test = sessions.split_latest(0.1)
        data = SessionData(train, test, self._vocabulary())
        manifest = {
            "name": "synthetic",
            "protocol": "every prefix of every session; the latest tenth of the sessions is the test set; full ranking",
            "counts": data.counts,
            "sources": {"generator": asdict(self)},
        }
        return SessionData(train, test, data.vocabulary, manifest)

    def _vocabulary(self) -> Vocabulary:
        return Vocabulary([f"{name}-{i:02d}" for name in CATEGORIES for i in range(self.items_per_category)])

    def _generate(self, generator: torch.Generator) -> Sessions:
        def uniform(*size: int) -> Tensor:
            return torch.rand(*size, generator=generator)

        def draw(weights: Tensor) -> Tensor:
            return torch.multinomial(weights, 1, generator=generator).squeeze(-1)

        n, width = self.sessions, self.items_per_category
        time = torch.linspace(0, 1, n)
        # Drift: every category has its own season.
        season = uniform(len(CATEGORIES))
        category = draw(0.3 + torch.cos(3.1416 * (time[:, None] - season)).clamp(min=0) ** 4)  # [S]
        # Long tail: Zipf's law over a shuffled shelf, one for every category.
        zipf = 1 / torch.arange(1, width + 1).float()
        popularity = torch.stack([zipf[torch.randperm(width, generator=generator)] for _ in CATEGORIES])
        entry = popularity[category]  # [S, width]

        length = 2 + _geometric(uniform(n), mean=3.0, maximum=18)
        direction = torch.where(uniform(n) < 0.5, -1, 1)
        clicks = torch.empty(n, int(length.max()), dtype=torch.long)
        clicks[:, 0] = position = draw(entry)
        for step in range(1, clicks.size(1)):
            stride = 1 + (uniform(n) < 0.25).long()  # sometimes one item is passed over
            along = (position + direction * stride) % width
            jump = draw(entry)
            earlier = clicks.gather(1, (uniform(n) * step).long()[:, None]).squeeze(1)
            choice = uniform(n)
            position = torch.where(
                choice < self.back, earlier, torch.where(choice < self.back + self.jump, jump, along)
            )
            clicks[:, step] = position
        clicks += category[:, None] * width
        kept = torch.arange(clicks.size(1)) < length[:, None]
        return Sessions(clicks[kept], torch.cat([length.new_zeros(1), length.cumsum(0)]))


def _geometric(uniform: Tensor, mean: float, maximum: int) -> Tensor:
    """Geometric numbers from 0 to `maximum`, from uniform ones in [0, 1)."""
    return (torch.log1p(-uniform) / torch.log(torch.tensor(1 - 1 / (mean + 1)))).long().clamp(max=maximum)
