"""Several files whose times are written in ways that do not fit together."""

import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from click_logs import LOG, TRAIN, load, raw, stamp

from srgnn.errors import UserError

NAIVE, ZONED = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S+00:00"


def _write(path: Path, rows: list[tuple], form: str | None) -> None:
    times = [time if form is None else stamp(time, form) for _, _, time in rows]
    frame = pl.DataFrame({"session": [s for s, _, _ in rows], "item": [i for _, i, _ in rows], "time": times})
    kind = path.name.partition(".")[2]
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[kind](path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("zoned", [ZONED, "%Y-%m-%dT%H:%M:%SZ", "%a, %d %b %Y %H:%M:%S GMT", "%d/%b/%Y:%H:%M:%S +0000"])
@pytest.mark.parametrize("skip", [False, True])
def test_the_command_adds_the_zone_that_one_file_lacks(tmp_path: Path, kind: str, zoned: str, skip: bool):
    folder = tmp_path / "it's here"
    folder.mkdir()
    _write(folder / f"a.{kind}", LOG[:5], zoned)
    _write(folder / f"b.{kind}", LOG[5:], NAIVE)
    paths, options = [f"{folder}/a.{kind}", f"{folder}/b.{kind}"], ["dataset.on_error=skip"] if skip else []

    def loaded(paths: list[str]):
        given = ",".join('"' + path + '"' for path in paths)
        return load(tmp_path, "clicks", None, f"dataset.path=[{given}]", *options)

    with pytest.raises(UserError) as error:
        loaded(paths)
    text = str(error.value)
    assert f"has times with a time zone in {paths[0]} and times without a time zone in {paths[1]}: exp" in text
    assert re.search(r"if the times of b\..* are in UTC, give instead of it the file", text)
    command = re.search(r"written by (python -c .+), or leave the file out of dataset\.path=\.$", text)
    assert command, text
    subprocess.run(command[1].replace("python", sys.executable, 1), shell=True, check=True)
    assert raw(loaded([paths[0], f"{folder}/b-utc.{kind}"]), "train") == TRAIN


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("skip", [False, True])
def test_numbers_in_one_file_and_times_in_another_are_named(tmp_path: Path, kind: str, skip: bool):
    _write(tmp_path / f"a.{kind}", LOG[:5], None)
    _write(tmp_path / f"b.{kind}", LOG[5:], NAIVE)
    with pytest.raises(UserError, match=rf"numbers in s in .*a\.{kind} and times without a time zone in .*b\.{kind}"):
        load(tmp_path, "clicks", tmp_path / f"*.{kind}", *["dataset.on_error=skip"][: int(skip)])


def test_the_zone_of_the_log_is_that_of_the_command(tmp_path: Path):
    _write(tmp_path / "a.csv", LOG[:5], ZONED)
    _write(tmp_path / "b.csv", LOG[5:], NAIVE)
    with pytest.raises(UserError, match="are in Europe/Berlin") as error:
        load(tmp_path, "clicks", tmp_path / "*.csv", "dataset.time_zone=Europe/Berlin")
    command = re.search(r"written by (python -c .+), or leave", str(error.value))
    assert command
    subprocess.run(command[1].replace("python", sys.executable, 1), shell=True, check=True)
    times = pl.read_csv(tmp_path / "b-utc.csv")["time"]
    assert times[0] == stamp(LOG[5][2] - 7200, "%Y-%m-%d %H:%M:%S+00:00")


def test_a_row_alone_is_reported_with_its_line(tmp_path: Path):
    _write(tmp_path / "a.csv", LOG[:5], NAIVE)
    _write(tmp_path / "b.csv", LOG[5:], NAIVE)
    (tmp_path / "b.csv").open("a").write("9,9,soon\n")
    with pytest.raises(UserError, match=r"1 has a time that cannot be read \(b\.csv line 7: 'soon'\)"):
        load(tmp_path, "clicks", tmp_path / "*.csv")
