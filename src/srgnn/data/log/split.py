"""Clicks -> training and test sessions: splits by time, keeps a fraction, numbers items by first appearance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from srgnn.data.log.clicks import Clicks, Mask
from srgnn.data.log.report import Step, count, in_words
from srgnn.data.log.rules import Rules
from srgnn.data.log.times import DAY, moment, stamp
from srgnn.data.sessions import Ints, Sessions, unseen_targets
from srgnn.errors import ArgumentError, UserError


@dataclass(frozen=True)
class Split:
    """The training and test sessions of a log.

    Args:
        train, test: The sessions, oldest first, of items numbered by first appearance.
        codes: The item codes in the order of these numbers, [V].
        steps: The report of the rules after the split.
        facts: The times of the split and of both sets, for the manifest.
    """

    train: Sessions
    test: Sessions
    codes: Ints
    steps: list[Step]
    facts: dict[str, Any]


def split(log: Clicks, rules: Rules, num_codes: int, steps: Sequence[Step] = ()) -> Split:
    """Applies the rules from the split on.

    Args:
        log: The clicks that the other rules left; not empty.
        rules: The rules.
        num_codes: Number of item codes.
        steps: The report so far, for error messages.

    Raises:
        UserError: if no training or no test session is left.
    """
    log = log.take(np.lexsort((log.row, log.when)))  # oldest first, ties as in the log
    cut = _cut(log, rules)
    whole, test = _divide(log, cut, rules)
    new_steps = []
    if len(whole) + len(test) < len(log):
        new_steps.append(count("without the sessions exactly on the split", whole, test))
    train = keep_latest_prefixes(whole, rules.fraction) if rules.fraction < 1 else whole
    unseen = unseen_targets(train.items, test.items, test.ptr)
    facts: dict[str, Any] = {
        "test_after": stamp(cut),
        "test_sessions_begun_before": int((test.began <= cut).sum()),
        "unseen_share_before_rule": round(unseen / (len(test.items) - len(test)), 6),
    }
    is_candidate = _candidates(whole if rules.candidates == "all" else train, test, rules, num_codes)
    if not is_candidate[test.items].all():
        test = test.keep(is_candidate[test.items]).at_least(rules.min_session_length)
        new_steps.append(count("test clicks on candidates only", whole, test))
    if not len(test):
        raise UserError(
            "No test session is left, because their items do not occur in training; keep them with rules.unseen=keep: "
            f"{in_words([*steps, *new_steps])}.",
            "rules.unseen",
        )
    if rules.fraction < 1:
        new_steps.append(count(f"the latest {rules.fraction:g} of the training prefixes", train, test))
    for name, part in (("train", train), ("test", test)):
        facts[name] = [stamp(int(part.when.min())), stamp(int(part.when.max()))]
    codes = _by_first_appearance(np.concatenate([whole.items, test.items]), is_candidate)
    index = np.full(num_codes, -1, np.int64)
    index[codes] = np.arange(len(codes))
    return Split(_sessions(train, index), _sessions(test, index), codes, new_steps, facts)


def keep_latest_prefixes(train: Clicks, fraction: float) -> Clicks:
    """Keeps the latest share of the prefixes, each session's longest first; the first session may lose its last clicks.

    Raises:
        ArgumentError: if no prefix is left.
    """
    prefixes = train.lengths - 1
    num_prefixes = int(int(prefixes.sum()) * fraction)
    if not num_prefixes:
        expected = f"a share that leaves one of the {prefixes.sum():,} training prefixes"
        raise ArgumentError("rules.fraction", fraction, expected)
    remaining = prefixes[::-1].cumsum()[::-1]  # prefixes of a session and of all after it
    first = int(np.flatnonzero(remaining >= num_prefixes)[-1])
    latest = train.between(first, len(train))
    surplus = int(remaining[first]) - num_prefixes
    click = np.ones(len(latest.items), bool)
    click[latest.ptr[1] - surplus : latest.ptr[1]] = False
    return latest.keep(click)


def _cut(log: Clicks, rules: Rules) -> int:
    """The time of the split, in µs: later sessions are the test set."""
    if rules.test_from is not None:
        return moment("test_from", rules.test_from) - 1
    return int(log.when.max()) - round(rules.test_days * DAY)


def _divide(log: Clicks, cut: int, rules: Rules) -> tuple[Clicks, Clicks]:
    """The sessions up to the split and after it.

    Raises:
        UserError: if there are none on one side.
    """
    begin = int((log.when <= cut).sum())
    end = int((log.when < cut).sum()) if rules.boundary == "drop" and rules.test_from is None else begin
    train, test = log.between(0, end), log.between(begin, len(log))
    if not len(train) or not len(test):
        raise UserError(
            f"The split leaves {len(train):,} training and {len(test):,} test sessions: the sessions are from "
            f"{stamp(int(log.when.min()))} to {stamp(int(log.when.max()))}, and the test set begins after "
            f"{stamp(cut)}; choose another split with rules.test_days=DAYS or rules.test_from=DATE.",
            "rules.test_days",
            "rules.test_from",
        )
    return train, test


def _candidates(train: Clicks, test: Clicks, rules: Rules, num_codes: int) -> Mask:
    """Which item codes can be recommended, [num_codes]."""
    is_candidate = np.zeros(num_codes, bool)
    is_candidate[train.items] = True
    if rules.unseen == "keep":
        is_candidate[test.items] = True
    return is_candidate


def _by_first_appearance(items: Ints, is_candidate: Mask) -> Ints:
    first = np.full(len(is_candidate), -1, np.int64)
    first[items[::-1]] = np.arange(len(items))[::-1]  # an item that is assigned twice keeps the last value
    codes = np.flatnonzero(is_candidate)
    return codes[np.argsort(first[codes], kind="stable")]


def _sessions(log: Clicks, index: Ints) -> Sessions:
    return Sessions(torch.from_numpy(index[log.items]), torch.from_numpy(log.ptr.astype(np.int64)))
