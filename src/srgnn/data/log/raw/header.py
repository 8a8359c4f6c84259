"""What stands above the rows of a text file: its header, comments, and a line that names the separator."""

import codecs
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.content import LINE_ENDS, other_line_ends
from srgnn.data.log.raw.packed import damaged
from srgnn.data.log.raw.separators import (
    SEPARATORS,
    check_rows,
    check_spaces,
    find_separator,
    find_signs,
    long_separator,
)
from srgnn.data.log.raw.text import Parsed, State, parse, raw_lines
from srgnn.data.log.raw.titles import ROWS, Top, find_top, title, unique
from srgnn.data.log.words import counted
from srgnn.errors import ArgumentError, UserError

IS_HEADER = "_is_header"  # the column that marks header lines among the rows
LINES = 1000  # that are read to find the header,
MOST = 100_000  # or as many, if the first ones are blank or comments
BELOW = 50  # lines below the header that are compared with it
COMMENT = "#"
SQL_SIGNS = "[]`"  # around the names of columns
SEPARATOR_LINE = re.compile(r'"?\s*sep\s*= *(?:"(.)"|(.))(?:\s|\2)*"?', re.IGNORECASE)  # of Excel, or padded


@dataclass(frozen=True)
class Head:
    """The lines above the first row of a text file.

    Args:
        separator: The field separator.
        columns: The names of all columns; a name that occurs twice has a number after its second occurrence.
        height: The number of lines above the first row.
        repeated: The names that occur more than once.
        spaced: The names that have invisible characters around them in the file, which `columns` lack.
        comments: The number of comment lines.
        replaced: Whether the file has a header with other names than the user's.
        fields: The fields of the header without the quotes around them; empty if the file has none.
    """

    separator: str
    columns: tuple[str, ...]
    height: int
    repeated: tuple[str, ...] = ()
    spaced: tuple[str, ...] = ()
    comments: int = 0
    replaced: bool = False
    fields: tuple[str, ...] = ()


def read_head(path: Path, header: Sequence[str] | None, separator: str | None, quote: str | None) -> Head:
    """Reads what stands above the rows of a text file.

    Args:
        path: The file.
        header: The names of all columns, for a file without a header; None if the file names them.
        separator: The field separator; None detects it.
        quote: The character around a field that holds separators; None if quotes are part of the text.

    Raises:
        ArgumentError: for a `header` of another width than the first row.
        UserError: for a file without lines or header, in UTF-16, whose lines end in other characters than
            line feeds, with lines of fewer fields above its rows, or with a separator of several characters.
    """
    lines = _first_lines(path, separator)
    height = _blanks(lines, 0, separator)
    if height < len(lines) and (named := SEPARATOR_LINE.fullmatch(lines[height])):
        separator = separator or named[1] or named[2]
        height += 1
    comments, occupied = _comments(lines[height:], header, separator, path, quote)
    height = _blanks(lines, height + occupied, separator)
    if height >= len(lines) >= MOST:
        raise UserError(
            f"{path} has no header in its first {MOST:,} lines: remove the blank lines and comments above it."
        )
    if height >= len(lines):
        raise empty(path)
    line = lines[height]
    unquoted = line if quote is None else "".join(line.split(quote)[::2])
    for sign in LINE_ENDS if height + 1 == len(lines) else "\r":  # a name may hold others
        if sign in unquoted.rstrip():
            raise other_line_ends(path, sign)
    is_detected = separator is None
    separator, top = _top(path, lines, height, header, separator, quote)
    check_spaces(path, lines, separator, quote)
    if top is not None:
        if header is None or any(record.has_number for record in top.above) or len(top.record.fields) != len(header):
            raise title(path, top)
        height, line = top.record.start, lines[top.record.start]
    parsed, end = _record(lines, height, separator, quote)
    if parsed.state is State.OPEN:
        raise UserError(
            f"{path} line {height + 1} has a quote that is not closed ({line[:60]!r}): expected a header; close the "
            "quote, or set quote=null if quotes are part of the text.",
            "quote",
        )
    fields = parsed.fields if parsed.state is State.CLOSED else line.split(separator)
    written = tuple(fields)
    if header is None:
        if line.startswith(COMMENT):
            fields[0] = fields[0].removeprefix(COMMENT)
        fields += [""] * _surplus(lines[end : end + ROWS], len(fields), separator, quote)
        names = [clean(field) for field in fields]
        repeated = tuple(sorted({name for name in names if names.count(name) > 1}))
        spaced = tuple(field for field in fields if clean(field) != field)
        if is_detected:
            check_rows(path, unique(names), lines[end : end + ROWS], separator, quote)
        return Head(separator, unique(names), end, repeated, spaced, comments, fields=written)
    if len(header) != len(fields):
        signs = find_signs(line) if len(fields) == 1 else ""
        if len(signs) > 1:
            raise long_separator(path, signs)
        raise ArgumentError("header", list(header), f"the names of the {counted(len(fields), 'column')} of {path.name}")
    pairs = [(clean(field), clean(field).strip(SQL_SIGNS)) for field in fields]
    is_header = any(new and new.lower() in map(str.lower, old) for old, new in zip(pairs, header, strict=True))
    is_header |= top is not None and top.is_header
    replaced = top is not None or (is_header and any(new not in old for old, new in zip(pairs, header, strict=True)))
    if not is_header:
        return Head(separator, tuple(header), height, (), (), comments, replaced)
    return Head(separator, tuple(header), end, (), (), comments, replaced, written)


def is_repeated(head: Head) -> pl.Expr:
    """The condition that a row is the header again, in all columns that have a name, as where files were joined."""
    pairs = zip(head.columns, head.fields, strict=False)
    named = [(column, field) for column, field in pairs if field and column != "_line"]  # their number in some frames
    if len(named) < 2:
        return pl.lit(False)
    same = [pl.col(column) == field for column, field in named]
    column, field = named[0]
    same[0] |= pl.col(column) == codecs.BOM_UTF8.decode() + field
    return pl.all_horizontal(same).fill_null(False)


def clean(name: str) -> str:
    """A column name without the spaces and other invisible characters around it."""
    visible = [place for place, letter in enumerate(name) if is_visible(letter)]
    return name[visible[0] : visible[-1] + 1] if visible else ""


def is_visible(letter: str) -> bool:
    """Whether a character is none of spaces, controls, and signs without width such as U+200B or a byte order mark."""
    return unicodedata.category(letter) not in ("Cc", "Cf", "Zs", "Zl", "Zp")


def cleaned(names: Sequence[str]) -> dict[str, str]:
    """The names of columns that :func:`clean` changes, and those without; empty where two would be the same."""
    spaced = {name: clean(name) for name in names if clean(name) != name}
    return spaced if len({clean(name) for name in names}) == len(names) else {}


def empty(path: Path) -> UserError:
    """The error for a file without any line."""
    return UserError(f"{path} is empty: expected rows.")


def _first_lines(path: Path, separator: str | None) -> list[str]:
    """The first lines of a file, at least `BELOW` of them below blank lines and comments."""
    lines: list[str] = []
    for number in (LINES, MOST):
        try:
            lines = raw_lines(path).head(number).collect(engine="streaming")["line"].to_list()
        except pl.exceptions.ComputeError:  # not UTF-8
            lines = raw_lines(path, lossy=True).head(number).collect(engine="streaming")["line"].to_list()
        except OSError as error:
            raise (damaged(path) or error) from error
        if len(lines) < number or not all(_is_blank(line, separator) or line[0] == COMMENT for line in lines[:-BELOW]):
            break
    return lines


def _is_blank(line: str, separator: str | None) -> bool:
    """Whether a line has no value."""
    return all(letter.isspace() or letter in SEPARATORS or letter == separator for letter in line)


def _blanks(lines: Sequence[str], start: int, separator: str | None) -> int:
    """The first line from `start` that is not blank."""
    return next((index for index in range(start, len(lines)) if not _is_blank(lines[index], separator)), len(lines))


def _surplus(lines: Sequence[str], width: int, separator: str, quote: str | None) -> int:
    """The number of separators that end every row, and that the header lacks."""
    rows = [parse(line, separator, quote) for line in lines if line.strip()]
    surplus = [row.fields[width:] for row in rows if row.state is State.CLOSED]
    if len(rows) < 2 or len(surplus) < len(rows) or not all(surplus) or any(map(any, surplus)):
        return 0
    return max(map(len, surplus))


def _top(
    path: Path,
    lines: Sequence[str],
    height: int,
    header: Sequence[str] | None,
    separator: str | None,
    quote: str | None,
) -> tuple[str, Top | None]:
    """The separator, and the first record of the table if lines with fewer fields stand above it."""
    first = separator or find_separator(path, lines[height:], header, quote)
    top = find_top(lines, height, first, quote)
    if top is not None or separator is not None:
        return first, top
    others = {other: find_top(lines, height, other, quote) for other in SEPARATORS if other != first}
    found = {other: top for other, top in others.items() if top is not None}
    certain = (other for other, top in found.items() if top.is_header)
    other = next(certain, None if first in lines[height] else next(iter(found), None))
    return (first, None) if other is None else (other, found[other])


def _record(lines: Sequence[str], start: int, separator: str, quote: str | None) -> tuple[Parsed, int]:
    """The first record from a line on, whose quoted names may hold line ends, and the number of its last line."""
    text = lines[start]
    parsed = parse(text, separator, quote)
    end = start + 1
    while parsed.state is State.OPEN and end < len(lines):
        text += "\n" + lines[end]
        parsed = parse(text, separator, quote)
        end += 1
    return parsed, end


def _comments(
    lines: Sequence[str], header: Sequence[str] | None, separator: str | None, path: Path, quote: str | None
) -> tuple[int, int]:
    """The lines at the top that are comments, and the lines that they and blank ones among them occupy.

    Comments start with # and are neither a header nor a row.
    """
    first = next(
        (index for index, line in enumerate(lines) if not _is_blank(line, separator) and line[0] != COMMENT), len(lines)
    )
    block = [index for index in range(first) if not _is_blank(lines[index], separator)]
    number = len(block)
    if header is not None:  # the first of these lines that has all columns is a row
        widths = [
            len(parse(lines[index], separator or find_separator(path, [lines[index]], header, quote), quote).fields)
            for index in block
        ]
        number = next((index for index, width in enumerate(widths) if width == len(header) > 1), number)
    elif block and first < len(lines):
        separator = separator or find_separator(path, lines[first:], header, quote)
        last, following = (parse(lines[index], separator, quote).fields for index in (block[-1], first))
        number -= len(last) == len(following) > 1 and any(field[:1].isdigit() for field in following)
    return number, block[number] if number < len(block) else first if block else 0
