"""Header lines among the rows of a text file, as where files have been joined."""

import codecs
import mmap
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.header import Head

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
    number = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for mark in (b"", MARK) if content[: len(MARK)] == MARK else (b"",):
            needle = b"\n" + mark + head.line.encode()
            place = content.find(needle)
            while place >= 0:
                end = place + len(needle)
                number += content[end : end + 1] in (b"", b"\n", b"\r")
                place = content.find(needle, end)
    has_lines_above = head.height > head.line.count("\n") + 1
    return max(number - has_lines_above, 0)  # the first header below other lines is one of those found
