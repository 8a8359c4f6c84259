"""Broken lines of text files: a slow search, copies of the files without them, and the error that lists them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.header import Head
from srgnn.data.log.raw.text import State, command, parse, raw_lines
from srgnn.errors import UserError

EXAMPLES = 3
JSON, PYTHON, NOT_JSON = range(3)  # Python's json.dumps writes NaN and Infinity, which JSON does not have
UNPYTHON = "jq -c ."
UNESCAPE = r"""sed 's/\\"/""/g'"""


class Fault(Enum):
    """What is wrong with a broken line, in the words of the error message."""

    SURPLUS = "lines with more fields than the header"
    STRAY = "lines with a stray quote"
    UNCLOSED = "lines with a quote that is not closed"
    BACKSLASH = "lines with quotes after a backslash"
    ZERO = "lines with zero bytes"
    NOT_JSON = "lines that are not JSON objects"

    @property
    def is_quote(self) -> bool:
        """Whether the line may be right if quotes are part of the text."""
        return self in (Fault.STRAY, Fault.UNCLOSED)


@dataclass(frozen=True)
class BrokenLine:
    """A line that is not a row."""

    path: Path
    number: int  # counted from 1
    text: str
    fault: Fault = Fault.SURPLUS


@dataclass(frozen=True)
class Findings:
    """The lines of text files that polars cannot read, or reads as something else.

    Args:
        broken: Lines that are not rows.
        hiding: Rows with a quoted field of several lines that look like further rows.
        constants: Number of JSON objects with NaN or Infinity.
    """

    broken: Sequence[BrokenLine] = ()
    hiding: Sequence[BrokenLine] = ()
    constants: int = 0

    def __add__(self, other: "Findings") -> "Findings":
        broken, hiding = [*self.broken, *other.broken], [*self.hiding, *other.hiding]
        return Findings(broken, hiding, self.constants + other.constants)


@dataclass(frozen=True)
class _Line:
    """A line that needs a closer look, and the number of lines before it that are rows for certain."""

    number: int
    text: str
    plain_rows: int  # with all separators and without quotes
    quoted_rows: int


def find_broken_json(path: Path) -> Findings:
    """Finds the lines of a file that are not JSON objects, and those that are only for Python."""
    kind = pl.col("line").map_batches(_json_kinds, pl.Int8)
    lines = raw_lines(path).with_columns(kind=kind)
    broken = lines.filter(pl.col("kind") == NOT_JSON).select("number", "line").collect(engine="streaming")
    constants = lines.select((pl.col("kind") == PYTHON).sum()).collect(engine="streaming").item()
    return Findings(
        [BrokenLine(path, number, text, Fault.NOT_JSON) for number, text in broken.iter_rows()], (), constants
    )


def find_broken(path: Path, head: Head, quote: str | None) -> Findings:
    """Finds the broken lines of a CSV file, and rows whose quoted field holds what looks like further rows.

    Args:
        path: The file.
        head: What stands above its rows.
        quote: The character around a field that holds separators; None if quotes are part of the text.
    """
    line, separators = pl.col("line"), _count(head.separator)
    has_quote = pl.lit(False) if quote is None else line.str.contains(quote, literal=True)
    is_row = separators < len(head.columns)
    if quote is not None:
        field = f"(?:[^{_one(quote)}{_one(head.separator)}]*|{_one(quote)}[^{_one(quote)}]*{_one(quote)})"
        is_row &= ~has_quote | line.str.contains(f"^{field}(?:{_one(head.separator)}{field})*$")
    is_row &= ~line.str.contains("\0", literal=True)
    complete = is_row & ~has_quote & (separators == len(head.columns) - 1)
    lines = raw_lines(path).filter(pl.col("number") > head.height)
    lines = lines.with_columns(plain=complete.cum_sum(), quoted=(is_row & has_quote).cum_sum()).filter(~is_row)
    doubtful = [_Line(*row) for row in lines.collect(engine="streaming").iter_rows()]
    broken: list[BrokenLine] = []
    hiding: list[BrokenLine] = []
    start = 0
    while start < len(doubtful):
        first = doubtful[start]
        fault, end = _fault(doubtful, start, head, quote)
        if fault is not None:
            broken.append(BrokenLine(path, first.number, first.text, fault))
            end = start + 1  # what seemed to continue the line may be a row
        elif end > start + 1 and _hides_rows(first, doubtful[end - 1], head, quote):
            hiding.append(BrokenLine(path, first.number, first.text, Fault.UNCLOSED))
        start = end
    return Findings(broken, hiding)


def copy_without(path: Path, findings: Findings, copy: Path) -> None:
    """Copies a file, with its broken lines blank, and with null for NaN and Infinity in JSON."""
    numbers = pl.Series([line.number for line in findings.broken if line.path == path], dtype=pl.UInt32)
    line = pl.when(~pl.col("number").is_in(numbers.implode())).then("line").otherwise(pl.lit(""))
    if findings.constants:
        line = line.map_batches(_without_constants, pl.String)
    raw_lines(path).select(line).sink_csv(copy, include_header=False, quote_style="never")


def quotes_are_text(path: Path, head: Head, quote: str) -> bool:
    """Whether no line of a CSV file is broken if quotes are part of the text, and none has a quoted field.

    Args:
        path: The file.
        head: What stands above its rows if quotes are part of the text.
        quote: The character that is a quote or part of the text.
    """
    separator, mark = _one(head.separator), _one(quote)
    quoted = pl.col("line").str.contains(f"(?:^|{separator}){mark}[^{mark}]*{mark}(?:{separator}|$)")
    surplus = _count(head.separator) >= len(head.columns)
    lines = raw_lines(path).filter(pl.col("number") >= head.height)
    return not lines.select((quoted | surplus).any()).collect(engine="streaming").item()


def broken_lines(name: str, broken: Sequence[BrokenLine], skip: bool, quote_null: bool = False) -> UserError:
    """The error for lines that are not rows at all.

    Args:
        name: The name of the files in messages.
        broken: The lines, at least one.
        skip: Whether they were to be left out, or cannot be.
        quote_null: Whether `quote=null` reads the files.
    """
    kinds = []
    for fault in dict.fromkeys(line.fault for line in broken):
        lines = [line for line in broken if line.fault is fault]
        examples = ", ".join(f"{line.path.name} line {line.number}: {line.text[:60]!r}" for line in lines[:EXAMPLES])
        kinds.append(f"{fault.value}: {len(lines):,} ({examples})")
    remedies, arguments = ["Fix them"], []
    escaped = next((line.path for line in broken if line.fault is Fault.BACKSLASH), None)
    if escaped is not None:
        remedies = ["Write a quote within a field twice, for instance with " + command(escaped, UNESCAPE, "quotes")]
    if quote_null:
        remedies.append("set quote=null if quotes are part of the text")
        arguments.append("quote")
    if not skip:
        remedies.append("leave them out with on_error=skip")
        arguments.append("on_error")
    return UserError(f"{name} has {'; '.join(kinds)}. {', or '.join(remedies)}.", *arguments)


def _fault(lines: Sequence[_Line], start: int, head: Head, quote: str | None) -> tuple[Fault | None, int]:
    """What is wrong with the record that begins at a line, if anything, and the index of the line after it."""
    first = lines[start]
    if "\0" in first.text:
        return Fault.ZERO, start + 1
    parsed = parse(first.text, head.separator, quote)
    width, end = len(parsed.fields), start + 1
    unclosed = Fault.BACKSLASH if quote and f"\\{quote}" in first.text else Fault.UNCLOSED
    while parsed.state is State.OPEN:
        # Quotes within a quoted field are doubled: a line of whole quoted fields is a row, not a part of it.
        if end == len(lines) or lines[end].quoted_rows > first.quoted_rows or "\0" in lines[end].text:
            return unclosed, end
        parsed = parse(lines[end].text, head.separator, quote, inside=True)
        width += len(parsed.fields) - 1
        end += 1
    if end > start + 1:
        return (unclosed if parsed.state is State.STRAY or parsed.odd or width > len(head.columns) else None), end
    if parsed.state is State.STRAY or parsed.odd:
        return (unclosed if unclosed is Fault.BACKSLASH else Fault.STRAY), end
    return (Fault.SURPLUS if width > len(head.columns) else None), end


def _hides_rows(first: _Line, last: _Line, head: Head, quote: str | None) -> bool:
    """Whether the lines of a quoted field have as many fields as a row."""
    end = parse(last.text, head.separator, quote, inside=True)
    tail = last.text[: end.close].count(head.separator)
    return len(head.columns) > 1 and (last.plain_rows > first.plain_rows or tail >= len(head.columns) - 1)


def _count(separator: str) -> pl.Expr:
    return pl.col("line").str.count_matches(separator, literal=True)


def _one(character: str) -> str:
    """A character as part of a regular expression, inside brackets or not."""
    return f"\\x{{{ord(character):x}}}"


def _json_kinds(lines: pl.Series) -> pl.Series:
    return pl.Series([_json_kind(line) for line in lines], dtype=pl.Int8)


def _json_kind(line: str) -> int:
    constants: list[str] = []
    try:
        is_object = not line.strip() or isinstance(json.loads(line, parse_constant=constants.append), dict)
    except ValueError:
        return NOT_JSON
    return (PYTHON if constants else JSON) if is_object else NOT_JSON


def _without_constants(lines: pl.Series) -> pl.Series:
    return pl.Series([_without_constant(line) for line in lines], dtype=pl.String)


def _without_constant(line: str) -> str:
    if "NaN" not in line and "Infinity" not in line:
        return line
    return json.dumps(json.loads(line, parse_constant=lambda word: None), ensure_ascii=False)
