"""The rules that turn a click log into the sessions a model sees, one function each: clicks -> clicks."""

import logging
from dataclasses import dataclass

import numpy as np

from srgnn.data.log.clicks import Clicks
from srgnn.data.log.report import Step, count, in_words
from srgnn.data.log.times import moment
from srgnn.errors import ArgumentError, UserError, check_choice, check_float, check_int

CHOICES = {
    "duplicates": ("keep", "drop"),
    "repeats": ("keep", "drop"),
    "support": ("once", "repeat"),
    "too_long": ("latest", "drop"),
    "boundary": ("train", "drop"),
    "unseen": ("drop", "keep"),
    "candidates": ("all", "trained"),
    "order": ("time", "file"),
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """The rules, in the order in which they are applied. The defaults are those of the SR-GNN paper.

    Args:
        duplicates: `keep`, or `drop` clicks that repeat session, item, time and order.
        repeats: `keep`, or `drop` clicks on the same item as the click before.
        min_session_length: Minimum number of clicks of a session; shorter ones are dropped, before and after the rule
            on items.
        min_item_support: Minimum number of clicks of an item; rarer items are dropped.
        support: Count the support `once`, as in the paper, or `repeat` until nothing changes.
        max_session_length: Maximum number of clicks of a session; None sets no limit.
        too_long: Keep the `latest` clicks of a longer session, or `drop` it.
        test_days: Length of the test period in days: sessions of the last `test_days` are the test set.
        test_from: A date instead of `test_days`, in UTC if it has no zone: sessions from then on are the test set.
        boundary: Sessions exactly on the split go to `train`, or are dropped (`drop`) as in the authors' code.
        fraction: Share of the training prefixes to keep, the latest ones.
        unseen: `drop` test clicks on items that are not candidates, or `keep` them, which makes them candidates.
        candidates: `all` items of the training sessions before `fraction`, or only those `trained` on.
        order: `time` sorts the clicks of a session by time and dates the session by its last click; `file` leaves them
            as in the log and dates it by its last row in whole seconds, as in the authors' code.

    Raises:
        ArgumentError: for a value that is not allowed.
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
        for name, allowed in CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        check_int("min_session_length", self.min_session_length, 2)
        check_int("min_item_support", self.min_item_support, 1)
        if self.max_session_length is not None:
            check_int("max_session_length", self.max_session_length, self.min_session_length)
        check_float("test_days", self.test_days, 0, exclusive=True)
        if check_float("fraction", self.fraction, 0, exclusive=True) > 1:
            raise ArgumentError("fraction", self.fraction, "a number of at most 1, such as 0.015625 for 1/64")
        if self.test_from is not None:
            moment("test_from", self.test_from)


def apply_rules(log: Clicks, rules: Rules, num_codes: int) -> tuple[Clicks, list[Step]]:
    """Applies the rules for sessions and items, up to the split, and counts what is left after each.

    Args:
        log: The sorted clicks; duplicates were dropped while sorting.
        rules: The rules.
        num_codes: Number of item codes.

    Raises:
        UserError: if no session is left.
    """
    logger.info("Applying the rules")
    steps = []
    if rules.repeats == "drop":
        log = drop_repeats(log)
        steps.append(count("without consecutive repeats", log))
    log = log.at_least(rules.min_session_length)
    steps.append(count(f"sessions of {rules.min_session_length} clicks or more", log))
    if rules.min_item_support > 1:
        log = drop_rare_items(log, rules, num_codes)
        steps.append(count(f"items of {rules.min_item_support} clicks or more ({rules.support})", log))
    if rules.max_session_length is not None:
        shorten = drop_long_sessions if rules.too_long == "drop" else keep_latest_clicks
        log = shorten(log, rules.max_session_length)
        steps.append(count(f"sessions of up to {rules.max_session_length} clicks ({rules.too_long})", log))
    if not len(log):
        raise UserError(
            f"No session is left after the rules: {in_words(steps)}. Loosen rules.min_session_length= or "
            "rules.min_item_support=.",
            "rules.min_session_length",
            "rules.min_item_support",
        )
    return log, steps


def drop_repeats(log: Clicks) -> Clicks:
    """Drops clicks on the same item as the click before."""
    is_repeat = np.zeros(len(log.items), bool)
    is_repeat[1:] = log.items[1:] == log.items[:-1]
    is_repeat[log.ptr[:-1][log.lengths > 0]] = False
    return log.keep(~is_repeat)


def drop_rare_items(log: Clicks, rules: Rules, num_codes: int) -> Clicks:
    """Drops items without enough clicks, and the sessions that become too short; once, or until nothing changes."""
    while True:
        num_clicks = len(log.items)
        is_supported = np.bincount(log.items, minlength=num_codes) >= rules.min_item_support
        log = log.keep(is_supported[log.items]).at_least(rules.min_session_length)
        if rules.support == "once" or len(log.items) == num_clicks:
            return log


def drop_long_sessions(log: Clicks, longest: int) -> Clicks:
    """Drops sessions of more than `longest` clicks."""
    return log.take(np.flatnonzero(log.lengths <= longest))


def keep_latest_clicks(log: Clicks, longest: int) -> Clicks:
    """Keeps the latest `longest` clicks of every session."""
    clicks_to_end = np.repeat(log.ptr[1:], log.lengths) - np.arange(len(log.items))
    return log.keep(clicks_to_end <= longest)
