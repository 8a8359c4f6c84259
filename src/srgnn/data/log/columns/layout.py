"""The layout of a click log: which column has which role, and how its values are read. The first rows decide it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields

import polars as pl

from srgnn.data.log.arguments import check_names, listed
from srgnn.data.log.columns.formats import are_times, find_format
from srgnn.data.log.columns.ids import MISSING, id_reader, number_reader, text_reader, values_alone, without_records
from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.nesting import lists_in_step, unpacked
from srgnn.data.log.columns.oddities import Oddity, find_oddities
from srgnn.data.log.columns.roles import MissingColumnsError, check_header, find_names
from srgnn.data.log.columns.text_lists import find_form
from srgnn.data.log.columns.times import TimeFormat
from srgnn.data.log.raw import files as raw
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import JSON
from srgnn.errors import ArgumentError

Names = str | Sequence[str] | None
FEW_ROWS = 100  # enough to see whether a condition on a row depends on other rows


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
        frame: Its rows, with nested lists and fields unpacked.
        marked: The same rows and, marked by the column `_is_header`, the header lines among those of text files.
        names: The log's own column for each role: `key` (the session, or the user whose visits are cut), `item`,
            `time`, and where used `order` and `event`.
        readers: The expressions that read the values of `key`, `item`, `time` and, where used, `order`; null where a
            value is missing or unreadable.
        wide: The expressions that read any value of `key` and `item`, as text, and of `order`, as a float; null where a
            value is missing.
        time: How the times are written.
        is_click: The condition that a row counts as a click; None where every row does.
        oddities: The kinds of values that are read in another way than they are written, by name.
        shares_times: Whether the values of a list share the time of their row, so that equal clicks are no duplicates.
        lists: The column that seems to hold a list in each row, which is not unpacked; None if there is none.
    """

    files: RawFiles
    frame: pl.LazyFrame
    marked: pl.LazyFrame
    names: Mapping[str, str]
    readers: Mapping[str, pl.Expr]
    wide: Mapping[str, pl.Expr]
    time: TimeFormat
    is_click: pl.Expr | None
    oddities: Mapping[str, Oddity] = field(default_factory=dict)
    shares_times: bool = False
    lists: str | None = None

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


def find_layout(files: RawFiles, form: LogFormat, wide: Collection[str] = ()) -> Layout:
    """Decides the layout of a log from its first rows.

    Args:
        files: The log.
        form: The user's description.
        wide: The roles whose values are read in their widest form whatever the first rows hold: `key` and `item` as
            text, `order` as floats.

    Raises:
        MissingColumnsError: for a column that the first rows do not have.
        UserError: for a description that does not fit the log.
    """
    check_header(files, form.possible_names.values())
    rows = files.rows()
    frame = form.unpacked(rows)
    sample = frame.head(raw.SAMPLE).collect(engine="streaming").drop(raw.IS_TEST, strict=False)
    names = find_names(files, form.possible_names, sample.schema, form.nested)
    names = {"key" if role in ("session", "user") else role: name for role, name in names.items()}
    is_click = _click_condition(files, form, sample, names)
    missing = listed(form.missing)
    roles = [role for role in ("key", "item", "order") if role in names]
    samples: dict[str, pl.Series] = {role: _with_later_bytes(frame, sample[names[role]]) for role in roles}
    if files.kind in JSON:  # else a record that is left out would turn integers into text
        samples = {role: values_alone(each) for role, each in samples.items()}

    def reader(role: str, is_wide: bool) -> pl.Expr:
        if role == "order":
            return number_reader(samples[role], is_wide, missing)
        ids = id_reader(samples[role], is_wide, missing)
        return without_records(ids, sample) if files.kind in JSON else ids

    readers = {role: reader(role, role in wide) for role in ("key", "item")}
    time = find_format(_known(frame, sample[names["time"]], missing), form.time_format, form.time_zone)
    readers["time"] = time.reader
    if "order" in names:
        readers["order"] = reader("order", "order" in wide)
    types = sample.select(**readers).schema
    integer_ids = [names[role] for role in ("key", "item") if types[role].is_integer()]
    return Layout(
        files,
        frame,
        form.unpacked(files.rows(marked=True, blanked=form.where is not None or form.nested is not None)),
        names,
        readers,
        {role: reader(role, True) for role in samples},
        time,
        is_click,
        find_oddities(sample.schema, names, integer_ids, time),
        form.nested == names["item"] and names["time"] not in lists_in_step(rows, form.nested, [names["time"]]),
        _find_lists(sample, names["item"]) if form.nested is None else None,
    )


def _find_lists(sample: pl.DataFrame, item: str) -> str | None:
    """The column that seems to hold a list in each row: that of the items, or another one in brackets."""
    if find_form(sample[item]) is not None:
        return item
    for column in sample:
        form = find_form(column)
        is_text = form is not None and form.brackets and not are_times(column.cast(pl.String))
        if is_text or isinstance(column.dtype, pl.List | pl.Array):
            return column.name
    return None


def _known(frame: pl.LazyFrame, sample: pl.Series, missing: Collection[str]) -> pl.Series:
    """First values of a column, null for words for nothing; later values where the first rows have none."""
    value = pl.col(sample.name).fill_nan(None) if sample.dtype.is_float() else pl.col(sample.name)
    if sample.dtype == pl.String:
        value = text_reader(sample, missing).alias(sample.name)
    known = sample.to_frame().select(value).to_series()
    if known.null_count() < len(known):
        return known
    return frame.select(value).drop_nulls().head(raw.SAMPLE).collect(engine="streaming").to_series()


def _with_later_bytes(frame: pl.LazyFrame, sample: pl.Series) -> pl.Series:
    """First values of a column, and one that is not UTF-8 text if the column has such bytes in any row."""
    if sample.dtype == pl.Binary:
        try:
            frame.select(pl.col(sample.name).cast(pl.String).is_null().any()).collect(engine="streaming")
        except pl.exceptions.ComputeError:
            return pl.concat([sample, pl.Series(sample.name, [b"\xff"])])
    return sample


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
            _check_rows_alone(conditions[-1], form.where, sample)
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            if isinstance(error, pl.exceptions.ColumnNotFoundError) and files.kind in JSON and not files.mixed:
                raise MissingColumnsError(reason) from error
            raise ArgumentError(
                "where",
                form.where,
                f"an SQL expression over the columns {shown(*sample.columns)}; CSV columns are text, "
                f"which CAST(x AS BIGINT) turns into numbers ({reason})",
            ) from error
    return pl.all_horizontal(conditions).fill_null(False) if conditions else None


def _check_rows_alone(condition: pl.Expr, where: str, sample: pl.DataFrame) -> None:
    """Checks that the condition is decided by each row alone: engines read a log in parts, and in any order.

    Raises:
        ArgumentError: for an aggregate or a window, such as `price > AVG(price)`.
    """
    rows = sample.head(FEW_ROWS)
    together = rows.with_columns(is_click=condition)["is_click"]
    alone = [rows[place : place + 1].with_columns(is_click=condition)["is_click"] for place in range(len(rows))]
    if _looks_at_others(condition, sample.schema) or (alone and not together.equals(pl.concat(alone))):
        text = "a condition on each row alone, without functions of several rows such as AVG, COUNT or ROW_NUMBER"
        raise ArgumentError("where", where, text)


def _looks_at_others(expression: pl.Expr, types: pl.Schema) -> bool:
    try:
        is_alone = expression.meta.is_row_separable() or not expression.meta.root_names()  # as of the list after IN
    except pl.exceptions.ColumnNotFoundError:  # polars would need the types to know
        is_alone = True
    others = (_looks_at_others(part, types) for part in expression.meta.pop(schema=types))
    return not is_alone or expression.meta.eq(pl.len()) or any(others)
