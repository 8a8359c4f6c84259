"""Broken JSON lines: a slow search for lines that are no objects, or whose values are of another kind than in most."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from srgnn.data.log.raw.broken import BrokenLine, Fault, Findings, end_between
from srgnn.data.log.raw.json_lines import is_object, repeated_fields, with_nulls
from srgnn.data.log.raw.text import FROM_LINES, command, raw_lines
from srgnn.errors import UserError

JSON, PYTHON, HALF, NOT_JSON = range(4)  # Python's json.dumps writes NaN and Infinity, which JSON does not have
SURROGATE = re.compile("[\ud800-\udfff]")  # half of a character: Python joins both halves


def find_broken_json(path: Path, known_path: Path) -> Findings:
    """Finds the lines of a file that are not JSON objects of whole characters, and those that are only for Python.

    Args:
        path: The file.
        known_path: The user's own file, of which it may be a copy.
    """
    line = pl.col("line")
    kind = line.map_batches(_json_kinds, pl.Int8)
    lines = raw_lines(path).filter(~is_object(line)).with_columns(kind=kind).filter(pl.col("kind") != JSON)
    text = pl.when(pl.col("kind") != PYTHON).then(line)
    found = lines.select("number", text, "kind").collect(engine="streaming")
    faults = {NOT_JSON: Fault.NOT_JSON, HALF: Fault.HALF}
    broken = [
        BrokenLine(known_path, number, text, faults[kind], end_between(text, "}", "{"))
        for number, text, kind in found.drop_nulls().iter_rows()
    ]
    number = found["line"].null_count()
    return Findings(broken, {known_path: number} if number else {})


def find_unlike(path: Path, known_path: Path) -> list[BrokenLine]:
    """Finds the lines of a file of JSON lines in which a field is a record, a list or true, unlike in most lines.

    Args:
        path: The file.
        known_path: The user's own file, of which it may be a copy.
    """
    kinds: dict[str, Counter[str]] = {}
    lines = raw_lines(path).filter(pl.col("line").str.strip_chars() != "").collect(engine="streaming")
    for line in lines["line"]:
        for place, kind in set(_kinds(json.loads(line))):
            kinds.setdefault(place, Counter())[kind] += 1
    unlike = {(place, kind) for place, count in kinds.items() for kind in count if kind != count.most_common(1)[0][0]}
    return [
        BrokenLine(known_path, number, line, Fault.UNLIKE)
        for number, line in lines.iter_rows()
        if unlike and not unlike.isdisjoint(_kinds(json.loads(line)))
    ]


def repeated_field(paths: Sequence[Path]) -> UserError:
    """The error for files of JSON lines with a record, within an object, that has a field twice."""
    found = {path: repeated_fields(path, None) for path in paths}
    path, lines = next((path, lines) for path, lines in found.items() if lines)
    number, names = next(iter(lines.items()))
    fix = command(path, FROM_LINES, "fields")
    text = f"{path} line {number}: the field {names[0]} occurs more than once in one object: write it once"
    return UserError(f"{text}, or keep its last value, for instance with {fix}.")


def _kinds(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Each field of a value with the kind of what it holds."""
    if isinstance(value, dict):
        yield field, "record"
        for name, each in value.items():
            yield from _kinds(each, f"{field}.{name}")
    elif isinstance(value, list):
        yield field, "list"
        for each in value:
            yield from _kinds(each, f"{field}[]")
    elif value is not None:
        yield field, "true" if isinstance(value, bool) else "value"


def _json_kinds(lines: pl.Series) -> pl.Series:
    kinds = [
        PYTHON if is_known else _json_kind(line)
        for line, is_known in zip(lines, with_nulls(lines).is_not_null(), strict=True)
    ]
    return pl.Series(kinds, dtype=pl.Int8)


def _json_kind(line: str) -> int:
    if not line.strip():
        return JSON
    constants: list[str] = []
    try:
        value = json.loads(line, parse_constant=constants.append)
    except ValueError:
        return NOT_JSON
    if not isinstance(value, dict):
        return NOT_JSON
    if r"\u" in line and SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        return HALF
    return PYTHON if constants else JSON
