"""The contract of an engine, checked on those that run on one machine."""

import sys
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest

from srgnn.data import ClickLog, Columns, DuckDB, Polars, Rules
from srgnn.data.log.columns.layout import LogFormat, find_layout
from srgnn.data.log.engines import Engine, add
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.errors import ArgumentError, UserError

ENGINES = [Polars(), DuckDB(memory_limit="1GB", threads=2)]
both = pytest.mark.parametrize("engine", ENGINES, ids=["polars", "duckdb"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "it's [1] 100 %*"  # characters that patterns, addresses and SQL give a meaning
    folder.mkdir()
    return folder


@both
def test_a_log_is_read_once_in_its_order(engine: Engine, folder: Path):
    for name, ids in (("a", [3, 1]), ("b", [2])):
        pl.DataFrame({"id": ids}).write_parquet(folder / f"{name}.parquet")
    files = RawFiles(find_files("path", [folder / "b.parquet", folder / "a.parquet"]))
    layout = find_layout(files, LogFormat(Columns("id", "id", "id"), time_format="s"))
    with engine.start(folder) as tables:
        rows = tables.read(layout, {"key": pl.col("id")}, "rows")
        assert tables.collect(rows).sort("row").rows() == [(0, 2), (1, 3), (2, 1)]


@both
def test_a_checkpoint_is_sorted_and_numbered(engine: Engine, folder: Path):
    values = pl.DataFrame({"a": [2, 1] * 100_000, "b": range(200_000)}).sample(fraction=1, shuffle=True, seed=0)
    with engine.start(folder) as tables:
        stored = tables.checkpoint(add(tables, values, "values"), "stored", by=["a", "b"], number="n")
        ordered = tables.collect(stored).sort("n")
        assert ordered.select("a", "b").equals(values.sort("a", "b"))
        assert ordered["n"].is_unique().all()
        assert tables.parts("stored").select("a", "b").collect().equals(values.sort("a", "b"))
        assert tables.collect(stored.filter(nw.col("a") == 1).select(nw.len())).item() == 100_000


@both
def test_a_table_of_text_and_missing_values_stays_as_it_is(engine: Engine, folder: Path):
    values = pl.DataFrame({"a": ["x", None, "é\n"], "b": [1.5, 2.5, None]})
    with engine.start(folder) as tables:
        assert tables.collect(add(tables, values, "values")).equals(values)


def test_duckdb_keeps_to_its_memory_limit(tmp_path: Path):
    with DuckDB(memory_limit="200MB", threads=2).start(tmp_path) as tables:
        values = pl.DataFrame({"a": range(8_000_000), "b": 0}).select("a", "b", c=pl.col("a").hash(0))
        table = add(tables, values, "values")
        counts = table.group_by("c").agg(n=nw.len())
        stored = tables.checkpoint(counts, "counts", by=["c"])  # 130 MB of groups, and as much to sort
        assert tables.collect(stored.select(nw.len())).item() == 8_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit that only Linux has")
@both
def test_a_full_disk_is_one_sentence(engine: Engine, tmp_path: Path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with engine.start(tmp_path) as tables:
            table = add(tables, pl.DataFrame({"a": range(100_000)}), "values")
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
            try:
                tables.checkpoint(table, "stored", by=["a"])
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with pytest.raises(UserError, match=r"Cannot write .*File too large"):
        fill()


def test_too_little_memory_and_disk_for_duckdb_is_one_sentence(tmp_path: Path):
    def fill() -> None:
        with DuckDB(memory_limit="30MB", threads=1).start(tmp_path) as tables:
            tables.connection.execute("SET max_temp_directory_size = '1MB'")
            values = add(tables, pl.DataFrame({"a": range(2_000_000)}), "values")
            tables.checkpoint(values.group_by("a").agg(nw.len()), "stored", by=["a"])

    with pytest.raises(UserError, match=r"too little memory or disk .*memory_limit=SIZE.*temp_directory=FOLDER"):
        fill()


def test_a_folder_for_spilling_that_cannot_be_made_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    sentence = r"Cannot write to .*file/spill \(Not a directory\): name a writable folder with temp_directory=FOLDER\."
    with pytest.raises(UserError, match=sentence), DuckDB(temp_directory=f"{tmp_path}/file/spill").start(tmp_path):
        pass


@pytest.mark.parametrize("value", ["blue", "4", "-1GB", 4])
def test_a_wrong_memory_limit_is_refused(value):
    with pytest.raises(ArgumentError, match="memory_limit="):
        DuckDB(memory_limit=value)


def test_an_engine_that_is_not_installed_is_named_with_the_command_that_installs_it(tmp_path: Path, log, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UserError, match=r"pip install 'srgnn\[duckdb\]'"):
        ClickLog(log, engine=DuckDB(), cache=tmp_path / "cache").load()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_engine_does_not_decide_where_the_prepared_data_is(tmp_path: Path, log):
    folders = {
        ClickLog(log, rules=Rules(min_item_support=1), engine=engine, cache=tmp_path).load().folder
        for engine in ENGINES
    }
    assert len(folders) == 1
