"""The default engine: polars, in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw
import polars as pl

from srgnn.data.log.engines import Frame
from srgnn.data.log.engines.one_machine import FileTables
from srgnn.data.log.writing import writing

if TYPE_CHECKING:
    from srgnn.data.log.raw.files import RawFiles


@dataclass(frozen=True)
class Polars:
    """Runs the rules with polars: the fastest engine for a log that fits into memory, at about 80 bytes a click."""

    def check_files(self, files: "RawFiles") -> None:
        """Does nothing: polars reads the log."""

    @contextmanager
    def start(self, folder: Path) -> Iterator["PolarsTables"]:
        with writing(folder):
            yield PolarsTables(folder)


class PolarsTables(FileTables):
    """The tables of one preparation with polars."""

    def scan(self, path: Path) -> Frame:
        return nw.from_native(pl.scan_parquet(path, glob=False))

    def checkpoint(self, frame: Frame, name: str, by: Sequence[str] = (), number: str | None = None) -> Frame:
        table: pl.LazyFrame = frame.to_native()
        if by:  # polars sorts a frame in memory three times as fast as a stream
            table = table.collect(engine="streaming").sort(by).lazy()
        if number is not None:
            table = table.with_row_index(number)
        table.sink_parquet(self.path(name), compression="lz4")
        return self.scan(self.path(name))

    def collect(self, frame: Frame) -> pl.DataFrame:
        table: pl.LazyFrame = frame.to_native()
        return table.collect(engine="streaming")
