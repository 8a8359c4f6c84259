"""An engine for logs larger than memory: DuckDB, which moves to disk what exceeds its limit."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw
import polars as pl

from srgnn.data.log.engines import Frame
from srgnn.data.log.engines.one_machine import FileTables
from srgnn.data.log.writing import writing
from srgnn.errors import ArgumentError, UserError, check_int
from srgnn.saving import write_error

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from srgnn.data.log.raw.files import RawFiles

SIZE = re.compile(r"[1-9]\d*(\.\d+)? ?[KMGT]i?B")


@dataclass(frozen=True)
class DuckDB:
    """Runs the rules with DuckDB on one machine, within a memory limit.

    Args:
        memory_limit: Memory for tables, such as `4GB`; the process needs about 1.5 GB more. None takes 80 % of the
            machine's memory.
        threads: Number of threads; None takes all cores.
        temp_directory: Folder for what exceeds the limit, two to three times the size of the prepared clicks; None
            takes the folder of the prepared data.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    memory_limit: str | None = None
    threads: int | None = None
    temp_directory: str | None = None

    def __post_init__(self) -> None:
        if self.threads is not None:
            check_int("threads", self.threads, 1)
        if self.memory_limit is not None and not SIZE.fullmatch(str(self.memory_limit)):
            raise ArgumentError("memory_limit", self.memory_limit, "a size such as 4GB")

    def check_files(self, files: "RawFiles") -> None:
        """Does nothing: polars reads the log."""

    @contextmanager
    def start(self, folder: Path) -> Iterator["DuckDBTables"]:
        try:
            import duckdb
        except ImportError as error:
            raise UserError("engine=duckdb needs DuckDB: pip install 'srgnn[duckdb]'.", "engine") from error
        temp_directory = Path(self.temp_directory or folder / "spill")
        try:
            temp_directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(f"to {temp_directory}", error, "temp_directory") from error
        settings: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": str(temp_directory),
            "preserve_insertion_order": "false",  # a table that is not sorted needs no order, and less memory
        }
        if self.threads is not None:
            settings["threads"] = self.threads
        if self.memory_limit is not None:
            settings["memory_limit"] = self.memory_limit
        try:
            with writing(folder), duckdb.connect(config=settings) as connection:
                yield DuckDBTables(folder, connection)
        except duckdb.OutOfMemoryException as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"DuckDB has too little memory or disk ({reason}): give it more with memory_limit=SIZE, or name a "
                "folder with more space with temp_directory=FOLDER.",
                "memory_limit",
                "temp_directory",
            ) from error
        except duckdb.IOException as error:
            raise write_error(f"the tables of DuckDB in {folder.parent}", error, "temp_directory") from error


@dataclass(frozen=True)
class DuckDBTables(FileTables):
    """The tables of one preparation with DuckDB."""

    connection: "DuckDBPyConnection"

    def scan(self, path: Path) -> Frame:
        return nw.from_native(self.connection.read_parquet(escape(str(path))))

    def checkpoint(self, frame: Frame, name: str, by: Sequence[str] = (), number: str | None = None) -> Frame:
        path = self.path(name)
        ordered = frame.sort(*by) if by else frame
        ordered.to_native().to_parquet(str(path), compression="lz4")
        if number is None:
            return self.scan(path)
        rows = nw.from_native(self.connection.read_parquet(escape(str(path)), file_row_number=True))
        return rows.rename({"file_row_number": number})

    def collect(self, frame: Frame) -> pl.DataFrame:
        path = self.path("collected")  # by way of a file: a direct conversion would need pyarrow
        frame.to_native().to_parquet(str(path))
        return pl.read_parquet(path, glob=False, memory_map=False)
