"""The layout of a click log: which column has which role, and how its values are read. The first rows decide it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields

import polars as pl

from srgnn.data.log.arguments import check_names, listed
from srgnn.data.log.columns import times
from srgnn.data.log.columns.ids import MISSING, id_reader, number_reader, text_reader
from srgnn.data.log.columns.nesting import unpacked
from srgnn.data.log.columns.oddities import Oddity, find_oddities
from srgnn.data.log.columns.roles import MissingColumnsError, find_names
from srgnn.data.log.columns.times import TimeFormat
from srgnn.data.log.raw import files as raw
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import JSON
from srgnn.data.log.report import Notice
from srgnn.errors import ArgumentError

Names = str | Sequence[str] | None


@dataclass(frozen=True)
class Columns:
    """The columns of a click log, each as a name, a list of possible names (the first one found is used), or None.

    A name may be the path of a field in a column of records, such as `item_id.sku` (JSON lines, Parquet).

    Args:
        session: Session ids.
        item: Item ids.
        time: Times of the clicks.
        user: User ids, used with `session_gap`.
        event: Event types, used with `events`.
        order: Numbers that order the clicks of a session, instead of their times.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    session: Names = ("session_id", "session", "sessionId", "SessionId")
    item: Names = ("item_id", "item", "itemId", "ItemId")
    time: Names = ("timestamp", "time", "ts", "Time")
    user: Names = ("user_id", "user", "userId", "UserId")
    event: Names = ("event", "event_type", "type")
    order: Names = None

    def __post_init__(self) -> None:
        for role in fields(self):
            check_names(f"columns.{role.name}", getattr(self, role.name), f"{role.name}_id")

    def names(self, role: str) -> list[str]:
        """The possible names of a column."""
        return listed(getattr(self, role))


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
    missing: Names = MISSING

    @property
    def event_types(self) -> list[str]:
        """The event types that count as clicks; empty where all do."""
        return [event.strip() for event in listed(self.events)]

    @property
    def possible_names(self) -> dict[str, list[str]]:
        """The possible names of the column of each role that is used."""
        key = "user" if self.session_gap is not None else "session"
        roles = [key, "item", "time", *(["event"] if self.events else []), *(["order"] if self.columns.order else [])]
        return {role: self.columns.names(role) for role in roles}

    def unpacked(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of a log with the nested lists and fields that this description names as rows and columns.

        Raises:
            ArgumentError: if `nested` is no column of lists.
        """
        return unpacked(rows, self.nested, [name for names in self.possible_names.values() for name in names])


@dataclass(frozen=True)
class Layout:
    """Turns the rows of a log into the columns that the preparation works on.

    Args:
        files: The log.
        frame: Its rows of the log, with nested lists and fields unpacked.
        names: The log's own column for each role: `key` (the session, or the user whose visits are cut), `item`,
            `time`, and where used `order` and `event`.
        readers: The expressions that read the values of `key`, `item`, `time` and, where used, `order`; null where a
            value is missing or unreadable.
        texts: The expressions that read the values of `key` and `item` as text; null where an id is missing.
        time: How the times are written.
        is_click: The condition that a row counts as a click; None where every row does.
        oddities: The values in the first rows that are read in another way than they are written, by name.
        shares_times: Whether the values of a list share the time of their row, so that equal clicks are no duplicates.
        notices: Warnings about what was found while deciding the layout.
    """

    files: RawFiles
    frame: pl.LazyFrame
    names: Mapping[str, str]
    readers: Mapping[str, pl.Expr]
    texts: Mapping[str, pl.Expr]
    time: TimeFormat
    is_click: pl.Expr | None
    oddities: Mapping[str, Oddity] = field(default_factory=dict)
    shares_times: bool = False
    notices: Sequence[Notice] = ()

    @property
    def columns(self) -> dict[str, pl.Expr]:
        """The expressions of all columns that are stored of a row: `readers`, its marks, and one for every oddity."""
        conditions = {name: oddity.condition for name, oddity in self.oddities.items()}
        return {**self.readers, **self.marks, **conditions}

    @property
    def marks(self) -> dict[str, pl.Expr]:
        """The expressions of `is_click`, where not every row is one, and `is_test`, where a file is the test set."""
        is_click = {} if self.is_click is None else {"is_click": self.is_click}
        return is_click | ({"is_test": pl.col(raw.IS_TEST)} if self.files.num_test else {})


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
    rows = files.rows()
    frame = form.unpacked(rows)
    sample = frame.head(raw.SAMPLE).collect(engine="streaming").drop(raw.IS_TEST, strict=False)
    names = find_names(files, form.possible_names, sample.schema, form.nested)
    names = {"key" if role in ("session", "user") else role: name for role, name in names.items()}
    is_click = _click_condition(files, form, sample, names)
    missing = listed(form.missing)
    ids = {role: sample[names[role]] for role in ("key", "item")}
    readers = {role: id_reader(values, role in text_ids, missing) for role, values in ids.items()}
    time = times.find_format(sample[names["time"]], form.time_format, form.time_zone)
    readers["time"] = time.reader
    if "order" in names:
        readers["order"] = number_reader(sample[names["order"]], missing)
    types = sample.select(**readers).schema
    return Layout(
        files,
        frame,
        names,
        readers,
        {role: id_reader(values, True, missing) for role, values in ids.items()},
        time,
        is_click,
        find_oddities(sample, names, [role for role in ids if types[role].is_integer()]),
        form.nested == names["item"] and not isinstance(rows.collect_schema()[names["time"]], pl.List | pl.Array),
    )


def _click_condition(
    files: RawFiles, form: LogFormat, sample: pl.DataFrame, names: Mapping[str, str]
) -> pl.Expr | None:
    """The condition that a row counts as a click by `events` and `where`."""
    conditions = []
    if form.event_types:
        conditions.append(text_reader(sample[names["event"]]).is_in(form.event_types))
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
