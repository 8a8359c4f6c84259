"""Files -> rows: reads a log as a stream by its layout, and widens the layout if a later row contradicts it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import narwhals as nw
import polars as pl

from srgnn.data.log.columns.layout import Layout, LogFormat, find_layout
from srgnn.data.log.columns.roles import MissingColumnsError
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.findings import file_notices
from srgnn.data.log.raw.broken import BrokenLine, Findings
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import JSON
from srgnn.data.log.report import Notice
from srgnn.data.log.text_ids import find_text_ids
from srgnn.errors import ArgumentError

HIDES = "_hides"  # a column of :func:`_write`


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
    text_ids: set[str] = set()
    while True:  # each round except the last widens the layout, or leaves broken lines out
        failure: Exception | None = None
        try:
            layout = find_layout(files, form, text_ids)
            files.check_columns(_used(layout))
            table = _write(layout, form, tables)
            if findings is not None or not _hides_rows(tables, table):
                new_text_ids = find_text_ids(layout, tables, table) - text_ids
                if not new_text_ids:
                    notices = [*file_notices(given, findings or Findings()), *layout.notices]
                    return Rows(table, layout, findings.broken if findings else (), notices)
                text_ids |= new_text_ids
                continue
        except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, MissingColumnsError) as error:
            failure = error
        if findings is None and not isinstance(failure, MissingColumnsError):
            findings = files.search()
            if findings.broken and not skip:
                raise files.broken_lines(findings.broken, skip)
            if findings.broken or findings.constants:
                files = files.repaired(findings, tables.folder)
                continue
        if failure is None:
            continue
        if files.kind not in JSON or files.mixed:
            raise failure
        files = replace(files, mixed=True)  # a later row has another type, or a field that the first ones lack


def _write(layout: Layout, form: LogFormat, tables: Tables) -> Frame:
    columns = layout.columns
    if layout.files.may_hide_rows:
        text = pl.selectors.string().str
        separators = "".join(sorted({layout.files.head(path).separator for path in layout.files.paths}))
        hides = text.contains(f"\n[^\n]*[{re.escape(separators)}]"), text.contains("\0", literal=True)
        columns[HIDES] = pl.any_horizontal(*hides).fill_null(False)
    try:
        return tables.read(layout, columns, "rows")
    except pl.exceptions.InvalidOperationError as error:
        if form.where is None:
            raise
        reason = str(error).splitlines()[0]
        expected = f"an SQL expression that works for every row, for instance with TRY_CAST ({reason})"
        raise ArgumentError("where", form.where, expected) from error


def _hides_rows(tables: Tables, table: Frame) -> bool:
    """Whether a row has a field of several lines, which may be further rows behind a stray quote, or zero bytes."""
    known = HIDES in table.collect_schema().names()
    return known and bool(tables.collect(table.select(nw.col(HIDES).any())).item())


def _used(layout: Layout) -> list[str]:
    """The names of the log's columns that its layout reads."""
    expressions = [*layout.readers.values(), *([] if layout.is_click is None else [layout.is_click])]
    return list(dict.fromkeys(name for expression in expressions for name in expression.meta.root_names()))
