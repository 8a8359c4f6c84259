"""Clicks as rows -> clicks as arrays: codes items, cuts visits, sorts by session, drops duplicates."""

import logging

import numpy as np
import polars as pl

from srgnn.data.log.clicks import Clicks
from srgnn.data.log.times import SECOND

PART = 40_000_000  # rows sorted at a time: about 3 GB

logger = logging.getLogger(__name__)


def code_items(table: pl.LazyFrame) -> pl.DataFrame:
    """The distinct items, sorted: `code` (position, from 0), `item`, `first_seen` and `last_seen` in UTC."""
    time = pl.col("time").cast(pl.Datetime("us", "UTC"))
    seen = table.group_by("item").agg(first_seen=time.min(), last_seen=time.max())
    return seen.sort("item").with_row_index("code").collect(engine="streaming")


def sort(
    table: pl.LazyFrame, codes: pl.DataFrame, rows: int, file_order: bool, gap: int | None, drop_duplicates: bool
) -> tuple[Clicks, int]:
    """Returns the clicks session by session, and the number of duplicates dropped.

    Large logs are sorted in parts of whole sessions, so memory grows only with the result.

    Args:
        table: The clicks with the columns `row`, `key`, `item`, `time` in µs, and `order` if that sorts the clicks of
            a session.
        codes: The items and their codes.
        rows: Number of clicks.
        file_order: Whether to sort the clicks of a session as in the log, unless `order` sorts them, and to date the
            session by its last row in whole seconds; otherwise they are sorted by time, and its last click dates it.
        gap: The inactivity that ends a visit, in µs, where `key` is a user; None where it is the session.
        drop_duplicates: Whether to drop clicks that repeat session, item, time and order.
    """
    parts = -(-rows // PART)
    has_order = "order" in table.collect_schema()
    order = "order" if has_order else "row" if file_order else "time"
    coded = table.join(codes.lazy().select("item", "code"), on="item", how="left")
    sorted_parts, num_duplicates = [], 0
    for part in range(parts):
        logger.info("Sorting %s clicks%s", f"{rows:,}", f", part {part + 1} of {parts}" if parts > 1 else "")
        clicks = coded if parts == 1 else coded.filter(pl.col("key").hash(seed=0) % parts == part)
        if gap is not None:
            clicks = _cut_visits(clicks, gap)
        by = ["key", "row"] if order == "row" else ["key", order, "row"]
        frame = clicks.sort(by).drop("item").collect(engine="streaming")
        if drop_duplicates:
            height = frame.height
            frame = _without_duplicates(frame, order)
            num_duplicates += height - frame.height
        sorted_parts.append(_as_arrays(frame, file_order))
    return Clicks.concatenate(sorted_parts), num_duplicates


def _cut_visits(table: pl.LazyFrame, gap: int) -> pl.LazyFrame:
    """Numbers the visits of all users, and replaces the user as the key by the number of the visit."""
    is_first = (pl.col("key") != pl.col("key").shift()) | (pl.col("time").diff() > gap)
    return table.sort("key", "time", "row").with_columns(key=is_first.fill_null(True).cum_sum())


def _without_duplicates(frame: pl.DataFrame, order: str) -> pl.DataFrame:
    """Drops clicks that repeat session, item, time and order.

    In clicks sorted by `time` or `order`, only ties are compared, and there are few. Sorted by `row`, all are compared.
    """
    frame = frame.with_row_index("_index")
    ties = frame
    if order != "row":
        is_tie = pl.all_horizontal(pl.col("key", order).eq(pl.col("key", order).shift())).fill_null(False)
        ties = frame.filter(is_tie | is_tie.shift(-1, fill_value=False))
    duplicates = ties.filter(~pl.struct(pl.exclude("_index", "row")).is_first_distinct())["_index"]
    mask = np.ones(frame.height, bool)
    mask[duplicates.to_numpy()] = False
    return frame.drop("_index").filter(pl.Series(mask))


def _as_arrays(frame: pl.DataFrame, file_order: bool) -> Clicks:
    """The clicks of a sorted frame."""
    is_first = pl.col("key").ne(pl.col("key").shift()).fill_null(True)
    start = np.flatnonzero(frame.select(is_first).to_series().to_numpy())
    ptr = np.append(start, frame.height)
    time, row = frame["time"].to_numpy(), frame["row"].to_numpy()
    if file_order:
        is_last = row == np.repeat(np.maximum.reduceat(row, start), np.diff(ptr))
        when = time[is_last] // SECOND * SECOND
    else:
        when = np.maximum.reduceat(time, start)
    items = frame["code"].to_numpy().astype(np.int32)
    began, first_row = np.minimum.reduceat(time, start), np.minimum.reduceat(row, start)
    return Clicks(items, ptr, when, began, first_row.astype(np.int64))
