"""Warnings about the times, sessions and sets of a log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import narwhals as nw

from srgnn.data.log.columns.times import DAY, SECOND
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.report import Notice, count_rows, number_where
from srgnn.data.log.rules import Rules
from srgnn.data.log.words import counted
from srgnn.data.sessions import SessionData, Sessions

UNITS = {"day": DAY, "hour": 3600 * SECOND, "minute": 60 * SECOND, "second": SECOND}
NEARLY_ALL = 0.99  # a time in milliseconds is a whole second once in a thousand times
LONG_SESSION = 200  # clicks: above the longest session of the public sets
LONG_SHARE = 0.2  # of the clicks in all prefixes, which the time of an epoch grows with
FEW_TEST_SESSIONS = 30
FEW_TEST_SHARE = 0.01
FEW_SPANS = 0.01  # of the sessions: a few visitors come back to a page that they left open
LONG_SPAN = 3 * DAY  # and even they do not stay for days
MANY_TIES = 0.2
LATE = timedelta(days=30)  # between the last training session and the first test session


@dataclass(frozen=True)
class Resolution:
    """How finely the times of a log are given.

    Args:
        unit: The largest unit that nearly all times are multiples of; None if they are finer than a second.
        whole_seconds: Number of rows whose time is a whole second.
        rows: Number of rows.
    """

    unit: str | None
    whole_seconds: int
    rows: int

    @property
    def has_seconds(self) -> bool:
        """Whether part of the log gives its times in whole seconds: there are more of these than by chance."""
        return self.whole_seconds > (1 - NEARLY_ALL) * self.rows


def resolution(tables: Tables, rows: Frame) -> Resolution:
    """The resolution of the times of rows."""
    whole = {unit: number_where(nw.col("time") % length == 0) for unit, length in UNITS.items()}
    found = tables.collect(rows.select(nw.len().alias("rows"), **whole)).row(0, named=True)
    number = int(found["rows"])
    unit = next((unit for unit in UNITS if found[unit] >= NEARLY_ALL * number), None)
    return Resolution(unit, int(found["second"]), number)


def of_resolution(tables: Tables, rows: Frame, resolution: Resolution) -> list[Notice]:
    """A warning about times too coarse to order the clicks of a session."""
    if resolution.unit is None or resolution.unit == "second":
        return []
    coarse = rows.filter(nw.col("time") % UNITS[resolution.unit] == 0).select("key", "time")
    ties = count_rows(tables, coarse) - count_rows(tables, coarse.unique())
    if not ties:
        return []
    text = (
        f"The times are whole {resolution.unit}s: {counted(ties, 'click')} {'has' if ties == 1 else 'have'} the time "
        "of an earlier one of the same session; such clicks stay in the order of the log; if a column numbers them, "
        "name it with columns.order=NAME."
    )
    return [Notice(text, ("columns.order",))]


def of_duplicates(number: int, in_lists: bool) -> list[Notice]:
    """A warning about rows that may be duplicates.

    Args:
        number: Number of rows that repeat another one.
        in_lists: Whether they are values of lists, which have one time.
    """
    if not number:
        return []
    times = "in a list that has one time" if in_lists else "in times of whole seconds or coarser ones"
    text = (
        f"Rows that repeat the session, item and time of another one: {number:,}; they are kept, because {times} two "
        "clicks look like one row written twice: leave them out with rules.duplicates=drop."
    )
    return [Notice(text, ("rules.duplicates",))]


def of_spans(tables: Tables, sessions: Frame) -> list[Notice]:
    """A warning about sessions of several days: their ids are used again, or are those of users."""
    span = nw.col("when") - nw.col("began")
    spans = sessions.filter(nw.col("length") > 1).select(span=span)
    counts = spans.select(
        all=nw.len(),
        short=number_where(nw.col("span") < UNITS["hour"]),
        long=number_where(nw.col("span") > DAY),
        longest=nw.col("span").max(),
    )
    found = tables.collect(counts).row(0, named=True)
    if found["long"] <= FEW_SPANS * found["all"] and (found["longest"] or 0) <= LONG_SPAN:
        return []
    text = (
        f"Sessions longer than a day: {found['long']:,} of {found['all']:,}, up to {found['longest'] / DAY:.1f} days; "
        f"shorter than an hour: {found['short']:,}; if the ids are used again, or are those of users, cut the visits "
        "by time with columns.user=NAME session_gap=30m, where NAME is the column of these ids."
    )
    return [Notice(text, ("columns.user", "session_gap"))]


def of_single_times(tables: Tables, sessions: Frame) -> list[Notice]:
    """A warning about sessions whose clicks all have one time, which is perhaps that of the session."""
    is_single = nw.col("when") == nw.col("began")
    several = sessions.filter(nw.col("length") > 1)
    found = tables.collect(several.select(nw.len().alias("all"), single=number_where(is_single))).row(0, named=True)
    if not found["all"] or found["single"] <= MANY_TIES * found["all"]:
        return []
    text = (
        f"Sessions whose clicks all have one time: {found['single']:,} of {found['all']:,}; their clicks stay in the "
        "order of the log; if a column numbers them, name it with columns.order=NAME."
    )
    return [Notice(text, ("columns.order",))]


def of_leaks(tables: Tables, sessions: Frame) -> list[Notice]:
    """A warning about sessions of the test files that occur in the training files, too."""
    test = sessions.filter(nw.col("is_test"))
    both = test.join(sessions.filter(~nw.col("is_test")), on="key", how="semi")
    num_test, num_both = (count_rows(tables, part) for part in (test, both))
    if not num_both:
        return []
    text = (
        f"Test sessions that have the id of a training session: {num_both:,} of {num_test:,}; if they are the same "
        "visits, part of the test set was trained on; split the files of path= and test_path= between sessions."
    )
    return [Notice(text, ("path", "test_path"))]


def of_shared_rows(tables: Tables, rows: Frame) -> list[Notice]:
    """A warning about rows that are in the training files and in the test files."""
    click = ["key", "item", "time"]
    test = rows.filter(nw.col("is_test")).select(click)
    both = count_rows(tables, test.join(rows.filter(~nw.col("is_test")).select(click), on=click, how="semi"))
    if not both:
        return []
    text = (
        f"Test clicks that are training clicks, too: {both:,}, so that part of the test set was trained on; leave "
        "their rows out of the files of path= or test_path=."
    )
    return [Notice(text, ("path", "test_path"))]


def of_sessions(data: SessionData, rules: Rules) -> list[Notice]:
    """Warnings about sessions so long that training or evaluation takes most of its time for a few of them."""
    sets = {"training": data.train, "test": data.test}
    return [notice for name, part in sets.items() for notice in _of_long_sessions(name, part, rules)]


def _of_long_sessions(name: str, sessions: Sessions, rules: Rules) -> list[Notice]:
    lengths = sessions.lengths.double()
    long = lengths > LONG_SESSION
    share = float((lengths[long] ** 2).sum() / (lengths**2).sum())
    if share <= LONG_SHARE or (rules.max_session_length or LONG_SESSION + 1) <= LONG_SESSION:
        return []
    text = (
        f"Sessions of more than {LONG_SESSION} clicks in the {name} set: {int(long.sum()):,} of {len(sessions):,}, up "
        f"to {int(lengths.max()):,} clicks, with {100 * share:.0f} % of the clicks in all prefixes, and so of the "
        f"time; if they are robots, keep their latest clicks with rules.max_session_length={LONG_SESSION}, or drop "
        "them with rules.too_long=drop as well."
    )
    return [Notice(text, ("rules.max_session_length", "rules.too_long"))]


def of_split(data: SessionData, facts: Mapping[str, Any]) -> list[Notice]:
    """A warning about a test set of very few sessions."""
    pause = datetime.fromisoformat(facts["test"][0]) - datetime.fromisoformat(facts["train"][1])
    is_late = len(data.test) < FEW_TEST_SESSIONS and pause > LATE
    is_small = len(data.test) < min(FEW_TEST_SESSIONS, FEW_TEST_SHARE * len(data.train))
    if not is_late and not is_small:
        return []
    text = (
        f"Number of test sessions: only {len(data.test):,}, from {facts['test'][0]} to {facts['test'][1]}, while those "
        f"of training, {len(data.train):,}, end at {facts['train'][1]}: if a clock is wrong, leave its rows out "
        "with where=CONDITION, else choose another split with rules.test_days=DAYS or rules.test_from=DATE."
    )
    return [Notice(text, ("where", "rules.test_days", "rules.test_from"))]


def of_own_split(data: SessionData, facts: Mapping[str, Any]) -> list[Notice]:
    """A warning about test files that are not later than the training files."""
    early = facts["test_sessions_begun_before"]
    if not early:
        return []
    text = (
        f"Sessions of test_path= that began before the last training session ended, at {facts['train'][1]}: {early:,} "
        f"of {len(data.test):,}; the model knows clicks that came later, as it would not in use; split by time with "
        "test_path=null and all files in path=."
    )
    return [Notice(text, ("test_path", "path"))]
