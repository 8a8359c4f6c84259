"""Tables of an engine that runs on one machine: each is a Parquet file, and polars reads the log."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from srgnn.data.log.engines import Frame
from srgnn.data.log.writing import writing

if TYPE_CHECKING:
    from srgnn.data.log.columns.layout import Layout


@dataclass(frozen=True)
class FileTables(ABC):
    """The tables of one preparation, each a Parquet file.

    Args:
        folder: Their folder.
    """

    folder: Path

    @abstractmethod
    def scan(self, path: Path) -> Frame:
        """The rows of a Parquet file."""

    def read(self, layout: "Layout", columns: Mapping[str, pl.Expr], name: str) -> Frame:
        path = self.path(name)
        with writing(path):
            layout.marked.select(**columns).with_row_index("row").sink_parquet(path, compression="lz4")
        return self.scan(path)

    def parts(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self.path(name), glob=False)

    def path(self, name: str) -> Path:
        """The file of a table."""
        return self.folder / f"{name}.parquet"
