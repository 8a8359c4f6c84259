"""Compressed files: the first bytes that they hold, and the error for a damaged one."""

import gzip
import zlib
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.text import GZIP, raw_lines, unpacking
from srgnn.errors import UserError

START = 65_536  # bytes: enough for the first rows
LINES = 20  # that are read of data which polars alone unpacks


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file, of compressed data those that it holds; none of a damaged file.

    Bytes of zstd and zlib data that are not UTF-8 are those of U+FFFD.

    Raises:
        UserError: for a file without permission to read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): ask for permission to read it.") from error
    if unpacking(path) is None:
        return start
    try:
        if start.startswith(GZIP):
            with gzip.open(path) as unpacked:
                return unpacked.read(START)
        lines = raw_lines(path, lossy=True).head(LINES).collect(engine="streaming")["line"]
        return "\n".join(lines).encode()[:START]
    except (OSError, EOFError, zlib.error):
        return b""


def damaged(path: Path) -> UserError | None:
    """The error for a file whose compressed data ends too early or is damaged; None if it can be unpacked."""
    try:
        raw_lines(path, lossy=True).select(pl.len()).collect(engine="streaming")
        return None
    except OSError as error:
        return UserError(f"{path} is truncated or damaged ({error}): copy it again.")
