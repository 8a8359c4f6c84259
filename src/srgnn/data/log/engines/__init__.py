"""Engines that run the rules over a log: polars, DuckDB and Spark, under one contract.

The rules are one text over `narwhals <https://narwhals-dev.github.io/narwhals/>`_ lazy frames; an engine executes it.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import narwhals as nw
import polars as pl

if TYPE_CHECKING:
    from srgnn.data.log.columns.layout import Layout
    from srgnn.data.log.raw.files import RawFiles

Frame = nw.LazyFrame[Any]


class Tables(Protocol):
    """The tables of one preparation, as Parquet in a folder."""

    @property
    def folder(self) -> Path:
        """The folder."""

    def read(self, layout: "Layout", columns: Mapping[str, pl.Expr], name: str) -> Frame:
        """Reads a log once, and stores columns of its rows after `row`, which increases in the order of the log.

        Args:
            layout: The layout of the log.
            columns: The expressions of the columns.
            name: Name of the table.
        """

    def scan(self, path: Path) -> Frame:
        """The rows of a Parquet file."""

    def checkpoint(self, frame: Frame, name: str, by: Sequence[str] = (), number: str | None = None) -> Frame:
        """Stores a frame, so that what it was made from is not computed again.

        Args:
            frame: The frame.
            name: Name of the table.
            by: The columns to sort by.
            number: Name of a column to add, of integers that increase in that order.
        """

    def collect(self, frame: Frame) -> pl.DataFrame:
        """The rows of a frame in memory; for results that are much smaller than the log."""

    def parts(self, name: str) -> pl.LazyFrame:
        """The rows of a stored table in their order, read with polars."""


class Engine(Protocol):
    """The settings of an engine. One class, one YAML in `conf/engine/`."""

    def check_files(self, files: "RawFiles") -> None:
        """Checks that the engine reads such files as they are meant, before it starts.

        Raises:
            UserError: if it does not.
        """

    def start(self, folder: Path) -> AbstractContextManager[Tables]:
        """Starts the engine for one preparation.

        Args:
            folder: Folder for the tables, removed by the caller.

        Raises:
            UserError: if the engine is not installed, or does not start.
        """


def add(tables: Tables, table: pl.DataFrame, name: str) -> Frame:
    """Stores a table from memory."""
    path = tables.folder / f"{name}.parquet"
    table.write_parquet(path)
    return tables.scan(path)
