"""The layout of a click log: which column has which role, and how its values are read. The first rows decide it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from srgnn.data.log import files as raw
from srgnn.data.log import times
from srgnn.data.log.files import JSON, RawFiles
from srgnn.data.log.ids import id_reader, number_reader
from srgnn.errors import ArgumentError, UserError

Names = str | Sequence[str] | None


@dataclass(frozen=True)
class Columns:
    """The columns of a click log, each as a name, a list of possible names (the first one found is used), or None.

    Args:
        session: Session ids.
        item: Item ids.
        time: Times of the clicks.
        user: User ids, used with `session_gap`.
        event: Event types, used with `events`.
        order: Numbers that order the clicks of a session, instead of their times.
    """

    session: Names = ("session_id", "session", "sessionId", "SessionId")
    item: Names = ("item_id", "item", "itemId", "ItemId")
    time: Names = ("timestamp", "time", "ts", "Time")
    user: Names = ("user_id", "user", "userId", "UserId")
    event: Names = ("event", "event_type", "type")
    order: Names = None

    def names(self, role: str) -> list[str]:
        """The possible names of a column."""
        names: Names = getattr(self, role)
        if names is None:
            return []
        return [str(name) for name in names] if isinstance(names, list | tuple) else [str(names)]


@dataclass(frozen=True)
class LogFormat:
    """A user's description of a click log; the arguments are those of :class:`~srgnn.data.ClickLog`."""

    columns: Columns
    nested: str | None = None
    session_gap: str | None = None
    time_format: str | None = None
    time_zone: str = "UTC"
    events: str | Sequence[str] | None = None
    where: str | None = None

    @property
    def event_types(self) -> list[str]:
        """The event types that count as clicks; empty where all do."""
        if not self.events:
            return []
        return [str(event) for event in ([self.events] if isinstance(self.events, str) else self.events)]


@dataclass(frozen=True)
class Layout:
    """Turns the rows of a log into the columns that the preparation works on.

    Args:
        files: The log.
        frame: Its rows; a nested column is unpacked.
        names: The log's own column for each role: `key` (the session, or the user whose visits are cut), `item`,
            `time`, and where used `order` and `event`.
        readers: The expressions that read the values of `key`, `item`, `time` and, where used, `order`; null where a
            value is missing or unreadable.
        is_click: The condition that a row counts as a click; None where every row does.
    """

    files: RawFiles
    frame: pl.LazyFrame
    names: Mapping[str, str]
    readers: Mapping[str, pl.Expr]
    is_click: pl.Expr | None


class MissingColumnsError(UserError):
    """A column was not found; a later row of JSON lines may still have it."""


def find_layout(files: RawFiles, form: LogFormat, text_ids: Collection[str] = ()) -> Layout:
    """Decides the layout of a log from its first rows.

    Args:
        files: The log.
        form: The user's description.
        text_ids: The roles, of `key` and `item`, whose ids are read as text whatever the first rows hold.

    Raises:
        MissingColumnsError: for a column that the first rows do not have.
        UserError: for a description that does not fit the log.
    """
    frame = unpacked(files.rows(), form.nested)
    sample = frame.head(raw.SAMPLE).collect(engine="streaming")
    names = _find_names(files, form, sample.columns)
    is_click = _click_condition(files, form, sample, names)
    readers = {role: id_reader(sample[names[role]], role in text_ids) for role in ("key", "item")}
    readers["time"] = times.reader(sample[names["time"]], form.time_format, form.time_zone)
    if "order" in names:
        readers["order"] = number_reader(sample[names["order"]])
    return Layout(files, frame, names, readers, is_click)


def unpacked(frame: pl.LazyFrame, nested: str | None) -> pl.LazyFrame:
    """One row per click, where the column `nested` holds a list of them.

    Raises:
        ArgumentError: if there is no such column.
    """
    if nested is None:
        return frame
    columns = frame.collect_schema().names()
    if nested not in columns:
        raise ArgumentError("nested", nested, f"one of the columns {', '.join(columns)}")
    return frame.filter(pl.col(nested).list.len() > 0).explode(nested).unnest(nested)


def _find_names(files: RawFiles, form: LogFormat, columns: Sequence[str]) -> dict[str, str]:
    """Finds the column of each role that is used."""
    key = "user" if form.session_gap is not None else "session"
    roles = [key, "item", "time", *(["event"] if form.events else []), *(["order"] if form.columns.order else [])]
    possible = {role: form.columns.names(role) for role in roles}
    found = {role: next((name for name in possible[role] if name in columns), None) for role in roles}
    missing = [role for role in roles if found[role] is None]
    if missing:
        expected = ", ".join(" or ".join(possible[role] or [role]) for role in roles)
        message = (
            f"{files.name}: expected the columns {expected}; found {', '.join(columns)}. Name yours with "
            + " ".join(f"columns.{role}=NAME" for role in missing)
        )
        arguments = [f"columns.{role}" for role in missing]
        if "session" in missing:
            message += ", or cut the visits of a user by time with columns.user=NAME session_gap=30m"
            arguments += ["columns.user", "session_gap"]
        raise MissingColumnsError(f"{message}.", *arguments)
    return {"key" if role == key else role: str(name) for role, name in found.items()}


def _click_condition(
    files: RawFiles, form: LogFormat, sample: pl.DataFrame, names: Mapping[str, str]
) -> pl.Expr | None:
    """The condition that a row counts as a click by `events` and `where`."""
    conditions = []
    if form.event_types:
        conditions.append(pl.col(names["event"]).cast(pl.String).is_in(form.event_types))
    if form.where:
        try:
            conditions.append(pl.sql_expr(form.where))
            sample.filter(conditions[-1])
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            if isinstance(error, pl.exceptions.ColumnNotFoundError) and files.kind in JSON and not files.mixed:
                raise MissingColumnsError(reason) from error
            raise ArgumentError(
                "where",
                form.where,
                f"an SQL expression over the columns {', '.join(sample.columns)}; CSV columns are text, "
                f"which CAST(x AS BIGINT) turns into numbers ({reason})",
            ) from error
    return pl.all_horizontal(conditions).fill_null(False) if conditions else None
