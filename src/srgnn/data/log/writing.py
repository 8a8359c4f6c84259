"""Errors of writing the prepared data, in queries that also read the log."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from srgnn.saving import FULL, error_number, write_error

UNWRITABLE = (*FULL, errno.EROFS)  # in a query that both reads and writes, these errors come from the writing


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns errors of a full or read-only disk, which polars raises as its own, into a :class:`UserError`.

    Other errors pass through: the query that writes `path` also reads the log.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        if error_number(error) not in UNWRITABLE:
            raise
        raise write_error(f"the prepared data in {path.parent}", error, "cache") from error
