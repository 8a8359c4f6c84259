"""Rows that may hide others: a quoted field holds lines that look like rows, or a value is cut off or unreadable."""

import re

import narwhals as nw
import polars as pl

from srgnn.data.log.columns.layout import Layout
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.raw.broken import EXAMPLES
from srgnn.data.log.raw.files import SAMPLE
from srgnn.data.log.raw.paths import JSON
from srgnn.data.log.raw.text import one
from srgnn.data.log.report import Notice
from srgnn.data.log.words import counted

HIDES, ZERO = "_hides", "_zero"  # columns of the table of rows


def find_marks(layout: Layout) -> dict[str, pl.Expr]:
    """The expressions of two columns that mark rows which may hide others; empty where none can.

    A quoted field hides rows if one of its further lines has something like a time where rows have their time: text
    of several lines, with separators in it, has none there. Zero bytes cut off values; and polars reads half of a
    character in JSON as one, so that different ids would become the same.
    """
    if layout.files.kind in JSON:
        types = layout.frame.collect_schema()
        names = [name for name in dict.fromkeys(layout.names.values()) if types[name] == pl.String]
        cut = [pl.col(name).str.contains("\0", literal=True) for name in names]
        return {ZERO: pl.any_horizontal(cut).fill_null(False)} if cut else {}
    if not layout.files.may_hide_rows:
        return {}
    text = pl.selectors.string().str
    marks = {ZERO: pl.any_horizontal(text.contains("\0", literal=True)).fill_null(False)}
    pattern = _pattern(layout)
    if pattern is not None:
        marks[HIDES] = pl.any_horizontal(text.contains(pattern)).fill_null(False)
    return marks


def may_hide_rows(tables: Tables, table: Frame) -> bool:
    """Whether a row has a mark."""
    marks = [nw.col(name) for name in (HIDES, ZERO) if name in table.collect_schema().names()]
    return bool(marks) and bool(tables.collect(table.select(nw.any_horizontal(*marks, ignore_nulls=True).any())).item())


def hidden_notices(layout: Layout, tables: Tables, table: Frame) -> list[Notice]:
    """The warning about fields that were read as text and look like further rows."""
    if HIDES not in table.collect_schema().names():
        return []
    number = int(tables.collect(table.select(nw.col(HIDES).cast(nw.Int64).sum())).item() or 0)
    if not number:
        return []
    pattern, files = _pattern(layout), layout.files
    text = pl.coalesce(pl.when(pl.selectors.string().str.contains(pattern or "")).then(pl.selectors.string()))
    examples: list[str] = []
    for known_path, file in files.each():
        rows = file.rows(numbered=True)
        found = rows.select("_line", text=text).drop_nulls().head(EXAMPLES - len(examples)).collect(engine="streaming")
        examples += [f"{known_path.name} line {line}: {field[:60]!r}" for line, field in found.iter_rows()]
        if len(examples) == EXAMPLES:
            break
    fields = counted(number, "quoted field")
    found_text = f"{files.name}: {fields} read as text, with lines that look like rows ({', '.join(examples)})"
    return [Notice(f"{found_text}; close the quote if one is missing.")]


def _pattern(layout: Layout) -> str | None:
    """The regular expression for a field with a line that has a time at its place; None if the log has no time."""
    name, quote = layout.time.column, layout.files.quote
    sample = layout.frame.head(SAMPLE).select(name).drop_nulls().head(1).collect(engine="streaming").to_series()
    if quote is None or not len(sample):
        return None
    blank = f"[ {one(quote)}]*"
    time = blank + "".join(map(_shape, re.findall(r"\d+|[^\W\d_]+|.", str(sample[0]).strip(), re.DOTALL))) + blank
    heads = [layout.files.head(path) for path in layout.files.paths]
    places = {(one(head.separator), head.columns.index(name)) for head in heads if name in head.columns}
    lines = [
        f"(?:[^\n{separator}]*{separator}){{{place}}}{time}(?:{separator}{'' if not place else '|$|' + chr(10)})"
        for separator, place in sorted(places)
    ]
    return f"\n(?:{'|'.join(lines)})" if lines else None


def _shape(part: str) -> str:
    """The regular expression for a part of a time: digits, letters or a sign."""
    if part.isdecimal():
        return r"\d{4,}" if len(part) >= 4 else r"\d+"
    return r"\pL+" if part.isalpha() else "".join(map(one, part))
