"""Files whose columns differ in type."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from raw_rows import ids, written

from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.errors import UserError

TIME = datetime(2014, 4, 1, 10)


def two(tmp_path: Path, **columns: tuple[pl.Series, pl.Series]) -> list[str]:
    """Two Parquet files, of which the given columns differ."""
    base = {"session_id": [1, 1], "item_id": [10, 11], "timestamp": [TIME, TIME]}
    paths = []
    for index in (0, 1):
        paths.append(str(tmp_path / f"{'ab'[index]}.parquet"))
        pl.DataFrame(base | {name: values[index] for name, values in columns.items()}).write_parquet(paths[-1])
    return paths


def times(zone: str | None) -> pl.Series:
    series = pl.Series([TIME, TIME]).dt.replace_time_zone("UTC")
    return series.dt.convert_time_zone(zone) if zone else series.dt.replace_time_zone(None)


def test_times_with_and_without_a_zone_are_reported(tmp_path: Path):
    paths = two(tmp_path, timestamp=(times("Europe/Berlin"), times(None)))
    text = (
        r"column timestamp is a time with a time zone in \S+a\.parquet and a time without a time zone in \S+b\.parquet"
    )
    with pytest.raises(UserError, match=text) as error:
        ids(paths)
    command = str(error.value).partition("written by ")[2].removesuffix(".")
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True)
    found = RawFiles(find_files("path", [paths[0], str(tmp_path / "b-utc.parquet")])).rows().collect()["timestamp"]
    assert found.dt.replace_time_zone(None).to_list() == [TIME] * 4


@pytest.mark.parametrize("name", ["it's $HOME", 'a"b`ls`', "back\\\\slash !x"])
def test_the_remedy_works_for_any_name(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    paths = two(tmp_path / name, timestamp=(times("UTC"), times(None)))
    with pytest.raises(UserError) as error:
        ids(paths)
    command = str(error.value).partition("written by ")[2].removesuffix(".")
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True)
    assert RawFiles(find_files("path", [paths[0], str(tmp_path / name / "b-utc.parquet")])).rows().collect().height == 4


def test_types_that_mean_the_same_are_read(tmp_path: Path):
    zones = two(tmp_path, timestamp=(times("Europe/Berlin"), times("Asia/Tokyo")))
    assert (
        RawFiles(find_files("path", zones)).rows().collect()["timestamp"].dt.replace_time_zone(None).to_list()
        == [TIME] * 4
    )
    assert ids(two(tmp_path, item_id=(pl.Series([10, 11]), pl.Series(["10", "x"])))) == [
        *[(1, "10"), (1, "11"), (1, "10"), (1, "x")]
    ]
    categories = pl.Series(["10", "x"], dtype=pl.Categorical), pl.Series(["10", "y"], dtype=pl.Enum(["10", "y"]))
    assert ids(two(tmp_path, item_id=categories)) == [(1, "10"), (1, "x"), (1, "10"), (1, "y")]


def test_types_without_anything_in_common_are_reported(tmp_path: Path):
    lists = pl.Series([10, 11]), pl.Series([[10], [11]])
    with pytest.raises(
        UserError, match=r"column item_id is of type Int64 in \S+a\.parquet and of type List\(Int64\) in"
    ):
        ids(two(tmp_path, item_id=lists))
    with pytest.raises(
        UserError, match=r"column timestamp is of type Int64 in \S+ and a time without a time zone in \S+"
    ):
        ids(two(tmp_path, timestamp=(pl.Series([1396310400, 1396310400]), times(None))))
    for name, item in (("a", 10), ("b", [10])):
        row = {"session_id": 1, "item_id": item, "timestamp": 1396310400}
        written(tmp_path / f"{name}.jsonl", json.dumps(row) + "\n")
    with pytest.raises(UserError, match=r"column item_id is of type Int64 in \S+a\.jsonl and of type List"):
        ids(str(tmp_path / "*.jsonl"))
