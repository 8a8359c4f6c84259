"""Clicks -> sessions: every rule between a raw log and what a model sees, each counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from srgnn.data.sessions import Sessions, unseen_targets
from srgnn.data.times import DAY, moment, stamp
from srgnn.errors import OptionError, UserError, check_choice, check_float, check_int


@dataclass(frozen=True)
class Clicks:
    """A click log in memory, session by session: session `s` is `items[ptr[s]:ptr[s + 1]]`.

    Shapes: items [C] int32 codes, ptr [S + 1], and in µs since 1970, UTC, when [S] (the time of the session as a whole,
    which decides its place and its split) and began [S]; row [S] is its first row in the file, which breaks ties.
    """

    items: np.ndarray
    ptr: np.ndarray
    when: np.ndarray
    began: np.ndarray
    row: np.ndarray

    @classmethod
    def concatenate(cls, parts: Sequence["Clicks"]) -> "Clicks":
        if len(parts) == 1:
            return parts[0]
        offsets = np.cumsum([0, *(len(part.items) for part in parts)])
        ptr = np.concatenate(
            [*(part.ptr[:-1] + first for part, first in zip(parts, offsets, strict=False)), offsets[-1:]]
        )
        whole = (np.concatenate([getattr(part, name) for part in parts]) for name in ("items", "when", "began", "row"))
        items, when, began, row = whole
        return cls(items, ptr, when, began, row)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.ptr)

    def keep(self, click: np.ndarray) -> "Clicks":
        """The clicks of a mask [C]; a session may become empty."""
        before = np.zeros(len(click) + 1, np.int64)
        np.cumsum(click, out=before[1:])
        return Clicks(self.items[click], before[self.ptr], self.when, self.began, self.row)

    def take(self, sessions: np.ndarray) -> "Clicks":
        """The sessions of these indices, in their order."""
        lengths = self.lengths[sessions]
        ptr = np.concatenate([[0], np.cumsum(lengths)])
        click = np.repeat(self.ptr[:-1][sessions] - ptr[:-1], lengths)
        click += np.arange(len(click))
        return Clicks(self.items[click], ptr, self.when[sessions], self.began[sessions], self.row[sessions])

    def between(self, first: int, end: int) -> "Clicks":
        """The sessions from `first` to before `end`, as views."""
        some = slice(first, end)
        items = self.items[self.ptr[first] : self.ptr[end]]
        ptr = self.ptr[first : end + 1] - self.ptr[first]
        return Clicks(items, ptr, self.when[some], self.began[some], self.row[some])

    def at_least(self, length: int) -> "Clicks":
        """The sessions of at least `length` clicks."""
        enough = self.lengths >= length
        return self if enough.all() else self.take(np.flatnonzero(enough))


@dataclass(frozen=True)
class Split:
    """What the rules make of a log: training and test sessions, and a report of every step.

    `codes` [V] are the item codes in the order of the vocabulary.
    """

    train: Sessions
    test: Sessions
    codes: np.ndarray
    report: dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """The rules, in the order in which they are applied. The defaults are those of the SR-GNN paper.

    Args:
        duplicates: `keep`, or `drop` clicks that repeat session, item, time and what orders them.
        repeats: `keep`, or `drop` a click on the item of the click before.
        min_session_length: Shorter sessions are dropped, before and after items are.
        min_item_support: Items with fewer clicks are dropped.
        support: Count the support `once`, as the paper does, or `repeat` until nothing changes.
        max_session_length: None, or the longest session.
        too_long: Keep the `latest` clicks of a longer session, or `drop` it.
        test_days: The sessions of the last so many days are the test set, the rest is the training set.
        test_from: A date instead, in UTC where it has no zone: sessions from it on are the test set.
        boundary: Sessions exactly on the split belong to `train`, or `drop` them as the authors' code does.
        fraction: Of the training prefixes, the latest ones, that are kept.
        unseen: `drop` test clicks on items that are not candidates, or `keep` them, which makes them candidates.
        candidates: `all` items of the training sessions before `fraction`, or those `trained` on.
        order: Clicks of a session by `time`, and the session at its last one; or as in the `file`, and the session at
            its last row in whole seconds, as the authors' code does.

    Raises:
        OptionError: for a value outside of what is allowed.
    """

    duplicates: str = "keep"
    repeats: str = "keep"
    min_session_length: int = 2
    min_item_support: int = 5
    support: str = "once"
    max_session_length: int | None = None
    too_long: str = "latest"
    test_days: float = 7
    test_from: str | None = None
    boundary: str = "train"
    fraction: float = 1
    unseen: str = "drop"
    candidates: str = "all"
    order: str = "time"

    def __post_init__(self) -> None:
        for name, allowed in {
            "duplicates": ("keep", "drop"),
            "repeats": ("keep", "drop"),
            "support": ("once", "repeat"),
            "too_long": ("latest", "drop"),
            "boundary": ("train", "drop"),
            "unseen": ("drop", "keep"),
            "candidates": ("all", "trained"),
            "order": ("time", "file"),
        }.items():
            check_choice(name, getattr(self, name), allowed)
        check_int("min_session_length", self.min_session_length, 2)
        check_int("min_item_support", self.min_item_support, 1)
        if self.max_session_length is not None:
            check_int("max_session_length", self.max_session_length, self.min_session_length)
        check_float("test_days", self.test_days, 0, exclusive=True)
        if check_float("fraction", self.fraction, 0, exclusive=True) > 1:
            raise OptionError("fraction", self.fraction, "a number of at most 1, such as 0.015625 for 1/64")
        if self.test_from is not None:
            moment("test_from", self.test_from)

    def apply(self, log: Clicks, num_codes: int) -> Split:
        """Filters, splits and re-indexes a log.

        Raises:
            UserError: when no training or no test session is left.
        """
        steps: list[dict[str, Any]] = []

        def note(rule: str, *parts: Clicks) -> None:
            steps.append(count(rule, *parts))

        log = self._filter(log, num_codes, note)
        if not len(log):
            raise UserError(f"No session is left after the rules; loosen them with dataset.rules.*: {_told(steps)}.")
        log = log.take(np.lexsort((log.row, log.when)))  # oldest first, ties as in the file
        cut = self._cut(log)
        begin = int((log.when <= cut).sum())
        end = int((log.when < cut).sum()) if self.boundary == "drop" and self.test_from is None else begin
        train, test = log.between(0, end), log.between(begin, len(log))
        if not len(train) or not len(test):
            raise UserError(
                f"The split leaves {len(train):,} training and {len(test):,} test sessions: they lie from "
                f"{stamp(int(log.when.min()))} to {stamp(int(log.when.max()))}, and the test set begins after "
                f"{stamp(cut)}; choose dataset.rules.test_days or dataset.rules.test_from."
            )
        if len(train) + len(test) < len(log):
            note("without the sessions exactly on the split", train, test)
        full = train
        if self.fraction < 1:
            train = self._latest_prefixes(train)
        unseen = unseen_targets(train.items, test.items, test.ptr)
        split = {
            "test_after": stamp(cut),
            "test_sessions_begun_before": int((test.began <= cut).sum()),
            "unseen_share_before_rule": round(unseen / (len(test.items) - len(test)), 6),
        }
        candidates = np.zeros(num_codes, bool)
        candidates[(full if self.candidates == "all" else train).items] = True
        if self.unseen == "keep":
            candidates[test.items] = True
        elif not candidates[test.items].all():
            test = test.keep(candidates[test.items]).at_least(self.min_session_length)
            note("test clicks on candidates only", full, test)
        if not len(test):
            raise UserError(
                "No test session is left, for their items do not occur in training; keep them with "
                f"dataset.rules.unseen=keep: {_told(steps)}."
            )
        if self.fraction < 1:
            note(f"the latest {self.fraction:g} of the training prefixes", train, test)
        for name, part in (("train", train), ("test", test)):
            split[name] = [stamp(int(part.when.min())), stamp(int(part.when.max()))]

        codes = _by_first_appearance(np.concatenate([full.items, test.items]), candidates)
        index = np.full(num_codes, -1, np.int64)
        index[codes] = np.arange(len(codes))
        return Split(_sessions(train, index), _sessions(test, index), codes, {"steps": steps, "split": split})

    def _filter(self, log: Clicks, num_codes: int, note: Callable[[str, Clicks], None]) -> Clicks:
        if self.repeats == "drop":
            log = log.keep(~_repeats(log))
            note("without consecutive repeats", log)
        log = log.at_least(self.min_session_length)
        note(f"sessions of {self.min_session_length} clicks or more", log)
        while self.min_item_support > 1:
            clicks = len(log.items)
            supported = np.bincount(log.items, minlength=num_codes) >= self.min_item_support
            log = log.keep(supported[log.items]).at_least(self.min_session_length)
            if self.support == "once" or len(log.items) == clicks:
                break
        if self.min_item_support > 1:
            note(f"items of {self.min_item_support} clicks or more ({self.support})", log)
        if self.max_session_length is not None:
            log = self._shorten(log, self.max_session_length)
            note(f"sessions of up to {self.max_session_length} clicks ({self.too_long})", log)
        return log

    def _cut(self, log: Clicks) -> int:
        """Sessions after it are the test set."""
        if self.test_from is not None:
            return moment("test_from", self.test_from) - 1
        return int(log.when.max()) - round(self.test_days * DAY)

    def _shorten(self, log: Clicks, longest: int) -> Clicks:
        if self.too_long == "drop":
            return log.take(np.flatnonzero(log.lengths <= longest))
        to_end = np.repeat(log.ptr[1:], log.lengths) - np.arange(len(log.items))
        return log.keep(to_end <= longest)

    def _latest_prefixes(self, train: Clicks) -> Clicks:
        """The latest prefixes, each session's longest first: the first session kept may lose its last clicks."""
        prefixes = train.lengths - 1
        wanted = int(int(prefixes.sum()) * self.fraction)
        if not wanted:
            raise OptionError(
                "fraction", self.fraction, f"a share that leaves one of the {prefixes.sum():,} training prefixes"
            )
        later = prefixes[::-1].cumsum()[::-1]  # of a session and those after it
        first = int(np.flatnonzero(later >= wanted)[-1])
        kept = train.between(first, len(train))
        surplus = int(later[first]) - wanted
        click = np.ones(len(kept.items), bool)
        click[kept.ptr[1] - surplus : kept.ptr[1]] = False
        return kept.keep(click)


def count(rule: str, *parts: Clicks) -> dict[str, Any]:
    """One row of the report."""
    items = pl.concat([pl.Series(part.items).unique() for part in parts]).n_unique()
    return {
        "rule": rule,
        "clicks": sum(len(part.items) for part in parts),
        "sessions": sum(len(part) for part in parts),
        "items": items,
    }


def _sessions(log: Clicks, index: np.ndarray) -> Sessions:
    return Sessions(torch.from_numpy(index[log.items]), torch.from_numpy(log.ptr.astype(np.int64)))


def _repeats(log: Clicks) -> np.ndarray:
    same = np.zeros(len(log.items), bool)
    same[1:] = log.items[1:] == log.items[:-1]
    same[log.ptr[:-1][log.lengths > 0]] = False
    return same


def _by_first_appearance(items: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    first = np.full(len(candidates), -1, np.int64)
    first[items[::-1]] = np.arange(len(items))[::-1]  # of an item assigned twice the last one stays
    codes = np.flatnonzero(candidates)
    return codes[np.argsort(first[codes], kind="stable")]


def _told(steps: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{step['rule']}: {step['clicks']:,} clicks, {step['sessions']:,} sessions" for step in steps)
