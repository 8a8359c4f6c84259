"""Files -> rows: reads a log as a stream by its layout, and widens the layout if a later row contradicts it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from srgnn.data.log.broken import BrokenLine, find_broken, without_broken
from srgnn.data.log.faults import broken_lines
from srgnn.data.log.files import JSON, RawFiles, writing
from srgnn.data.log.ids import EXACT
from srgnn.data.log.layout import Layout, LogFormat, MissingColumnsError, find_layout
from srgnn.errors import ArgumentError, UserError


@dataclass(frozen=True)
class Rows:
    """The rows of a log.

    Args:
        table: The columns `row` (position in the log), those of :attr:`Layout.readers`, and `is_click` if the layout
            has that condition; null where a value is missing or unreadable.
        layout: The layout that they were read with.
        broken: The broken lines, which were left out.
    """

    table: pl.LazyFrame
    layout: Layout
    broken: Sequence[BrokenLine] = ()


def read(files: RawFiles, form: LogFormat, skip: bool, folder: Path) -> Rows:
    """Reads a log into a Parquet file in `folder`.

    Args:
        files: The log.
        form: The user's description.
        skip: Whether to leave broken lines out instead of raising an error.
        folder: Folder for that file, and for copies of the log without its broken lines.

    Raises:
        UserError: for a log that cannot be read, or does not fit its description.
    """
    path = folder / "clicks.parquet"
    broken: list[BrokenLine] = []
    text_ids: set[str] = set()
    while True:  # each round except the last widens the layout
        try:
            layout = find_layout(files, form, text_ids)
            table = _write(layout, form, path)
            new_text_ids = _text_ids(layout, table) - text_ids
            if not new_text_ids:
                return Rows(table, layout, broken)
            text_ids |= new_text_ids
        except (pl.exceptions.ComputeError, MissingColumnsError) as error:
            if not broken and not isinstance(error, MissingColumnsError):
                broken = find_broken(files)
                if broken and not skip:
                    raise broken_lines(files, broken, skip) from None
                if broken:
                    files = replace(without_broken(files, broken, folder), mixed=True)
                    continue
            if files.kind not in JSON or files.mixed:
                raise
            files = replace(files, mixed=True)  # a later row has another type, or a field that the first ones lack


def _write(layout: Layout, form: LogFormat, path: Path) -> pl.LazyFrame:
    columns = dict(layout.readers) if layout.is_click is None else {**layout.readers, "is_click": layout.is_click}
    try:
        with writing(path):
            layout.frame.select(**columns).with_row_index("row").sink_parquet(path, compression="lz4")
    except pl.exceptions.InvalidOperationError as error:
        if form.where is None:
            raise
        reason = str(error).splitlines()[0]
        expected = f"an SQL expression that works for every row, for instance with TRY_CAST ({reason})"
        raise ArgumentError("where", form.where, expected) from error
    return pl.scan_parquet(path)


def _text_ids(layout: Layout, table: pl.LazyFrame) -> set[str]:
    """The roles whose ids look like integers in the first rows and are text in a later one.

    Raises:
        UserError: for ids that are floats too large to be exact.
    """
    nulls = table.select(pl.col("key", "item").has_nulls()).collect(engine="streaming").row(0, named=True)
    suspects = [role for role in nulls if nulls[role]]
    for role in suspects:
        column = pl.col(layout.names[role])
        if _is_float(layout, role) and _any(layout, column.fill_nan(None).abs() >= EXACT):
            raise UserError(
                f"{layout.files.name}: the column {layout.names[role]} has ids that are floats too large to be exact, "
                f"{EXACT:,} or more: write them as integers or as text."
            )
    return {role for role in suspects if _has_unread_text(layout, role)}


def _has_unread_text(layout: Layout, role: str) -> bool:
    """Whether there is an id that the layout's reader cannot read."""
    column = pl.col(layout.names[role])
    column = column.fill_nan(None) if _is_float(layout, role) else column
    return _any(layout, layout.readers[role].is_null() & column.cast(pl.String).ne(""))


def _is_float(layout: Layout, role: str) -> bool:
    return layout.frame.collect_schema()[layout.names[role]].is_float()


def _any(layout: Layout, condition: pl.Expr) -> bool:
    return bool(layout.frame.filter(condition).head(1).collect(engine="streaming").height)
