"""The preparation of a click log, from top to bottom: files -> rows -> clicks -> rules -> split -> sessions."""

import logging
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import narwhals as nw
import polars as pl

from srgnn.data.arrays import write_sessions
from srgnn.data.log import warnings
from srgnn.data.log.arguments import listed
from srgnn.data.log.check import Checked, check
from srgnn.data.log.columns.times import SECOND, duration
from srgnn.data.log.engines import Frame, Tables, add
from srgnn.data.log.items import of_items, read_items, with_titles
from srgnn.data.log.raw.converted import converted
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.read import read
from srgnn.data.log.report import Notice, Step, count, count_rows, with_notices
from srgnn.data.log.rules import apply_rules
from srgnn.data.log.sort import code_items, cut_visits, drop_duplicates, find_items, find_sessions, join_clicks
from srgnn.data.log.split import split
from srgnn.data.log.warnings import Resolution
from srgnn.data.sessions import SessionData, Sessions, Vocabulary
from srgnn.errors import UserError

if TYPE_CHECKING:
    from srgnn.data.log.click_log import ClickLog

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sorted:
    """The clicks that the rules work on, and what belongs to them.

    Args:
        clicks: The clicks, with the columns of :func:`~srgnn.data.log.sort.join_clicks`.
        sessions: The sessions: `session`, `length`, `when` and `began`.
        items: The items, in the order of their codes: `item`, `count`, `first_seen` and `last_seen`.
        steps: The report of the steps that led to the clicks.
        notices: Warnings about the rows and the sessions.
    """

    clicks: Frame
    sessions: Frame
    items: pl.DataFrame
    steps: list[Step]
    notices: list[Notice]


def prepare(log: "ClickLog", files: RawFiles, item_files: RawFiles | None, tables: Tables) -> SessionData:
    """Prepares a log.

    Args:
        log: The description of the log and the rules.
        files: The files of the log.
        item_files: The files of its table of items, if it has one.
        tables: The tables of the engine, in a folder for temporary files.

    Returns:
        The sessions, mapped from that folder.

    Raises:
        UserError: if the files or the description are wrong, or no session is left.
    """
    missing = listed(log.missing)
    titles = read_items(log.items, item_files, tables.folder / "plain_items", missing) if item_files else None
    skip = log.on_error == "skip"
    logger.info("Reading %s (%s MB)", files.name, f"{files.size / 1e6:,.1f}")
    with converted(files, tables.folder / "plain") as plain, plain.one_sentence():
        checked = check(read(plain, log.format, skip, tables), log.format, skip, tables)
    logger.info("Sorting %s clicks", f"{checked.steps[-1].clicks:,}")
    log_of_clicks = _sorted(log, checked, tables)
    logger.info("Applying the rules")
    notices = [*checked.notices, *log_of_clicks.notices]
    steps = [*checked.steps, *log_of_clicks.steps]
    try:
        clicks, steps = apply_rules(tables, log_of_clicks.clicks, log.rules, steps, checked.lists)
        parts = split(tables, clicks, log_of_clicks.sessions, log.rules, steps)
    except UserError as error:
        raise with_notices(error, notices) from error
    logger.info("Writing the sessions")
    train, test = (_written(tables, name) for name in ("train", "test"))
    vocabulary = _vocabulary(log_of_clicks.items[parts.codes], titles)
    data = SessionData(train, test, vocabulary, test_ids=_session_ids(tables, log_of_clicks.sessions, parts.test))
    facts = data.facts()
    if titles is not None:
        facts["titled_items"] = vocabulary.about["title"].count()
    notices += warnings.of_sessions(data, log.rules)
    of_split = warnings.of_split if log.test_path is None else warnings.of_own_split
    notices += of_split(data, parts.facts)
    if titles is not None and item_files is not None:
        notices += of_items(log_of_clicks.items[parts.codes], titles, item_files.name)
    division = "test sessions are later in time" if log.test_path is None else "test sessions are those of test_path"
    manifest = {
        "name": log.name,
        "protocol": f"every prefix of every session; {division}; full ranking",
        **facts,
        "split": parts.facts,
        "steps": [asdict(step) for step in [*steps, *parts.steps]],
        "notices": [asdict(notice) for notice in notices],
    }
    return replace(data, manifest=manifest)


def _sorted(log: "ClickLog", checked: Checked, tables: Tables) -> Sorted:
    """Drops duplicates, cuts visits, numbers sessions and items."""
    rows = checked.table
    has_order = "order" in rows.collect_schema().names()
    file_order = log.rules.order == "file"
    resolution = warnings.resolution(tables, rows)
    steps: list[Step] = []
    notices_of_ties = [] if has_order or file_order else warnings.of_resolution(tables, rows, resolution)
    notices = [*notices_of_ties]
    num_duplicates = 0
    if log.rules.duplicates != "keep":
        judge = log.rules.duplicates == "auto" and not has_order
        rows, num_duplicates, of_duplicates = _without_duplicates(checked, tables, resolution, judge)
        notices += of_duplicates if log.rules.repeats == "keep" else []  # else another rule drops them
    if log.session_gap is not None:
        rows = tables.checkpoint(cut_visits(rows, duration("session_gap", log.session_gap)), "visits")
    own_split = ["is_test"] if log.test_path is not None else []
    by = [*own_split, "when", "first_row"]
    found = tables.checkpoint(find_sessions(rows, file_order), "sessions", by=by, number="session")
    items = code_items(tables.collect(find_items(rows)))
    place = "order" if has_order else "row" if file_order else "time"
    clicks = join_clicks(rows, found, add(tables, items, "items"), place)
    if num_duplicates or log.session_gap is not None:
        clicks = tables.checkpoint(clicks, "clicks")  # counted before the first rule
    if num_duplicates:
        steps.append(count("without duplicate rows", tables, clicks))
    if log.session_gap is not None:
        steps.append(count(f"visits cut after {log.session_gap} of inactivity", tables, clicks))
        notices += warnings.of_shared_rows(tables, rows) if own_split else []
    else:
        notices += warnings.of_spans(tables, found)
        has_times = not (has_order or file_order or checked.shares_times or notices_of_ties)
        notices += warnings.of_single_times(tables, found) if has_times else []
        notices += warnings.of_leaks(tables, found) if own_split else []
    return Sorted(clicks, found, items, steps, notices)


def _without_duplicates(
    checked: Checked, tables: Tables, resolution: Resolution, judge: bool
) -> tuple[Frame, int, list[Notice]]:
    """The rows without duplicates, the number of these, and warnings.

    Args:
        checked: The rows.
        tables: The tables of the engine.
        resolution: The resolution of their times.
        judge: Whether to keep those that may be two clicks: in whole seconds, and in lists that have one time.
    """
    rows = checked.table
    distinct = tables.checkpoint(drop_duplicates(rows), "distinct")
    number = resolution.rows - count_rows(tables, distinct)
    may_be_clicks = checked.shares_times or resolution.has_seconds
    if not number or not judge or not may_be_clicks:
        return (distinct if number else rows), number, []
    if checked.shares_times:
        return rows, 0, warnings.of_duplicates(number, in_lists=True)
    is_whole = nw.col("time") % SECOND == 0
    num_whole = resolution.whole_seconds - count_rows(tables, distinct.filter(is_whole))
    notices = warnings.of_duplicates(num_whole, in_lists=False)
    if num_whole == number:
        return rows, 0, notices
    columns = rows.collect_schema().names()
    rows = nw.concat([rows.filter(is_whole), distinct.filter(~is_whole).select(columns)])
    return rows, number - num_whole, notices


def _written(tables: Tables, name: str) -> Sessions:
    path = tables.folder / name
    write_sessions(path, tables.parts(name).select("session", "item"))
    return Sessions.load(path)


def _session_ids(tables: Tables, sessions: Frame, clicks: Frame) -> pl.Series:
    """The raw ids of the sessions of clicks, in the order of the sessions."""
    found = sessions.join(clicks.select("session").unique(), on="session", how="semi")
    return tables.collect(found.select("session", "key")).sort("session")["key"]


def _vocabulary(items: pl.DataFrame, titles: pl.DataFrame | None) -> Vocabulary:
    """The candidates with their counts, their first and last times, and the columns of the table of items."""
    seen = pl.col("first_seen", "last_seen").cast(pl.Datetime("us", "UTC"))
    known = items.select("item", pl.col("count").cast(pl.Int64), seen)  # engines count in several types
    if titles is not None:
        known = with_titles(known, titles)
    return Vocabulary(known["item"].to_list(), known.drop("item"))
