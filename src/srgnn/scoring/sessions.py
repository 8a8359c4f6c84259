"""Files of sessions, one per row or one click per row, as a table with one list of items per session."""

from dataclasses import dataclass, fields

import polars as pl

from srgnn.data.log.arguments import check_names, check_text, listed
from srgnn.data.log.columns.formats import detect
from srgnn.data.log.columns.ids import stripped
from srgnn.data.log.columns.layout import Columns, Names
from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.nesting import TEXTS
from srgnn.data.log.columns.roles import check_header
from srgnn.data.log.columns.text_lists import SAMPLE, ListForm, find_form
from srgnn.data.log.columns.times import TimeFormat, plausible
from srgnn.data.log.raw.files import RawFiles
from srgnn.errors import ArgumentError, UserError


@dataclass(frozen=True)
class SessionColumns:
    """The names of the columns of a file of sessions.

    Args:
        items: The items of each session, where a row is one session: lists, or text such as `A,B,C`, `A B C` or
            `["A", "B"]`. A file without this column has one row for each click.
        session, item, time: As in :class:`~srgnn.data.log.columns.layout.Columns`, where a row is one click. Without
            a time, the clicks of a session are in the order of the rows.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    items: str = "items"
    session: Names = Columns.session
    item: Names = Columns.item
    time: Names = Columns.time

    def __post_init__(self) -> None:
        check_text("columns.items", self.items, "items")
        for role in fields(self)[1:]:
            check_names(f"columns.{role.name}", getattr(self, role.name), f"{role.name}_id")


@dataclass(frozen=True)
class Shard:
    """One of several parts of a file of sessions, each of which is answered by itself.

    Args:
        number: Its number, from 1.
        count: The number of parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that a text such as `3/16` names.

        Raises:
            ArgumentError: for any other text.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ArgumentError("shard", text, "the number of a part and the number of parts, from 1/16 to 16/16")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def read_sessions(files: RawFiles, columns: SessionColumns, shard: Shard) -> pl.LazyFrame:
    """The sessions of a shard, one per row, with their items as lists in the column `columns.items`.

    Where a row is one session, a shard is a range of the rows, and all other columns are kept. Where a row is one
    click, a shard is a share of the session ids, the ids are kept, and its clicks are held in memory.

    Raises:
        UserError: for files without the columns, or with values that are no lists, sessions or times.
    """
    rows = files.rows()
    types = rows.collect_schema()
    if columns.items in types:
        files.check_columns([columns.items])
        return _range(rows, shard).with_columns(_lists(files, rows, columns.items))
    possible = {role: listed(getattr(columns, role)) for role in ("session", "item", "time")}
    names = {role: next((name for name in each if name in types), None) for role, each in possible.items()}
    if names["session"] is None or names["item"] is None:
        check_header(files, [[columns.items]])
        expected = " and ".join(" or ".join(map(shown, possible[role])) for role in ("session", "item"))
        raise UserError(
            f"{files.name}: expected a column {shown(columns.items)} with the items of each session, or the columns "
            f"{expected} with a click in each row; found {shown(*types)}. Name yours with columns.items=NAME, or with "
            "columns.session=NAME columns.item=NAME.",
            *("columns.items", "columns.session", "columns.item"),
        )
    files.check_columns([name for name in names.values() if name is not None])
    return _grouped(files, rows, names["session"], names["item"], names["time"], columns.items, shard)


def _range(rows: pl.LazyFrame, shard: Shard) -> pl.LazyFrame:
    if shard.count == 1:
        return rows
    total = rows.select(pl.len()).collect(engine="streaming").item()
    first, last = (total * number // shard.count for number in (shard.number - 1, shard.number))
    return rows.slice(first, last - first)


def _lists(files: RawFiles, rows: pl.LazyFrame, name: str) -> pl.Expr:
    """The expression for a column as lists."""
    dtype = rows.collect_schema()[name]
    if isinstance(dtype, pl.List | pl.Array):
        return pl.col(name)
    if dtype not in TEXTS:
        raise UserError(
            f"{files.name}: the column {shown(name)} holds {dtype}: expected lists of item ids, or text such as A,B,C. "
            "Name another column with columns.items=NAME.",
            "columns.items",
        )
    form = find_form(rows.select(name).head(SAMPLE).collect(engine="streaming")[name])
    return (form or ListForm(",", brackets=False)).reader(name).alias(name)  # one click each in the first rows


def _grouped(
    files: RawFiles, rows: pl.LazyFrame, session: str, item: str, time: str | None, items: str, shard: Shard
) -> pl.LazyFrame:
    """One row per session, in the order of their first clicks."""
    sample = rows.select({session, item, *([] if time is None else [time])}).head(SAMPLE).collect(engine="streaming")
    columns = {session: pl.col(session), items: stripped(sample[item]) if sample[item].dtype in TEXTS else pl.col(item)}
    if time is not None:
        columns["time of the click"] = _time(files, sample[time])
    clicks = rows.select(**columns)
    if shard.count > 1:
        clicks = clicks.filter(pl.col(session).hash() % shard.count == shard.number - 1)
    table = clicks.collect(engine="streaming")
    for name, what in ((session, "session"), ("time of the click", "time that can be read")):
        if name in table.columns and (missing := table[name].null_count()):
            raise UserError(f"{files.name}: {missing:,} of {len(table):,} rows have no {what}: fix or remove them.")
    if time is not None:
        table = table.sort("time of the click", maintain_order=True)
    return table.lazy().group_by(session, maintain_order=True).agg(items)


def _time(files: RawFiles, sample: pl.Series) -> pl.Expr:
    """The expression that reads the times, of whose column the sample has the first values."""
    form, limits = detect(sample, plausible()), plausible()
    if form is None:
        example = next(iter(sample.drop_nulls()), None)
        raise UserError(
            f"{files.name}: the times in {shown(sample.name)}, such as {example!r}, cannot be read: write seconds "
            "since 1970 or ISO times, or give columns.time=null if the clicks of each session are in order.",
            "columns.time",
        )
    return TimeFormat(sample.name, sample.dtype, form, "UTC", limits).reader
