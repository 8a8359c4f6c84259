"""Files -> rows: reads a log as a stream by its layout, and widens the layout if a later row contradicts it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from srgnn.data.log.columns.layout import Layout, LogFormat, find_layout
from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.nesting import find_ragged, has_path
from srgnn.data.log.columns.roles import MissingColumnsError
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.findings import file_notices
from srgnn.data.log.hidden import find_marks, hidden_notices, may_hide_rows
from srgnn.data.log.raw.broken import BrokenLine, Findings
from srgnn.data.log.raw.files import IS_TEST, RawFiles
from srgnn.data.log.raw.paths import JSON, PARQUET
from srgnn.data.log.report import Notice
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
    given, findings = files, None
    files = files.without_marks(tables.folder)
    wide: set[str] = set()
    while True:  # each round except the last widens the layout, or leaves broken lines out
        failure: Exception | None = None
        try:
            layout = find_layout(files, form, wide)
            files.check_columns(_used(layout))
            _check_files(layout, form)
            table = _write(layout, form, tables)
        except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, MissingColumnsError) as error:
            failure = error
        except pl.exceptions.ShapeError as error:
            raise (_ragged(files, form) or error) from error
        is_doubtful = not isinstance(failure, MissingColumnsError) if failure else may_hide_rows(tables, table)
        if findings is None and is_doubtful:
            findings = files.search()
            if findings.broken and not skip:
                raise files.broken_lines(findings.broken, skip)
            if findings.broken or findings.constants:
                files = files.repaired(findings, tables.folder)
                continue
        if failure is not None:
            if files.kind not in JSON or (files.mixed and isinstance(failure, UserError)):
                raise failure
            if files.mixed:
                reason = str(failure).splitlines()[0]
                raise UserError(
                    f"{files.name}: a field holds values that do not fit together, such as numbers in one line and a "
                    f"record, a list or true in another ({reason}): write values of one type."
                ) from failure
            files = replace(files, mixed=True)  # a later row has another type, or a field that the first ones lack
            continue
        new_wide = find_wide(layout, tables, table) - wide
        if not new_wide:
            notices = [*file_notices(given, findings or Findings()), *hidden_notices(layout, tables, table)]
            return Rows(table, layout, findings.broken if findings else (), [*notices, *layout.notices])
        wide |= new_wide


def _write(layout: Layout, form: LogFormat, tables: Tables) -> Frame:
    try:
        return tables.read(layout, {**layout.columns, **find_marks(layout)}, "rows")
    except pl.exceptions.InvalidOperationError as error:
        if form.where is None:
            raise
        reason = str(error).splitlines()[0]
        expected = f"an SQL expression that works for every row, for instance with TRY_CAST ({reason})"
        raise ArgumentError("where", form.where, expected) from error


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
    """Checks that each of several files has the columns of `nested`, `events` and `where`, without which it is lost.

    Raises:
        MissingColumnsError: for a used column that the first rows of a file of JSON lines lack.
        UserError: for a file that has not such a column in any row.
    """
    files, arguments = layout.files, _conditions(layout, form)
    has_more = files.kind in JSON and not files.mixed
    if len(files.paths) == 1 or not (arguments or has_more):
        return
    for number, (known_path, file) in enumerate(files.each()):
        rows = file.rows()
        if form.nested is None or has_path(rows.collect_schema(), form.nested):
            columns = [*form.unpacked(rows).collect_schema().names(), form.nested, IS_TEST]
            lacking = [name for name in (_used(layout) if has_more else arguments) if name not in columns]
        else:
            lacking = [form.nested]
        if lacking and has_more:
            raise MissingColumnsError(f"{known_path} has no column {lacking[0]}.")
        if lacking:
            argument = arguments[lacking[0]]
            paths = "test_path" if number >= len(files.paths) - files.num_test else "path"
            raise UserError(
                f"{known_path} has no column {lacking[0]}, which {argument}= needs: add the column to that file, or "
                f"leave the file out of {paths}=.",
                argument,
                paths,
            )


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
