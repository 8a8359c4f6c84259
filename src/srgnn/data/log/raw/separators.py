"""The separator of a text file; and what is not read as it stands: several signs, or spaces beside a quote."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from srgnn.data.log.raw.text import command, python
from srgnn.errors import UserError, typed

SEPARATORS = (",", ";", "\t", "|", "\x01", "\x1f")  # the last two are those of Hive and of ASCII
LINES = 20  # that decide the separator
PADDED = re.compile(r"\t*([,;|\x01\x1f])\t*")
SIGNS = re.compile(r"""(?<=[\w"'])[^\w"']+(?=[\w"'])""")


def find_separator(path: Path, lines: Sequence[str], header: Sequence[str] | None, quote: str | None) -> str:
    """The separator that both the first line and most of the lines below have most often.

    Tabs beside another separator are padding. In a file called `.tsv`, any other tab separates.

    Args:
        path: The file.
        lines: Its lines from the header or the first row on, at least one.
        header: The names of all columns, whose number most lines should have; None if the file names them.
        quote: The character around fields that hold separators; None if quotes are part of the text.
    """
    parts = [line if quote is None else "".join(line.split(quote)[::2]) for line in lines if line.strip()]
    plain = [PADDED.sub(r"\1", line) for line in parts[:LINES]]
    if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]] and any("\t" in line for line in plain):
        return "\t"

    def rank(separator: str) -> tuple[bool, int, int]:
        counts = [line.count(separator) for line in plain]
        median = sorted(counts)[len(counts) // 2]
        has_width = header is not None and 0 < median == len(header) - 1
        return has_width, min(counts[0], median), counts[0]

    return max(SEPARATORS, key=rank)


def find_signs(line: str) -> str:
    """The signs that stand most often between two words of a line, without spaces around them; empty if none does."""
    counts = Counter(SIGNS.findall(line))
    signs = max(counts, key=counts.__getitem__, default="")
    return signs.strip() or signs


def long_separator(path: Path, signs: str) -> UserError:
    """The error for a file whose separator has several characters."""
    return UserError(
        f"{path} has the separator {signs!r} of several characters: name it with separator={typed(signs)} quote=null.",
        "separator",
        "quote",
    )


def check_rows(path: Path, names: Sequence[str], rows: Sequence[str], separator: str, quote: str | None) -> None:
    """Refuses rows that have another separator than their header, or that are one quoted field each.

    Args:
        path: The file.
        names: The names of all columns.
        rows: The first lines below the header.
        separator: The separator of the header.
        quote: The character around fields that hold separators; None if quotes are part of the text.

    Raises:
        UserError: for such rows.
    """
    plain = [line if quote is None else "".join(line.split(quote)[::2]) for line in rows if line.strip()]
    if len(plain) < 2 or len(names) < 2:
        return

    def have(sign: str, lines: Sequence[str]) -> bool:
        return 2 * sum(line.count(sign) == len(names) - 1 for line in lines) > len(plain)

    if have(separator, plain):
        return
    whole = [line[1:-1] for line in rows if len(line) > 1 and line[0] == line[-1] == quote]
    if have(separator, whole) and not any(plain):
        raise in_quotes(path, separator)
    for other in SEPARATORS:
        if have(other, plain):
            raise UserError(
                f"{path} has the separator {separator!r} in its header and {other!r} in its rows: name all columns "
                f"with header={typed(names)}, which replaces that line.",
                "header",
            )


def in_quotes(path: Path, separator: str) -> UserError:
    """The error for a file each of whose rows is one quoted field."""
    code = f"import csv, sys; [print({separator!r}.join(row)) for row in csv.reader(sys.stdin) if row]"
    fix = command(path, python(code), "unquoted")
    return UserError(
        f"{path} has its rows in quotes, as one field each: write it without them, for instance with {fix}."
    )


def check_padding(path: Path, lines: Sequence[str]) -> None:
    """Refuses a table whose columns are padded with spaces.

    Args:
        path: The file.
        lines: Its first lines from the header on.

    Raises:
        UserError: for such a table.
    """
    lines = [line.strip() for line in lines if line.strip()]
    if len(lines) < 2 or not any("  " in line for line in lines):
        return
    text = f"{path} has columns that are padded with spaces"
    if len({len(line.split()) for line in lines}) > 1:
        raise UserError(f"{text}: write it with a separator, such as a comma, between them.")
    fix = command(path, "sed 's/^ *//; s/ *$//; s/  */,/g'", "commas")
    raise UserError(f"{text}: write it with commas, for instance with {fix}.")


def check_spaces(path: Path, lines: Sequence[str], separator: str, quote: str | None) -> None:
    """Refuses spaces between a separator and a quote: readers would take the quote as part of the field, or stray.

    Args:
        path: The file.
        lines: Its first lines.
        separator: The field separator.
        quote: The character around fields that hold separators; None if quotes are part of the text.

    Raises:
        UserError: for the first line with such spaces.
    """
    if quote is None or separator == " ":
        return
    is_open = False  # within a quoted field that began on an earlier line
    for number, line in enumerate(lines, start=1):
        parts = f"{separator}{line}{separator}".split(quote)
        before = any(part.rstrip(" ") != part and part.rstrip(" ").endswith(separator) for part in parts[:-1:2])
        after = any(
            opening.endswith(separator) and part.lstrip(" ") != part and part.lstrip(" ").startswith(separator)
            for opening, part in pairwise(parts[::2])
        )
        if not is_open and (before or after):
            dialect = f"delimiter={separator!r}, quotechar={quote!r}"
            code = (
                f"import csv, sys; csv.writer(sys.stdout, {dialect})"
                f".writerows(csv.reader(sys.stdin, {dialect}, skipinitialspace=True))"
            )
            raise UserError(
                f"{path} line {number} has spaces between a separator and a quote ({line[:60]!r}), so that the quotes "
                f"would not be read as such: write the file without such spaces, for instance with "
                f"{command(path, python(code), 'nospaces')}, or set quote=null if quotes are part of the text.",
                "quote",
            )
        is_open ^= len(parts) % 2 == 0
