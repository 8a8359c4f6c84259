"""The rules that turn a click log into the sessions a model sees, one function each: clicks -> clicks.

Clicks are a lazy frame of the columns of :func:`~srgnn.data.log.sort.join_clicks`. The functions are written over
narwhals, so that any engine can run them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw

from srgnn.data.log.columns.times import moment
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.report import Step, count, in_words
from srgnn.data.log.sort import CLICKS, ORDER
from srgnn.errors import ArgumentError, UserError, check_choice, check_float, check_int, typed

CHOICES = {
    "duplicates": ("auto", "keep", "drop"),
    "repeats": ("keep", "drop"),
    "support": ("once", "repeat"),
    "too_long": ("latest", "drop"),
    "boundary": ("train", "drop"),
    "unseen": ("drop", "keep"),
    "candidates": ("all", "trained"),
    "order": ("time", "file"),
}


@dataclass(frozen=True)
class Rules:
    """The rules, in the order in which they are applied. The defaults are those of the SR-GNN paper, and no duplicates.

    Args:
        duplicates: `keep`, or `drop` clicks that repeat session, item, time and order; `auto` drops them where their
            time is finer than a second, or `order` is given: in whole seconds, two clicks look like one row twice.
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

    duplicates: str = "auto"
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


def apply_rules(
    tables: Tables, clicks: Frame, rules: Rules, report: Sequence[Step], lists: str | None = None
) -> tuple[Frame, list[Step]]:
    """Applies the rules for sessions and items, up to the split, and counts what is left after each.

    Args:
        tables: The tables of the engine.
        clicks: The clicks; duplicates were dropped before.
        rules: The rules.
        report: The report of the steps that led to the clicks.
        lists: The log's column that seems to hold a list in each row; None if there is none.

    Returns:
        The clicks that are left, and the report up to them.

    Raises:
        UserError: if no session is left.
    """
    steps = [*report]
    if rules.repeats == "drop":
        clicks = tables.checkpoint(drop_repeats(clicks), "repeats")
        steps.append(count("without consecutive repeats", tables, clicks))
    clicks = tables.checkpoint(at_least(clicks, rules.min_session_length), "min_session_length")
    steps.append(count(f"sessions of {rules.min_session_length} clicks or more", tables, clicks))
    if rules.min_session_length > 2:
        _check_left(steps, f"lower rules.min_session_length={rules.min_session_length}", "rules.min_session_length")
    remedy = "loosen the step that left too few clicks, or name the column of sessions with columns.session=NAME"
    if lists is None:
        _check_left(steps, remedy, "columns.session")
    else:
        remedy += (
            f", or, if a row holds a whole session, make each value of its list a click with nested={typed(lists)}"
        )
        _check_left(steps, remedy, "columns.session", "nested")
    if rules.min_item_support > 1:
        rule = f"items of {rules.min_item_support} clicks or more ({rules.support})"
        num_clicks, rounds = steps[-1].clicks, 0
        while True:
            rare = tables.checkpoint(find_rare_items(clicks, rules.min_item_support), f"rare_items-{rounds}")
            clicks = at_least(drop_items(clicks, rare), rules.min_session_length)
            clicks = tables.checkpoint(clicks, f"min_item_support-{rounds}")
            step = count(rule, tables, clicks)
            if rules.support == "once" or step.clicks == num_clicks:
                break
            num_clicks, rounds = step.clicks, rounds + 1
        steps.append(step)
        _check_left(steps, f"lower rules.min_item_support={rules.min_item_support}", "rules.min_item_support")
    if rules.max_session_length is not None:
        shorten = drop_long_sessions if rules.too_long == "drop" else keep_latest_clicks
        clicks = tables.checkpoint(shorten(clicks, rules.max_session_length), "max_session_length")
        steps.append(count(f"sessions of up to {rules.max_session_length} clicks ({rules.too_long})", tables, clicks))
        _check_left(steps, "keep parts of longer ones with rules.too_long=latest", "rules.too_long")
    return clicks, steps


def at_least(clicks: Frame, length: int) -> Frame:
    """Keeps the sessions of at least `length` clicks."""
    return clicks.filter(nw.col("length") >= length)


def drop_repeats(clicks: Frame) -> Frame:
    """Drops clicks on the same item as the click before."""
    before = nw.col("item").shift(1).over("session", order_by=ORDER)
    clicks = clicks.with_columns(before=before)
    kept = clicks.filter(nw.col("before").is_null() | (nw.col("before") != nw.col("item"))).drop("before", "length")
    lengths = kept.group_by("session").agg(length=nw.len().cast(nw.Int32))
    return kept.join(lengths, on="session", how="inner").select(*CLICKS)


def find_rare_items(clicks: Frame, support: int) -> Frame:
    """The items of fewer than `support` clicks."""
    # Not a window over the items: it would give all clicks on the most popular one to one task of a cluster.
    return clicks.group_by("item").agg(clicks=nw.len()).filter(nw.col("clicks") < support).select("item")


def drop_items(clicks: Frame, items: Frame) -> Frame:
    """Drops the clicks on the items of a table."""
    # Only sessions with such a click get a new length: they are few, and the others pass through.
    lost = clicks.join(items, on="item", how="semi").group_by("session").agg(lost=nw.len().cast(nw.Int32))
    kept = clicks.join(items, on="item", how="anti").join(lost, on="session", how="left")
    return kept.with_columns(length=nw.col("length") - nw.col("lost").fill_null(0)).select(*CLICKS)


def drop_long_sessions(clicks: Frame, longest: int) -> Frame:
    """Drops sessions of more than `longest` clicks."""
    return clicks.filter(nw.col("length") <= longest)


def keep_latest_clicks(clicks: Frame, longest: int) -> Frame:
    """Keeps the latest `longest` clicks of every session."""
    long = with_place_in_session(clicks.filter(nw.col("length") > longest))  # few: the others need no window
    latest = long.filter(nw.col("place_in_session") > nw.col("length") - longest).drop("place_in_session")
    return nw.concat(
        [clicks.filter(nw.col("length") <= longest), latest.with_columns(length=nw.lit(longest, nw.Int32))]
    )


def with_place_in_session(clicks: Frame) -> Frame:
    """Adds the column `place_in_session`, counted from 1."""
    return clicks.with_columns(place_in_session=nw.col("row").cum_count().over("session", order_by=ORDER))


def _check_left(steps: Sequence[Step], remedy: str, *arguments: str) -> None:
    if not steps[-1].clicks:
        raise UserError(f"No session is left after the rules ({in_words(steps)}): {remedy}.", *arguments)
