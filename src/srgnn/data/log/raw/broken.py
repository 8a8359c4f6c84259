"""Broken lines of text files: a slow search, copies of the files without them, and the error that lists them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.content import LINE_ENDS
from srgnn.data.log.raw.header import Head
from srgnn.data.log.raw.json_lines import without_constants
from srgnn.data.log.raw.text import FROM_OBJECTS, State, command, one, parse, raw_lines
from srgnn.errors import UserError

EXAMPLES = 3
QUOTES = (r"[\"']", r"[\"'\w]")  # the patterns of the end of a row, and of the start of the next one
UNESCAPE = r"""sed 's/\\"/""/g'"""


class Fault(Enum):
    """What is wrong with a broken line, in the words of the error message."""

    SURPLUS = "lines with more fields than the header"
    STRAY = "lines with a stray quote"
    UNCLOSED = "lines with a quote that is not closed"
    BACKSLASH = "lines with quotes after a backslash"
    ZERO = "lines with zero bytes"
    NOT_JSON = "lines that are not JSON objects"
    UNLIKE = "lines with a record, a list, true or another value where most lines have another kind of these"
    HALF = "lines with half of a character, such as \\ud83d without the other half"

    @property
    def is_quote(self) -> bool:
        """Whether the line may be right if quotes are part of the text."""
        return self in (Fault.STRAY, Fault.UNCLOSED)


@dataclass(frozen=True)
class BrokenLine:
    """A line that is not a row.

    Args:
        path: The user's file.
        number: Its number, counted from 1.
        text: The line.
        fault: What is wrong with it.
        line_end: The character within it that ends rows, for all that is known about broken lines.
    """

    path: Path
    number: int
    text: str
    fault: Fault = Fault.SURPLUS
    line_end: str | None = None


@dataclass(frozen=True)
class Findings:
    """The lines of text files that polars cannot read, or reads as something else.

    Args:
        broken: Lines that are not rows.
        constants: Number of JSON objects with NaN or Infinity in each of the user's files that has any.
    """

    broken: Sequence[BrokenLine] = ()
    constants: Mapping[Path, int] = field(default_factory=dict)

    def __add__(self, other: "Findings") -> "Findings":
        return Findings([*self.broken, *other.broken], {**self.constants, **other.constants})


@dataclass(frozen=True)
class _Line:
    """A line that needs a closer look, and the number of lines before it that are rows with quotes for certain."""

    number: int
    text: str
    quoted_rows: int


def find_broken(path: Path, known_path: Path, head: Head, quote: str | None) -> Findings:
    """Finds the broken lines of a CSV file.

    Args:
        path: The file.
        known_path: The user's own file, of which it may be a copy.
        head: What stands above its rows.
        quote: The character around a field that holds separators; None if quotes are part of the text.
    """
    line, separators = pl.col("line"), _count(head.separator)
    has_quote = pl.lit(False) if quote is None else line.str.contains(quote, literal=True)
    is_row = separators < len(head.columns)
    if quote is not None:
        field = f"(?:[^{one(quote)}{one(head.separator)}]*|{one(quote)}[^{one(quote)}]*{one(quote)})"
        is_row &= ~has_quote | line.str.contains(f"^{field}(?:{one(head.separator)}{field})*$")
    is_row &= ~line.str.contains("\0", literal=True)
    lines = raw_lines(path).filter(pl.col("number") > head.height)
    lines = lines.with_columns(quoted=(is_row & has_quote).cum_sum()).filter(~is_row)
    doubtful = [_Line(*row) for row in lines.collect(engine="streaming").iter_rows()]
    broken: list[BrokenLine] = []
    start = 0
    while start < len(doubtful):
        first = doubtful[start]
        fault, end = _fault(doubtful, start, head, quote)
        if fault is not None:
            line_end = _line_end(first.text, head) if fault is Fault.SURPLUS else end_between(first.text, *QUOTES)
            broken.append(BrokenLine(known_path, first.number, first.text, fault, line_end))
            end = start + 1  # what seemed to continue the line may be a row
        start = end
    return Findings(broken)


def copy_without(path: Path, known_path: Path, findings: Findings, copy: Path) -> None:
    """Copies a file without a byte order mark, with its broken lines blank, and with null for NaN in JSON.

    Args:
        path: The file.
        known_path: The user's own file, of which it may be a copy.
        findings: What was found in it.
        copy: The new file.
    """
    numbers = pl.Series([line.number for line in findings.broken if line.path == known_path], dtype=pl.UInt32)
    line = pl.when(~pl.col("number").is_in(numbers.implode())).then("line").otherwise(pl.lit(""))
    if findings.constants:
        line = line.map_batches(without_constants, pl.String)
    raw_lines(path).select(line).sink_csv(copy, include_header=False, quote_style="never")


def end_between(text: str, before: str, after: str) -> str | None:
    """The character that ends rows within a line; any character may stand after a carriage return.

    Args:
        text: The line.
        before: The pattern of the last character of a row.
        after: The pattern of the first character of the next row.
    """
    firsts = {sign: r"\S" if sign == "\r" else after for sign in LINE_ENDS}
    return next((sign for sign in LINE_ENDS if re.search(rf"{before}\s*{sign}\s*{firsts[sign]}", text)), None)


def quotes_are_text(path: Path, head: Head, quote: str) -> bool:
    """Whether no line of a CSV file is broken if quotes are part of the text, and none has a quoted field.

    Args:
        path: The file.
        head: What stands above its rows if quotes are part of the text.
        quote: The character that is a quote or part of the text.
    """
    separator, mark = one(head.separator), one(quote)
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
    program = _program([line.text for line in broken if line.fault is Fault.NOT_JSON])
    if program is not None:
        remedies = [f"Convert the file, for instance with {command(broken[0].path, program, 'lines')}"]
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


def _program(lines: Sequence[str]) -> str | None:
    """The program that makes JSON lines of lines that have one kind of fault; None if there is none."""
    if not lines:
        return None
    if all(line.startswith("\x1e") for line in lines):
        return r"tr -d '\036'"
    rests = [rest for line in lines[:EXAMPLES] if (rest := _after_object(line)) is not None]
    if len(rests) < len(lines[:EXAMPLES]):
        after = [_after_object(line[line.find("{") :]) for line in lines[:EXAMPLES] if line.find("{") > 0]
        return "sed 's/^[^{]*//'" if after == [""] * len(lines[:EXAMPLES]) else None
    if all(rest == "," for rest in rests):
        return "sed 's/,[[:space:]]*$//'"
    return FROM_OBJECTS if all(rest.startswith("{") for rest in rests) else None


def _after_object(line: str) -> str | None:
    """What follows the JSON object at the start of a line; None if there is none."""
    try:
        value, end = json.JSONDecoder().raw_decode(line)
    except ValueError:
        return None
    return line[end:].strip() if isinstance(value, dict) else None


def _fault(lines: Sequence[_Line], start: int, head: Head, quote: str | None) -> tuple[Fault | None, int]:
    """What is wrong with the record that begins at a line, if anything, and the index of the line after it."""
    first = lines[start]
    if "\0" in first.text:
        return Fault.ZERO, start + 1
    parsed = parse(first.text, head.separator, quote)
    width, end = len(parsed.fields), start + 1
    is_odd = parsed.odd
    unclosed = Fault.BACKSLASH if quote and f"\\{quote}" in first.text else Fault.UNCLOSED
    while parsed.state is State.OPEN:
        # Quotes within a quoted field are doubled: a line of whole quoted fields is a row, not a part of it.
        if end == len(lines) or lines[end].quoted_rows > first.quoted_rows or "\0" in lines[end].text:
            return unclosed, end
        parsed = parse(lines[end].text, head.separator, quote, inside=True)
        width += len(parsed.fields) - 1
        is_odd ^= parsed.odd
        end += 1
    if end > start + 1:
        return (unclosed if parsed.state is State.STRAY or is_odd or width > len(head.columns) else None), end
    if parsed.state is State.STRAY or is_odd:
        return (unclosed if unclosed is Fault.BACKSLASH else Fault.STRAY), end
    return (Fault.SURPLUS if width > len(head.columns) else None), end


def _line_end(text: str, head: Head) -> str | None:
    """The character that ends rows within a line of too many fields."""
    text = text.rstrip()
    if "\r" in text:
        return "\r"
    parts = {sign: text.split(sign) for sign in LINE_ENDS if sign in text}
    width = len(head.columns)
    return next((s for s in parts if all(len(part.split(head.separator)) == width for part in parts[s])), None)


def _count(separator: str) -> pl.Expr:
    return pl.col("line").str.count_matches(separator, literal=True)
