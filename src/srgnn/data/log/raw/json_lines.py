"""JSON lines as rows, with types by their first rows, by all rows, or as text."""

import glob
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from srgnn.data.log.raw.content import starts_with_bom
from srgnn.data.log.raw.header import cleaned
from srgnn.data.log.raw.text import raw_lines

CONSTANT = r"([:\[,]\s*)(?:NaN|-?Infinity)\b"
TEXT = r'"(?:[^"\\]|\\.)*"'


def scan_json(path: Path, sample: int | None, texts: Collection[str]) -> pl.LazyFrame:
    """The rows of a file of JSON lines.

    Args:
        path: The file.
        sample: Number of the first rows from which to infer the fields and their types; None takes all.
        texts: The fields to read as text whatever their values are, by their clean names.

    Raises:
        NoDataError: for a file of blank lines.
    """
    if raw_lines(path).filter(pl.col("line").str.strip_chars() != "").head(1).collect(engine="streaming").is_empty():
        raise pl.exceptions.NoDataError(f"no row in {path}")  # polars calls it a ComputeError, as much else
    source = _in_memory(path) if starts_with_bom(path) else glob.escape(str(path))
    if not texts:
        return pl.scan_ndjson(source, infer_schema_length=sample)
    names = field_names(path, sample)
    types = dict.fromkeys((name for name in names if cleaned(names).get(name, name) in texts), pl.String())
    rows = pl.scan_ndjson(source, infer_schema_length=sample, schema_overrides=types)
    try:
        rows.collect_schema()
    except pl.exceptions.SchemaError:  # polars compares the types of all fields before it uses those given
        rows = pl.scan_ndjson(source, infer_schema_length=1, schema_overrides=types)
    return rows


def field_names(path: Path, sample: int | None) -> list[str]:
    """The fields of the first rows, of all where `sample` is None, in the order of their appearance."""
    lines = raw_lines(path).slice(0, sample).collect(engine="streaming")["line"]
    return [*dict.fromkeys(name for line in lines if line.strip() for name in json.loads(line))]


def repeated_fields(path: Path, sample: int | None) -> dict[int, list[str]]:
    """The fields that an object has more than once, by the numbers of their lines.

    Args:
        path: The file.
        sample: Number of the first lines to look at; None takes all.
    """
    found: dict[int, list[str]] = {}
    for number, line in raw_lines(path).slice(0, sample).collect(engine="streaming").iter_rows():
        names: list[str] = []

        def note(pairs: list[tuple[str, Any]], names: list[str] = names) -> None:
            names += (name for name, count in Counter(name for name, _ in pairs).items() if count > 1)

        with suppress(ValueError):  # a line that is blank, or no JSON for Python
            json.loads(line, object_pairs_hook=note)
        if names:
            found[number] = names
    return found


def constant_in(path: Path, number: int, name: str) -> str | None:
    """The NaN or Infinity that a field of a JSON line has, as it is written; None if it has another value.

    Args:
        path: The file.
        number: The number of the line, counted from 1.
        name: The field, or the path of one.
    """
    line = raw_lines(path).slice(number - 1, 1).collect(engine="streaming")["line"][0]
    row = json.loads(line, parse_constant=_Constant)
    return next((str(value) for value in _values(row, name) if isinstance(value, _Constant)), None)


class _Constant(str):
    """The text of a number that JSON does not have."""


def _values(value: Any, name: str) -> Iterator[Any]:
    """The values of a field, also within lists and other fields."""
    if isinstance(value, list):
        for each in value:
            yield from [each] if isinstance(each, _Constant) else _values(each, name)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == name and not isinstance(each, list):
                yield each
            else:
                yield from _values(each, name if key == name else name.removeprefix(f"{key}."))


def _in_memory(path: Path) -> io.BytesIO:
    """A file without the byte order mark at its start; of a log, there is a copy on disk instead."""
    content = io.BytesIO()
    raw_lines(path).select("line").sink_csv(content, include_header=False, quote_style="never")
    content.seek(0)
    return content


def is_object(line: pl.Expr) -> pl.Expr:
    """The condition that a line is a JSON object."""
    return line.str.starts_with("{") & line.str.json_path_match("$").is_not_null()


def without_constants(lines: pl.Series) -> pl.Series:
    """JSON lines with null for NaN and Infinity, which Python's json.dumps writes and JSON does not have."""
    pairs = zip(lines, with_nulls(lines), strict=True)
    return pl.Series([_without_constant(line) if known is None else known for line, known in pairs], dtype=pl.String)


def with_nulls(lines: pl.Series) -> pl.Series:
    """JSON objects with null for their constants; null for others, and where a text may hold one: Python knows."""
    line = pl.col("line")
    number = line.str.count_matches(CONSTANT)
    is_certain = (number > 0) & (number == line.str.replace_all(TEXT, '""').str.count_matches(CONSTANT))
    with_nulls = line.str.replace_all(CONSTANT, "${1}null")
    return (
        lines.rename("line").to_frame().select(pl.when(is_certain & is_object(with_nulls)).then(with_nulls)).to_series()
    )


def _without_constant(line: str) -> str:
    if "NaN" not in line and "Infinity" not in line:
        return line
    return json.dumps(json.loads(line, parse_constant=lambda word: None), ensure_ascii=False)
