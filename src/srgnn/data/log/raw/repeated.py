"""Header lines among the rows of a text file, as where files have been joined."""

import codecs
import re
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.header import Head
from srgnn.data.log.raw.text import pieces

MARK = codecs.BOM_UTF8


def is_header(head: Head) -> pl.Expr:
    """The condition that a row is the header again, in all columns that have a name."""
    named = [(column, field) for column, field in zip(head.columns, head.fields, strict=False) if field]
    if len(named) < 2:
        return pl.lit(False)
    same = [pl.col(column) == field for column, field in named]
    column, field = named[0]
    same[0] |= pl.col(column) == MARK.decode() + field
    return pl.all_horizontal(same).fill_null(False)


def count_headers(path: Path, head: Head) -> int:
    """The number of lines of a plain file that are the header again."""
    if not head.line:
        return 0
    needle = b"\n(?:" + MARK + b")?" + re.escape(head.line.encode())
    line = re.compile(needle + rb"(?=[\r\n])")
    overlap = len(head.line.encode()) + len(MARK) + 1
    number, known, piece = 0, 0, b""
    for piece in pieces(path, overlap):
        number += sum(match.end() >= known for match in line.finditer(piece))
        known = min(overlap, len(piece))  # those that end in it have been found
    number += re.search(needle + rb"\Z", piece) is not None
    has_lines_above = head.height > head.line.count("\n") + 1
    return max(number - has_lines_above, 0)  # the first header below other lines is one of those found
