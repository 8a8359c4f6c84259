"""Data sets: sessions from a click log, a published set or a generator."""

# Import srgnn.data.graphs and srgnn.data.datamodule by their own names: PyG takes seconds to load, and preparing a log
# does not need it.
from srgnn.data.log.click_log import ClickLog
from srgnn.data.log.columns.layout import Columns
from srgnn.data.log.engines.on_duckdb import DuckDB
from srgnn.data.log.engines.on_polars import Polars
from srgnn.data.log.engines.on_spark import Spark
from srgnn.data.log.items import ItemTable
from srgnn.data.log.rules import Rules
from srgnn.data.published import PublishedSet
from srgnn.data.sessions import SessionData, Sessions, Vocabulary
from srgnn.data.synthetic import SyntheticLog

__all__ = [
    "ClickLog",
    "Columns",
    "DuckDB",
    "ItemTable",
    "Polars",
    "PublishedSet",
    "Rules",
    "SessionData",
    "Sessions",
    "Spark",
    "SyntheticLog",
    "Vocabulary",
]
