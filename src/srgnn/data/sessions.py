"""Sessions as two arrays, the vocabulary that names their items, and their columnar cache on disk."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from srgnn.errors import OptionError, UserError


@dataclass(frozen=True)
class Sessions:
    """Sessions of clicks, oldest first: session `s` is `items[ptr[s]:ptr[s + 1]]`.

    Shapes: items [C] and ptr [S + 1], int64; items are 0-based.
    """

    items: Tensor
    ptr: Tensor

    @classmethod
    def from_lists(cls, sessions: Iterable[Sequence[int]]) -> "Sessions":
        series = pl.Series(list(sessions), dtype=pl.List(pl.Int64))
        return cls.from_series(series)

    @classmethod
    def from_series(cls, series: pl.Series) -> "Sessions":
        """Sessions from a polars list column of item indices."""
        lengths = torch.tensor(series.list.len().to_numpy().astype("int64"))
        items = torch.tensor(series.filter(series.list.len() > 0).explode().cast(pl.Int64).to_numpy())
        return cls(items, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))

    def to_series(self) -> pl.Series:
        """The inverse of :meth:`from_series`."""
        clicks = pl.DataFrame({"session": self.owner.numpy(), "items": self.items.numpy()})
        grouped = clicks.group_by("session", maintain_order=True).agg("items")
        every = pl.DataFrame({"session": range(len(self))}, schema={"session": pl.Int64})
        return every.join(grouped, on="session", how="left", maintain_order="left")["items"].fill_null([])

    def __len__(self) -> int:
        return self.ptr.numel() - 1

    def __getitem__(self, s: int) -> Tensor:
        if not -len(self) <= s < len(self):
            raise IndexError(f"session {s} of {len(self)}")
        s %= len(self)
        return self.items[self.ptr[s] : self.ptr[s + 1]]

    @cached_property
    def lengths(self) -> Tensor:
        """Clicks of every session, [S]."""
        return self.ptr.diff()

    @cached_property
    def owner(self) -> Tensor:
        """The session of every click, [C]."""
        return torch.arange(len(self)).repeat_interleave(self.lengths)

    @property
    def num_prefixes(self) -> int:
        """Every prefix of every session is one sample: a session of n clicks has n - 1."""
        return int((self.lengths - 1).clamp(min=0).sum())

    def split_latest(self, fraction: float) -> tuple["Sessions", "Sessions"]:
        """Splits off the latest sessions: (earlier, latest `fraction`).

        Raises:
            OptionError: unless both parts keep at least one prefix.
        """
        cut = len(self) - max(1, round(fraction * len(self))) if 0 < fraction < 1 else 0
        click = int(self.ptr[cut])
        earlier = Sessions(self.items[:click], self.ptr[: cut + 1])
        latest = Sessions(self.items[click:], self.ptr[cut:] - click)
        if not earlier.num_prefixes or not latest.num_prefixes:
            raise OptionError(
                "valid_fraction",
                fraction,
                f"a share that leaves prefixes in both parts of the {len(self):,} training sessions",
            )
        return earlier, latest


class Vocabulary:
    """The raw item ids, by index. Looking up accepts an id as it is or as text ("17" finds 17).

    Args:
        ids: One per item.
        about: What else is known of the items, one row each: `count`, `first_seen`, `last_seen`, `title` ...
    """

    def __init__(self, ids: Sequence[int | str], about: pl.DataFrame | None = None):
        self.ids = list(ids)
        self.about = pl.DataFrame() if about is None else about

    @property
    def titles(self) -> list[str | None] | None:
        """The title of every item; None where the log came without an item table."""
        return self.about["title"].cast(pl.String).to_list() if "title" in self.about.columns else None

    @cached_property
    def _index(self) -> dict[str, int]:
        return {str(raw): index for index, raw in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ids == other.ids

    def index(self, raw: int | str) -> int | None:
        """The index of a raw id; None for an unknown one."""
        return self._index.get(str(raw))


@dataclass(frozen=True)
class SessionData:
    """One data set: training and test sessions over one vocabulary, and a manifest that says where they come from."""

    train: Sessions
    test: Sessions
    vocabulary: Vocabulary
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def num_items(self) -> int:
        return len(self.vocabulary)

    @property
    def counts(self) -> dict[str, int]:
        """The counts that papers give for a data set."""
        return {
            "train_sessions": len(self.train),
            "train_prefixes": self.train.num_prefixes,
            "test_prefixes": self.test.num_prefixes,
            "items": self.num_items,
        }

    def save(self, folder: Path) -> None:
        """Writes the columnar cache: three Parquet tables and `manifest.json`.

        It is written under a temporary name beside `folder` and renamed as a whole: a killed run leaves
        nothing that a later one would trust, and of two runs at once the first one wins.
        """
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        except OSError as error:
            raise UserError(
                f"Cannot write the prepared data to {folder} ({error.strerror}): "
                "name a writable folder with paths.cache=FOLDER."
            ) from error
        try:
            for name in ("train", "test"):
                pl.DataFrame({"items": getattr(self, name).to_series()}).write_parquet(temporary / f"{name}.parquet")
            ids = pl.DataFrame({"id": self.vocabulary.ids}).with_row_index("index")
            pl.concat([ids, self.vocabulary.about], how="horizontal").write_parquet(temporary / "vocabulary.parquet")
            (temporary / "manifest.json").write_text(json.dumps(self.manifest, indent=2) + "\n")
            temporary.chmod(0o755)
            os.rename(temporary, folder)
        except OSError as error:
            if not (folder / "manifest.json").is_file():  # else another run was first
                raise UserError(
                    f"Cannot write the prepared data to {folder} ({error.strerror or error}): "
                    "free some space or name another folder with paths.cache=FOLDER."
                ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> "SessionData":
        """Reads what :meth:`save` wrote."""
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
            train, test = (
                Sessions.from_series(pl.read_parquet(folder / f"{name}.parquet")["items"]) for name in ("train", "test")
            )
            table = pl.read_parquet(folder / "vocabulary.parquet")
            vocabulary = Vocabulary(table["id"].to_list(), table.drop("id", "index", strict=False))
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise UserError(f"The prepared data in {folder} cannot be read ({error}): delete that folder.") from error
        return cls(train, test, vocabulary, manifest)
