"""Rows -> clicks: drops duplicate rows, cuts visits, numbers the sessions in their order and the items.

Every function maps lazy frames to lazy frames, over narwhals, so that any engine can run it.
"""

import narwhals as nw
import polars as pl

from srgnn.data.log.columns.times import SECOND
from srgnn.data.log.engines import Frame

CLICKS = ("session", "length", "item", "place", "row")  # the columns of clicks
ORDER = ("place", "row")  # the order of the clicks of a session: by time, number or row, and ties as in the log


def drop_duplicates(rows: Frame) -> Frame:
    """Keeps the first of the rows that repeat session, item, time and, where used, order."""
    return rows.group_by([name for name in _names(rows) if name != "row"]).agg(nw.col("row").min())


def cut_visits(rows: Frame, gap: int) -> Frame:
    """Adds the column `visit`: the number of a user's visit, which ends after more than `gap` µs of inactivity."""
    order = ("time", "row")
    users = _keys(rows)
    pause = nw.col("time") - nw.col("time").shift(1).over(users, order_by=order)
    begins = nw.when(pause > gap).then(nw.lit(1)).otherwise(nw.lit(0))  # the first pause is null
    rows = rows.with_columns(begins=begins)
    return rows.with_columns(visit=nw.col("begins").cum_sum().over(users, order_by=order).cast(nw.Int64)).drop("begins")


def find_items(rows: Frame) -> Frame:
    """The distinct items: `item`, `count`, `first_seen` and `last_seen` in µs since 1970, UTC."""
    time = nw.col("time")
    return rows.group_by("item").agg(count=nw.len(), first_seen=time.min(), last_seen=time.max())


def code_items(items: pl.DataFrame) -> pl.DataFrame:
    """Numbers the items: small integers take less memory than ids."""
    return items.sort("item").with_row_index("code")


def find_sessions(rows: Frame, file_order: bool) -> Frame:
    """The sessions of rows.

    Args:
        rows: The columns `row`, `key`, `item`, `time`, `visit` where visits were cut, and `is_test` where a file is
            the test set.
        file_order: Whether the session is dated by its last row, in whole seconds, instead of its last click.

    Returns:
        The columns `key` and, where used, `visit` and `is_test`, `length` (number of clicks), `when` (date of the
        session, which decides its order and its side of the split), `began` (time of its first click), both in µs since
        1970, UTC, and `first_row`, which breaks ties.
    """
    keys, time, row = _keys(rows), nw.col("time"), nw.col("row")
    sessions = rows.group_by(keys).agg(
        length=nw.len().cast(nw.Int32), when=time.max(), began=time.min(), first_row=row.min(), last_row=row.max()
    )
    if file_order:
        last = rows.join(sessions.select("last_row"), left_on="row", right_on="last_row", how="semi")
        dates = last.select(*keys, when=time // SECOND * SECOND)
        sessions = sessions.drop("when").join(dates, on=keys, how="inner")
    return sessions.drop("last_row")


def join_clicks(rows: Frame, sessions: Frame, codes: Frame, place: str) -> Frame:
    """The clicks that the rules work on.

    Args:
        rows: The rows.
        sessions: The table of :func:`find_sessions`, with the column `session` of numbers in the order of the sessions.
        codes: The items and their codes, in the columns `item` and `code`.
        place: The column that orders the clicks of a session.

    Returns:
        The columns `session`, `length` (number of clicks of the session), `item` (its code), `place` and `row`.
    """
    keys = _keys(rows)
    clicks = rows.join(sessions.select(*keys, "session", "length"), on=keys, how="inner")
    clicks = clicks.join(codes.select("item", "code"), on="item", how="inner")
    clicks = clicks.with_columns(place=nw.col(place)).drop("item").rename({"code": "item"})
    return clicks.select(*CLICKS)


def _keys(rows: Frame) -> list[str]:
    return [name for name in ("key", "visit", "is_test") if name in _names(rows)]


def _names(rows: Frame) -> list[str]:
    return rows.collect_schema().names()
