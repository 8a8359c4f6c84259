"""Separators that are not read as they stand: several signs between two words, or spaces before a quote."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from srgnn.data.log.raw.text import command, python
from srgnn.errors import UserError

SIGNS = re.compile(r"""(?<=[\w"'])[^\w"']+(?=[\w"'])""")


def find_signs(line: str) -> str:
    """The signs that stand most often between two words of a line, without spaces around them; empty if none does."""
    counts = Counter(SIGNS.findall(line))
    signs = max(counts, key=counts.__getitem__, default="")
    return signs.strip() or signs


def long_separator(path: Path, signs: str) -> UserError:
    """The error for a file whose separator has several characters."""
    escaped = repr(signs.encode())[2:-1]
    code = f'import sys; [sys.stdout.buffer.write(line.replace(b"{escaped}", b"\\t")) for line in sys.stdin.buffer]'
    fix = command(path, python(code), "tabs", ".tsv")
    return UserError(
        f"{path} has the separator {signs!r} of several characters: expected one; convert it, for instance with {fix}."
    )


def check_spaces(path: Path, lines: Sequence[str], separator: str, quote: str | None) -> None:
    """Refuses spaces between a separator and the quote after it: readers would take that quote as part of the field.

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
        parts = (separator + line).split(quote)
        outside = () if is_open else parts[:-1:2]
        if any(part.rstrip(" ") != part and part.rstrip(" ").endswith(separator) for part in outside):
            dialect = f"delimiter={separator!r}, quotechar={quote!r}"
            code = (
                f"import csv, sys; csv.writer(sys.stdout, {dialect})"
                f".writerows(csv.reader(sys.stdin, {dialect}, skipinitialspace=True))"
            )
            raise UserError(
                f"{path} line {number} has spaces between a separator and a quote ({line[:60]!r}), so that the quotes "
                f"would be read as part of the field: write the file without such spaces, for instance with "
                f"{command(path, python(code), 'nospaces')}, or set quote=null if quotes are part of the text.",
                "quote",
            )
        is_open ^= len(parts) % 2 == 0
