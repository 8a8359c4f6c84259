"""Tables in Parquet or CSV files, by the ending of the name."""

from pathlib import Path

import polars as pl

from srgnn.errors import ArgumentError
from srgnn.saving import whole_file

FORMATS = (".parquet", ".csv")


def check_table_path(argument: str, path: Path) -> None:
    """Checks that a table can be written to a file.

    Args:
        argument: Name of the argument that gave it.
        path: The file.

    Raises:
        ArgumentError: for a name with another ending, or a folder that does not exist.
    """
    if path.suffix not in FORMATS or not path.parent.is_dir():
        expected = f"a file in an existing folder whose name ends in {' or '.join(FORMATS)}"
        raise ArgumentError(argument, path, expected)


def check_new_table(argument: str, path: Path) -> None:
    """Checks that a table can be written to a new file, as :func:`check_table_path`.

    Raises:
        ArgumentError: also for a file that is there: it may be the user's log.
    """
    check_table_path(argument, path)
    if path.exists():
        raise ArgumentError(argument, path, "a new file; delete this one, or choose another name")


def write_table(path: Path, what: str, table: pl.LazyFrame, *lists: str) -> None:
    """Writes a table whole or not at all, without holding all of it in memory.

    A CSV file has one row for each place of the lists, with its number from 1 as `place`, since its fields hold no
    lists; rows with empty lists are left out of it.

    Args:
        path: The file.
        what: Description of the table for the error message, such as `the recommendations`.
        table: The table.
        lists: The columns of lists, which have one length in each row.

    Raises:
        UserError: if the system refuses to write.
    """
    with whole_file(path, what) as temporary:
        if path.suffix != ".csv":
            table.sink_parquet(temporary)
            return
        if lists:
            length = pl.col(lists[0]).list.len()
            table = table.filter(length > 0).with_columns(place=pl.int_ranges(1, length + 1)).explode("place", *lists)
        table.sink_csv(temporary)
