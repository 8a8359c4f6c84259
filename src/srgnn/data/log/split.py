"""Clicks -> training and test clicks: splits by time, keeps a fraction, numbers items by first appearance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from srgnn.data.log.columns.times import DAY, moment, stamp
from srgnn.data.log.engines import Frame, Tables, add
from srgnn.data.log.report import Step, count, count_rows, count_sessions, in_words
from srgnn.data.log.rules import Rules, at_least, drop_items, with_place_in_session
from srgnn.data.log.sort import ORDER
from srgnn.errors import ArgumentError, UserError

BLOCK = 2**16  # consecutive session numbers whose prefixes are summed together, to find where a fraction begins


@dataclass(frozen=True)
class Split:
    """The training and test clicks of a log.

    Args:
        train, test: The clicks, oldest session first: `session` and `item`, the item's number by first appearance.
        codes: The item codes in the order of these numbers, [V].
        steps: The report of the rules after the split.
        facts: The times of the split and of both sets, for the manifest.
    """

    train: Frame
    test: Frame
    codes: pl.Series
    steps: list[Step]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Parts:
    """The clicks on both sides of the split.

    Args:
        train, test: The clicks of the sessions of both sides; neither is empty.
        cut: The time of the split, in µs.
        steps: The report of the rule on sessions exactly on the split, if it dropped some.
    """

    train: Frame
    test: Frame
    cut: int
    steps: Sequence[Step] = ()


def split(tables: Tables, clicks: Frame, sessions: Frame, rules: Rules, steps: Sequence[Step]) -> Split:
    """Applies the rules from the split on, and stores the tables `train` and `test`.

    Args:
        tables: The tables of the engine.
        clicks: The clicks that the other rules left; not empty.
        sessions: The sessions: `session`, `when` and `began`; `is_test` where a file is the test set.
        rules: The rules.
        steps: The report of the rules so far.

    Raises:
        UserError: if no training or no test session is left.
    """
    divide = _divide_by_file if "is_test" in sessions.collect_schema().names() else _divide_by_time
    parts = divide(tables, clicks, sessions, rules)
    train = keep_latest_prefixes(tables, parts.train, rules.fraction) if rules.fraction < 1 else parts.train
    known = _first_sessions(tables, parts.train)
    trained = _first_sessions(tables, train) if rules.fraction < 1 else known
    begun_before = sessions.join(parts.test, on="session", how="semi").filter(nw.col("began") <= parts.cut)
    facts: dict[str, Any] = {
        "test_after": stamp(parts.cut),
        "test_sessions_begun_before": count_rows(tables, begun_before),
        "unseen_share_before_rule": _unseen_share(tables, parts.test, add(tables, trained, "trained_items")),
    }

    candidates = known if rules.candidates == "all" else trained
    test, new_steps = parts.test, list(parts.steps)
    if rules.unseen == "drop":
        unseen = test.select("item").unique().join(add(tables, candidates, "candidates"), on="item", how="anti")
        unseen = tables.checkpoint(unseen, "unseen_items")
        test = tables.checkpoint(at_least(drop_items(test, unseen), rules.min_session_length), "test_candidates")
        if count_rows(tables, unseen):
            new_steps.append(count("test clicks on candidates only", tables, nw.concat([parts.train, test])))
    tested = _first_sessions(tables, test)
    if not tested.height:
        raise UserError(
            "No test session is left, because their items do not occur in training; keep them with rules.unseen=keep: "
            f"{in_words([*steps, *new_steps])}.",
            "rules.unseen",
        )
    if rules.fraction < 1:
        step = count(f"the latest {rules.fraction:g} of the training prefixes", tables, nw.concat([train, test]))
        new_steps.append(step)
    for name, part in (("train", train), ("test", test)):
        facts[name] = _dates(tables, part, sessions)

    if rules.unseen == "keep":
        candidates = pl.concat([candidates, tested])
    first = pl.concat([known, tested]).join(candidates, on="item", how="semi")
    first = first.group_by("item").agg(pl.col("session").min())
    numbers = _numbers(tables, nw.concat([parts.train, test]), first)
    table = add(tables, numbers, "numbers")
    train, test = (_numbered(tables, part, table, name) for part, name in ((train, "train"), (test, "test")))
    return Split(train, test, numbers["item"], new_steps, facts)


def keep_latest_prefixes(tables: Tables, clicks: Frame, fraction: float) -> Frame:
    """Keeps the latest share of the prefixes, each session's longest first; the first session may lose its last clicks.

    Raises:
        ArgumentError: if no prefix is left.
    """
    sessions = clicks.group_by("session").agg(prefixes=(nw.len() - 1).cast(nw.Int64))
    sessions = sessions.with_columns(block=nw.col("session") // BLOCK)
    # Sums per block first: one sum over all sessions in their order would be one task on a cluster.
    blocks = tables.collect(sessions.group_by("block").agg(nw.col("prefixes").sum().cast(nw.Int64)))
    total = int(blocks["prefixes"].sum())
    num_prefixes = int(total * fraction)
    if not num_prefixes:
        raise ArgumentError("rules.fraction", fraction, f"a share that leaves one of the {total:,} training prefixes")
    block, prefixes_after = _reached(blocks, "block", num_prefixes)
    of_block = tables.collect(sessions.filter(nw.col("block") == block).select("session", "prefixes"))
    first, prefixes_after_first = _reached(of_block, "session", num_prefixes - prefixes_after)
    prefixes_of_first = num_prefixes - prefixes_after - prefixes_after_first
    whole = clicks.filter(nw.col("session") > first)
    part = with_place_in_session(clicks.filter(nw.col("session") == first))
    part = part.filter(nw.col("place_in_session") <= prefixes_of_first + 1).drop("place_in_session")
    return nw.concat([whole, part.with_columns(length=nw.lit(prefixes_of_first + 1, nw.Int32))])


def _reached(table: pl.DataFrame, name: str, num_prefixes: int) -> tuple[int, int]:
    """The row where the sum of prefixes, from the last row on, reaches a number, and the sum of the rows after it."""
    latest_first = table.sort(name, descending=True)
    sums = latest_first["prefixes"].cum_sum()
    row = int((sums < num_prefixes).sum())
    return int(latest_first[name][row]), int(sums[row] - latest_first["prefixes"][row])


def _span(tables: Tables, clicks: Frame, sessions: Frame) -> tuple[int, int]:
    """The dates of the first and the last session of clicks, in µs; the numbers of sessions are in this order."""
    session = nw.col("session")
    ends = tables.collect(clicks.select(first=session.min(), last=session.max())).row(0)
    dates = tables.collect(sessions.filter(session.is_in(ends)).select("when"))["when"]
    return int(dates.min()), int(dates.max())  # type: ignore[arg-type]


def _dates(tables: Tables, clicks: Frame, sessions: Frame) -> list[str]:
    return [stamp(date) for date in _span(tables, clicks, sessions)]


def _divide_by_time(tables: Tables, clicks: Frame, sessions: Frame, rules: Rules) -> _Parts:
    """The sessions up to the split, and those after it.

    Raises:
        UserError: if there are none on one side.
    """
    if rules.test_from is not None:
        cut = moment("test_from", rules.test_from) - 1
    else:
        cut = _span(tables, clicks, sessions)[1] - round(rules.test_days * DAY)
    when = nw.col("when")
    last = _last(tables, sessions.filter(when <= cut))
    train, test = clicks.filter(nw.col("session") <= last), clicks.filter(nw.col("session") > last)
    steps = []
    if rules.boundary == "drop" and rules.test_from is None:
        last_before = _last(tables, sessions.filter(when < cut))
        if count_rows(tables, train.filter(nw.col("session") > last_before)):
            train = train.filter(nw.col("session") <= last_before)
            steps.append(count("without the sessions exactly on the split", tables, nw.concat([train, test])))
    num_train, num_test = (count_sessions(tables, part)[1] for part in (train, test))
    if not num_train or not num_test:
        first_date, last_date = _dates(tables, clicks, sessions)
        raise UserError(
            f"The split leaves {num_train:,} training and {num_test:,} test sessions: the sessions are from "
            f"{first_date} to {last_date}, and the test set begins after {stamp(cut)}; choose another split with "
            "rules.test_days=DAYS or rules.test_from=DATE.",
            "rules.test_days",
            "rules.test_from",
        )
    return _Parts(train, test, cut, steps)


def _divide_by_file(tables: Tables, clicks: Frame, sessions: Frame, rules: Rules) -> _Parts:
    """The sessions of the training files and those of the test files; the split is the last date in training.

    Raises:
        UserError: if the rules left none of one of them.
    """
    last = _last(tables, sessions.filter(~nw.col("is_test")))  # the sessions of the test files come after those
    train, test = clicks.filter(nw.col("session") <= last), clicks.filter(nw.col("session") > last)
    num_train, num_test = (count_sessions(tables, part)[1] for part in (train, test))
    if not count_rows(tables, sessions.filter(nw.col("is_test"))):
        raise UserError("The files of test_path= have no clicks: name others with test_path=FILE.", "test_path")
    if not num_train or not num_test:
        raise UserError(
            f"The rules leave {num_train:,} training and {num_test:,} test sessions of the files: loosen "
            f"rules.min_session_length={rules.min_session_length} or rules.min_item_support={rules.min_item_support}.",
            "rules.min_session_length",
            "rules.min_item_support",
        )
    return _Parts(train, test, _span(tables, train, sessions)[1])


def _last(tables: Tables, sessions: Frame) -> int:
    """The largest number of sessions; -1 if there are none."""
    last = tables.collect(sessions.select(nw.col("session").max())).item()
    return -1 if last is None else int(last)


def _first_sessions(tables: Tables, clicks: Frame) -> pl.DataFrame:
    """The first session of every item."""
    return tables.collect(clicks.group_by("item").agg(nw.col("session").min()))


def _unseen_share(tables: Tables, test: Frame, trained: Frame) -> float:
    """The share of test targets whose items do not occur in training; a target is any click but a session's first."""
    targets = with_place_in_session(test).filter(nw.col("place_in_session") > 1)
    unseen = targets.join(trained, on="item", how="anti")
    num_unseen, num_targets = (count_rows(tables, part) for part in (unseen, targets))
    return round(num_unseen / num_targets, 6)


def _numbers(tables: Tables, clicks: Frame, first: pl.DataFrame) -> pl.DataFrame:
    """The items in the order of their first clicks: `item` and `index`, from 0.

    Args:
        tables: The tables of the engine.
        clicks: The clicks.
        first: The items, and the first session of each.
    """
    # Only the clicks of an item's first session are sorted.
    in_first = clicks.join(add(tables, first, "first_sessions"), on=["item", "session"], how="semi")
    in_order = tables.collect(in_first.select("item", "session", *ORDER)).sort("session", *ORDER)
    items = in_order.unique("item", keep="first", maintain_order=True).select("item")
    return items.with_columns(index=pl.int_range(pl.len(), dtype=pl.Int32))


def _numbered(tables: Tables, clicks: Frame, numbers: Frame, name: str) -> Frame:
    """Stores the clicks in their order, with the numbers of their items."""
    clicks = clicks.join(numbers, on="item", how="inner").select("session", *ORDER, item=nw.col("index"))
    return tables.checkpoint(clicks, name, by=["session", *ORDER])
