"""Sessions as two arrays, the vocabulary that names their items, and their columnar cache on disk."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from srgnn.data.arrays import files, map_arrays, write_arrays
from srgnn.data.checksums import verify_checksums, write_checksums
from srgnn.errors import ArgumentError, UserError
from srgnn.saving import remove_leftovers, whole_folder

VOCABULARY, TEST_IDS, MANIFEST = "vocabulary.parquet", "test_ids.parquet", "manifest.json"
FILES = [file.name for part in ("train", "test") for file in files(Path(part))] + [VOCABULARY, TEST_IDS, MANIFEST]
PIECE = 1 << 22  # clicks per step of a pass over a mapped file: temporary arrays stay small

Ints = npt.NDArray[np.integer]


def pointers(lengths: Tensor) -> Tensor:
    """The start of each of several consecutive parts and the end of the last one, lengths [n] -> [n + 1]."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


@dataclass(frozen=True)
class Sessions:
    """Sessions of clicks, oldest first: session `s` is `items[ptr[s]:ptr[s + 1]]`.

    Shapes:
        items [C], int32 or int64, 0-based, and ptr [S + 1], int64.

    Args:
        items: The clicks of all sessions.
        ptr: The first click of every session, and the number of clicks.
    """

    items: Tensor
    ptr: Tensor

    @classmethod
    def from_lists(cls, sessions: Iterable[Sequence[int]]) -> "Sessions":
        """Packs sessions given as lists of items."""
        lists = list(sessions)
        lengths = torch.tensor([len(each) for each in lists], dtype=torch.long)
        items = np.fromiter(chain.from_iterable(lists), np.int64, int(lengths.sum()))
        return cls(torch.from_numpy(items), pointers(lengths))

    @classmethod
    def load(cls, path: str | Path) -> "Sessions":
        """Maps the files that :meth:`save` or :func:`~srgnn.data.arrays.write_sessions` wrote.

        The arrays stay in the files: processes share them, and they take no memory that the system cannot reclaim.

        Args:
            path: The name that the files share: `train` for `train.items.npy` and `train.ptr.npy`.

        Raises:
            ValueError: for any other file.
        """
        return cls(*map(torch.from_numpy, map_arrays(Path(path))))

    def save(self, path: str | Path) -> None:
        """Writes the sessions as :meth:`load` reads them."""
        write_arrays(Path(path), self.items.numpy(), self.ptr.numpy())

    def __len__(self) -> int:
        return self.ptr.numel() - 1

    def __getitem__(self, s: int) -> Tensor:
        if not -len(self) <= s < len(self):
            raise IndexError(f"session {s} of {len(self)}")
        s %= len(self)
        return self.items[self.ptr[s] : self.ptr[s + 1]]

    @property
    def lengths(self) -> Tensor:
        """Clicks of every session, [S]."""
        return self.ptr.diff()

    @property
    def owner(self) -> Tensor:
        """The session of every click, [C]."""
        return torch.arange(len(self)).repeat_interleave(self.lengths)

    @property
    def num_prefixes(self) -> int:
        """Number of samples, one per prefix of a session: a session of n clicks has n - 1."""
        return self.items.numel() - int((self.ptr[1:] > self.ptr[:-1]).sum())

    def split_latest(self, fraction: float) -> tuple["Sessions", "Sessions"]:
        """Splits off the latest sessions: returns the earlier ones and the latest `fraction`.

        Raises:
            ArgumentError: if one of the parts has no prefix.
        """
        cut = len(self) - max(1, round(fraction * len(self))) if 0 < fraction < 1 else 0
        click = int(self.ptr[cut])
        earlier = Sessions(self.items[:click], self.ptr[: cut + 1])
        latest = Sessions(self.items[click:], self.ptr[cut:] - click)
        if not earlier.num_prefixes or not latest.num_prefixes:
            raise ArgumentError(
                "fraction",
                fraction,
                f"a share that leaves prefixes in both parts of the {len(self):,} training sessions",
            )
        return earlier, latest


class Vocabulary:
    """The raw item ids by index. A look-up accepts an id itself or its text ("17" finds 17).

    Args:
        ids: The raw id of every item.
        about: Further columns, one row per item: `count`, `first_seen`, `last_seen`, `title` ...
    """

    def __init__(self, ids: Sequence[int | str], about: pl.DataFrame | None = None):
        self.ids = list(ids)
        self.about = pl.DataFrame() if about is None else about

    @property
    def titles(self) -> list[str | None] | None:
        """The title of every item; None if the log has no item table."""
        return self.about["title"].cast(pl.String).to_list() if "title" in self.about.columns else None

    @cached_property
    def _index(self) -> dict[str, int]:
        return {str(raw): index for index, raw in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ids == other.ids

    def index(self, raw: int | str) -> int | None:
        """The index of a raw id; None if it is unknown."""
        return self._index.get(str(raw))


@dataclass(frozen=True)
class SessionData:
    """One data set: training and test sessions over one vocabulary.

    Args:
        train: Training sessions.
        test: Test sessions, later in time.
        vocabulary: The raw ids of the items.
        manifest: Description of the data: name, protocol, counts, hashes of the sources.
        folder: The columnar cache that it was saved to or loaded from; None before that.
        test_ids: The raw ids of the test sessions, [S]; None if the source does not give them. Where visits are cut by
            time, the ids of their users.
        vectors: A vector for the text of every item, [V, t]; zeros for an item without one. None if no item has one.
            They are not part of the cache.
    """

    train: Sessions
    test: Sessions
    vocabulary: Vocabulary
    manifest: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    test_ids: pl.Series | None = None
    vectors: Tensor | None = None

    @property
    def num_items(self) -> int:
        return len(self.vocabulary)

    @property
    def train_clicks(self) -> Tensor:
        """Number of training clicks of every item, [V]."""
        return torch.bincount(self.train.items, minlength=self.num_items)

    @property
    def counts(self) -> dict[str, int]:
        """The counts that papers report for a data set."""
        return {
            "train_sessions": len(self.train),
            "train_prefixes": self.train.num_prefixes,
            "test_prefixes": self.test.num_prefixes,
            "items": self.num_items,
        }

    def facts(self) -> dict[str, Any]:
        """The data's part of the manifest: counts, lengths, and test targets that never occur in training."""
        unseen = unseen_targets(*(array.numpy() for array in (self.train.items, self.test.items, self.test.ptr)))
        parts = {"train": self.train, "test": self.test}
        sets = {
            name: {
                "clicks": part.items.numel(),
                "sessions": len(part),
                "items": torch.bincount(part.items).count_nonzero().item(),
            }
            for name, part in parts.items()
        }
        return {
            "counts": self.counts | {"trained_items": sets["train"]["items"]},
            "sets": sets,
            "lengths": {name: _histogram(part.lengths) for name, part in parts.items()},
            "unseen_test_targets": unseen,
        }

    def save(self, folder: str | Path) -> "SessionData":
        """Writes the columnar cache, whole or not at all, and returns it as :meth:`load` reads it.

        The sessions are NumPy files, the vocabulary and the ids of the test sessions are Parquet tables; beside them
        are `manifest.json` and checksums.
        If two processes save to `folder` at the same time, the first one wins, and both get what it wrote.

        Raises:
            UserError: if it cannot be written; nothing is left behind that a later run would trust.
        """
        folder = Path(folder)
        with whole_folder(folder, "the prepared data", "cache") as temporary:
            self.train.save(temporary / "train")
            self.test.save(temporary / "test")
            ids = pl.DataFrame({"id": self.vocabulary.ids}).with_row_index("index")
            pl.concat([ids, self.vocabulary.about], how="horizontal").write_parquet(temporary / VOCABULARY)
            test_ids = pl.Series(dtype=pl.Null) if self.test_ids is None else self.test_ids
            pl.DataFrame({"id": test_ids}).write_parquet(temporary / TEST_IDS)
            (temporary / MANIFEST).write_text(json.dumps(self.manifest, indent=2) + "\n")
            write_checksums(temporary, FILES)
        return self.load(folder)

    @classmethod
    def load(cls, folder: str | Path) -> "SessionData":
        """Maps a cache that :meth:`save` wrote, once its checksums are verified.

        What killed preparations left beside it is removed.

        Raises:
            UserError: if it is damaged, or an older version wrote it.
        """
        folder = Path(folder)
        remove_leftovers(folder.parent)
        try:
            verify_checksums(folder, FILES)
            table = pl.read_parquet(folder / VOCABULARY)
            vocabulary = Vocabulary(table["id"].to_list(), table.drop("id", "index", strict=False))
            train, test = (Sessions.load(folder / name) for name in ("train", "test"))
            test_ids = pl.read_parquet(folder / TEST_IDS)["id"]
            manifest = json.loads((folder / MANIFEST).read_text())
            return cls(train, test, vocabulary, manifest, folder, test_ids if len(test_ids) else None)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise UserError(f"The prepared data in {folder} cannot be read ({error}): delete that folder.") from error


def unseen_targets(trained: Ints, items: Ints, ptr: Ints) -> int:
    """Number of targets whose items do not occur in training; a target is any click except a session's first.

    Args:
        trained: Items of the training clicks, [T].
        items, ptr: The sessions, [C] and [S + 1].
    """
    seen = np.zeros(1 + max(trained.max(initial=0), items.max(initial=0)), bool)
    for begin in range(0, len(trained), PIECE):  # NumPy copies an index as int64
        seen[trained[begin : begin + PIECE]] = True
    target = np.ones(len(items) + 1, bool)  # one more: sessions without clicks at the end start there
    target[ptr[:-1]] = False
    return int((~seen[items[target[:-1]]]).sum())


def _histogram(lengths: Tensor) -> dict[str, int]:
    """Number of sessions by their number of clicks."""
    first = torch.tensor([3, 4, 5, 6, 11, 21, 51, 101])
    names = ["2", "3", "4", "5", "6-10", "11-20", "21-50", "51-100", "101+"]
    counts = torch.bincount(torch.bucketize(lengths, first, right=True, out_int32=True), minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))
