"""Files -> rows: reads a log as a stream by its layout, and widens the layout if a later row contradicts it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import narwhals as nw
import polars as pl

from srgnn.data.log.columns.layout import Layout, LogFormat, find_layout
from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.nesting import find_ragged, has_path
from srgnn.data.log.columns.roles import MissingColumnsError, lacking_column
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.findings import file_notices, header_notices
from srgnn.data.log.hidden import find_marks, hidden_notices, may_hide_rows
from srgnn.data.log.raw.broken import BrokenLine, Findings
from srgnn.data.log.raw.content import other_line_ends
from srgnn.data.log.raw.files import IS_TEST, RawFiles
from srgnn.data.log.raw.header import IS_HEADER
from srgnn.data.log.raw.paths import JSON, PARQUET, TEXT
from srgnn.data.log.report import Notice, count_rows
from srgnn.data.log.widening import find_wide
from srgnn.errors import ArgumentError, UserError


@dataclass(frozen=True)
class Rows:
    """The rows of a log.

    Args:
        table: The columns `row`, which increases in the order of the log, and :attr:`Layout.columns`; null where a
            value is missing or unreadable.
        layout: The layout that they were read with.
        broken: The broken lines, which were left out.
        notices: Warnings about the files and the layout.
    """

    table: Frame
    layout: Layout
    broken: Sequence[BrokenLine] = ()
    notices: Sequence[Notice] = ()


def read(files: RawFiles, form: LogFormat, skip: bool, tables: Tables) -> Rows:
    """Reads a log into a table.

    Args:
        files: The log.
        form: The user's description.
        skip: Whether to leave broken lines out instead of raising an error.
        tables: The tables of the engine; copies of the log without its broken lines are in their folder.

    Raises:
        UserError: for a log that cannot be read, or does not fit its description.
    """
    wide = frozenset[str]()
    files = files.without_marks(tables.folder)
    findings: Findings | None = None
    while True:  # each round except the last leaves broken lines out, or widens the layout
        rows = _attempt(files, form, wide, tables)
        if findings is None and _is_doubtful(rows, tables):
            findings = _searched(files, skip)
            if findings.broken or findings.constants:
                files = files.repaired(findings, tables.folder / "repaired")
                continue
        if isinstance(rows, Exception):
            if not _is_of_all_rows(files, form, rows):
                files = _of_all_rows(files, form)
                continue
            unlike = _unlike(files, rows, skip)
            files = replace(files, mixed=False, texts=()).repaired(unlike, tables.folder / "alike")
            findings = (findings or Findings()) + unlike
            continue
        new_wide = find_wide(rows.layout, tables, rows.table) - wide
        if not new_wide:
            return _noticed(rows, findings or Findings(), tables)
        wide |= new_wide


def _attempt(files: RawFiles, form: LogFormat, wide: Collection[str], tables: Tables) -> Rows | Exception:
    """The rows of a log by the layout that its first rows decide; the error if broken or later rows contradict it."""
    try:
        layout = find_layout(files, form, wide)
        files.check_columns(_used(layout))
        _check_files(layout, form)
        table = _write(layout, form, tables)
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, MissingColumnsError) as error:
        return error
    except pl.exceptions.ShapeError as error:
        raise (_ragged(files, form) or error) from error
    if files.kind not in TEXT:
        return Rows(table, layout)
    number = count_rows(tables, table.filter(nw.col(IS_HEADER)))
    table = (table.filter(~nw.col(IS_HEADER)) if number else table).drop(IS_HEADER)
    return Rows(table, layout, notices=header_notices(files, number))


def _write(layout: Layout, form: LogFormat, tables: Tables) -> Frame:
    columns = {**layout.columns, **find_marks(layout)}
    if layout.files.kind in TEXT:
        columns[IS_HEADER] = pl.col(IS_HEADER)
    try:
        return tables.read(layout, columns, "rows")
    except pl.exceptions.InvalidOperationError as error:
        if form.where is None:
            raise
        reason = str(error).splitlines()[0]
        expected = f"an SQL expression that works for every row, for instance with TRY_CAST ({reason})"
        raise ArgumentError("where", form.where, expected) from error


def _is_doubtful(rows: Rows | Exception, tables: Tables) -> bool:
    """Whether broken lines may be the cause of an error, or be hidden in rows."""
    if isinstance(rows, Exception):
        return not isinstance(rows, MissingColumnsError)
    return may_hide_rows(tables, rows.table)


def _searched(files: RawFiles, skip: bool) -> Findings:
    """What a search finds in the files.

    Raises:
        UserError: for broken lines that are not to be left out, and lines that end in other characters than line feeds.
    """
    findings = files.search()
    for line in findings.broken:
        if line.line_end is not None:
            raise other_line_ends(line.path, line.line_end)
    if findings.broken and not skip:
        raise files.broken_lines(findings.broken, skip)
    return findings


def _is_of_all_rows(files: RawFiles, form: LogFormat, failure: Exception) -> bool:
    """Whether the columns and types cannot be widened, after a later row had another type or a field more.

    Raises:
        Exception: the failure itself, if it is not about JSON lines, or about a column that no row has.
    """
    is_tried = files.mixed or bool(files.texts)
    if files.kind not in JSON or (is_tried and isinstance(failure, UserError)):
        raise failure
    return bool(files.texts) or (files.mixed and not _single_fields(files, form))


def _of_all_rows(files: RawFiles, form: LogFormat) -> RawFiles:
    """The files with columns and types by all rows.

    If that has failed, all is read as text, so that a record or a list among the ids is one bad row.
    """
    return replace(files, mixed=False, texts=_single_fields(files, form)) if files.mixed else replace(files, mixed=True)


def _single_fields(files: RawFiles, form: LogFormat) -> tuple[str, ...]:
    """The fields of JSON lines that may be read as text: all but those that hold lists and records to be unpacked."""
    if form.nested is not None:
        return ()
    records = {name.partition(".")[0] for names in form.possible_names.values() for name in names if "." in name}
    return tuple(name for name in files.json_fields() if name not in records)


def _unlike(files: RawFiles, failure: Exception, skip: bool) -> Findings:
    """The lines whose values do not fit to those of others.

    Raises:
        UserError: for such lines if they are not to be left out, or if there are none.
    """
    unlike = files.unlike()
    if not unlike.broken:
        raise UserError(
            f"{files.name}: a field holds values of types that do not fit together ({str(failure).splitlines()[0]}): "
            "write values of one type."
        ) from failure
    if not skip:
        raise files.broken_lines(unlike.broken, skip) from failure
    return unlike


def _noticed(rows: Rows, findings: Findings, tables: Tables) -> Rows:
    """The rows with the warnings about their files."""
    of_files, hidden = file_notices(rows.layout.files, findings), hidden_notices(rows.layout, tables, rows.table)
    return replace(rows, broken=findings.broken, notices=[*of_files, *rows.notices, *hidden])


def _ragged(files: RawFiles, form: LogFormat) -> UserError | None:
    """The error for a row whose lists differ in length; None if there is none."""
    names = [name for names in form.possible_names.values() for name in names]
    for known_path, file in files.each():
        rows = file.rows(numbered=True)
        if form.nested is None or not has_path(rows.collect_schema(), form.nested):
            continue
        ragged, columns = find_ragged(rows, form.nested, names)
        for number, *lengths in ragged.select("_line", *columns).head(1).collect(engine="streaming").iter_rows():
            place = f"{known_path} {'row' if files.kind == PARQUET else 'line'} {number}"
            return UserError(
                f"{place}: the lists in the columns {shown(*columns)} have {', '.join(map(str, lengths))} values: "
                "expected as many in each; fix or remove that row."
            )
    return None


def _check_files(layout: Layout, form: LogFormat) -> None:
    """Checks that each of several files has all columns that are used: without one of them, none of its rows counts.

    Raises:
        MissingColumnsError: for a file that lacks one, in its first rows or, where these do not decide, in all.
    """
    files, conditions = layout.files, _conditions(layout, form)
    for place, (_, file) in enumerate(files.each() if len(files.paths) > 1 else ()):
        rows = file.rows()
        columns = rows.collect_schema().names()
        needed = [*conditions, *_used(layout)]
        if form.nested is None or has_path(rows.collect_schema(), form.nested):
            found = [*form.unpacked(rows).collect_schema(), form.nested, IS_TEST]
            lacking = [name for name in needed if name not in found]
        else:
            lacking = [form.nested]
        if columns and lacking:
            raise lacking_column(files, place, columns, lacking[0], conditions.get(lacking[0]))


def _conditions(layout: Layout, form: LogFormat) -> dict[str, str]:
    """The argument of each column without which no row of a file would be a click."""
    names = [] if layout.is_click is None else layout.is_click.meta.root_names()
    event = layout.names.get("event")
    arguments = {name: "events" if name == event else "where" for name in names}
    return arguments if form.nested is None else {**arguments, form.nested: "nested"}


def _used(layout: Layout) -> list[str]:
    """The names of the log's columns that its layout reads."""
    expressions = [*layout.readers.values(), *([] if layout.is_click is None else [layout.is_click])]
    return list(dict.fromkeys(name for expression in expressions for name in expression.meta.root_names()))
