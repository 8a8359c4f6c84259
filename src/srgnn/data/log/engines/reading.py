"""Reading a log as a stream with polars, for the engines that have no better way."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from srgnn.data.log.raw.files import writing

if TYPE_CHECKING:
    from srgnn.data.log.columns.layout import Layout


def read_with_polars(layout: "Layout", columns: Mapping[str, pl.Expr], path: Path) -> Path:
    """Writes the columns of a log's rows to a Parquet file, after `row`, their position; returns the file."""
    with writing(path):
        layout.frame.select(**columns).with_row_index("row").sink_parquet(path, compression="lz4")
    return path
