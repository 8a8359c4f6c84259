"""Lines with fewer fields than the rows at the top of a text file: titles, and headers that do not name all columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from srgnn.data.log.raw.text import State, command, parse
from srgnn.data.log.words import counted
from srgnn.errors import UserError, typed

ROWS = 20  # the rows that are compared with the lines above them


@dataclass(frozen=True)
class Record:
    """One row or header.

    Args:
        fields: Its fields.
        line: Its first line.
        start: The number of that line, counted from 0.
        is_parsed: Whether its quotes are closed, so that its number of fields is certain.
    """

    fields: list[str]
    line: str
    start: int
    is_parsed: bool = True

    @property
    def width(self) -> int:
        """Number of fields without the blank ones at the end."""
        return next((place for place in range(len(self.fields), 0, -1) if self.fields[place - 1].strip()), 0)

    @property
    def has_number(self) -> bool:
        """Whether a field starts with a digit."""
        return any(map(_is_number, self.fields))


@dataclass(frozen=True)
class Top:
    """The first record of a table.

    Args:
        record: The record.
        is_header: Whether it names the columns for certain.
        above: The records above it.
        width: The number of fields that most rows have.
        has_row_names: Whether every row has one field more than the line above it, and begins with another value.
        joins: Whether the lines above are a header and rows of their own.
    """

    record: Record
    is_header: bool
    above: Sequence[Record]
    width: int
    has_row_names: bool = False
    joins: bool = False


def find_top(lines: Sequence[str], start: int, separator: str, quote: str | None) -> Top | None:
    """Finds the first record of a table if lines with fewer fields stand above it.

    Args:
        lines: The first lines of the file.
        start: The first line that is neither blank nor a comment.
        separator: The field separator.
        quote: The character around a field that holds separators; None if quotes are part of the text.
    """
    records = list(islice(_records(lines, start, separator, quote), 2 * ROWS))
    widths = [record.width for record in records]
    for place in range(1, len(records) - 1):
        rows = records[place + 1 : place + 1 + ROWS]
        width = Counter(row.width for row in rows).most_common(1)[0][0]
        if max(widths[:place]) < width <= widths[place] and _is_header(records[place], rows):
            above = records[:place]
            same = {name.lower() for name in above[0].fields} & {name.lower() for name in records[place].fields}
            joins = len(above) > 2 and bool(same) and _is_header(above[0], above[1:])
            return Top(records[place], True, above, width, joins=joins)
    if not all(record.is_parsed for record in records):
        return None
    for place in reversed(range(1, min(len(records) - 1, ROWS))):
        rows = records[place:]
        is_row = any(record.has_number for record in records[1:place])
        if not is_row and max(len(record.fields) for record in records[:place]) < min(widths[place:]):
            one_more = {len(row.fields) for row in rows} == {len(records[place - 1].fields) + 1}
            is_named = one_more and len({row.fields[0] for row in rows}) == len(rows)
            return Top(records[place], False, records[:place], max(widths[place:]), is_named)
    return None


def title(path: Path, top: Top) -> UserError:
    """The error for lines above the header, or for a header that does not name all columns."""
    first, last = top.above[0], top.above[-1]
    if top.joins:
        line, record = top.record.start + 1, top.record
        return UserError(
            f"{path} line {line} ({record.line[:60]!r}) is the header of another table than that of line "
            f"{first.start + 1}, with {top.width} columns instead of {first.width}: write the two tables as two files."
        )
    text = f"{path} line {last.start + 1} ({last.line[:60]!r})"
    if not top.is_header and len(last.fields) > 1 and not last.has_number and 2 * len(last.fields) >= top.width:
        names = [name.strip() or f"column_{place + 1}" for place, name in enumerate(last.fields)]
        names += [f"column_{place + 1}" for place in range(len(names), top.width)]
        text += f" names {len(last.fields)} columns, and every row below has more fields: name all of them with"
        if top.has_row_names:  # as R and pandas read and write them
            free = next(name for name in ("row", "row_name", "name_of_row") if name not in names)
            text += f" header={typed(unique([free, *names[:-1]]))} if the first field is the name of the row, else with"
        return UserError(f"{text} header={typed(unique(names))}, which replaces that line.", "header")
    line = top.record.start + 1
    fix = command(path, f"tail -n +{line}", "rows")
    text = f"{path} line {first.start + 1} ({first.line[:60]!r}) has {counted(first.width, 'field')}"
    text += f", and the rows below have {top.width}"
    if top.is_header:
        return UserError(f"{text}: remove the lines above line {line}, for instance with {fix}.")
    header = typed([f"NAME{place + 1}" for place in range(top.width)])
    return UserError(
        f"{text}: if line {line} is a row, name all columns with header={header}; remove the lines above it, for "
        f"instance with {fix}.",
        "header",
    )


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a number after those that occur before."""
    found: list[str] = []
    for name in names:
        number = 2
        new = name
        while new in found or (new != name and new in names):
            new, number = f"{name}_{number}", number + 1
        found.append(new)
    return tuple(found)


def _records(lines: Sequence[str], start: int, separator: str, quote: str | None) -> Iterator[Record]:
    """The records from a line on, without blank ones; a line that cannot be parsed is split at all separators."""
    while start < len(lines):
        parsed, end = parse(lines[start], separator, quote), start + 1
        fields = parsed.fields
        while parsed.state is State.OPEN and end < len(lines):
            parsed = parse(lines[end], separator, quote, inside=True)
            fields = [*fields[:-1], f"{fields[-1]}\n{parsed.fields[0]}", *parsed.fields[1:]]
            end += 1
        if parsed.state is not State.CLOSED:
            fields, end = lines[start].split(separator), start + 1
        if any(field.strip() for field in fields):
            yield Record(fields, lines[start], start, parsed.state is State.CLOSED)
        start = end


def _is_header(record: Record, rows: Sequence[Record]) -> bool:
    """Whether a record has names where most rows have numbers or times."""
    numbers = [
        sum(_is_number(row.fields[place]) for row in rows if place < len(row.fields)) for place in range(record.width)
    ]
    names = [field for field, number in zip(record.fields, numbers, strict=False) if 2 * number > len(rows)]
    return bool(names) and all(any(map(str.isalpha, name)) and not _is_number(name) for name in names)


def _is_number(field: str) -> bool:
    return field.strip().removeprefix("-")[:1].isdigit()
