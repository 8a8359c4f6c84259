import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_rows import zstd

from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.errors import ArgumentError, UserError

ROWS = [("1", "a"), ("2", "b"), ("2", "é")]
CSV = "session,item\n1,a\n2,b\n2,é\n"


def read(path: Path | list[str], **options) -> list[tuple]:
    files = replace(RawFiles(find_files("path", path if isinstance(path, list) else str(path))), **options)
    with files.one_sentence():
        return files.rows().collect().rows()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", CSV),
        ("log.txt", CSV.replace(",", ";")),
        ("log.dat", CSV.replace(",", "|")),
        ("log.tsv", CSV.replace(",", "\t")),
        ("hive.txt", CSV.replace(",", "\x01")),
        ("log.CSV", CSV.replace("\n", "\r\n")),
        ("bom.csv", "\ufeff" + CSV),
        ("blank.csv", CSV.replace("\n", "\n\n") + "\n"),
        ("quoted.csv", CSV.replace("b", '"b"')),
        ("log.jsonl", '{"session":"1","item":"a"}\n\n{"session":"2","item":"b"}\n{"session":"2","item":"é"}'),
        ("bom.jsonl", '\ufeff{"session":"1","item":"a"}\n\n{"session":"2","item":"b"}\n{"session":"2","item":"é"}'),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_text_is_read_in_every_form(tmp_path: Path, name: str, content: str, packed: str):
    path = tmp_path / (name + packed)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert read(path) == ROWS


def test_zstd_and_parquet_are_read(tmp_path: Path):
    frame = pl.DataFrame(ROWS, schema=["session", "item"], orient="row")
    frame.write_parquet(tmp_path / "log.parquet")
    assert read(tmp_path / "log.parquet") == ROWS
    frame.lazy().sink_csv(tmp_path / "log.csv.zst", compression="zstd")
    assert (tmp_path / "log.csv.zst").read_bytes().startswith(b"\x28\xb5\x2f\xfd")
    assert read(tmp_path / "log.csv.zst") == ROWS


def test_a_file_without_a_header_gets_one(tmp_path: Path):
    (tmp_path / "log.dat").write_text("1,a\n2,b\n")
    assert read(tmp_path / "log.dat", header=["session", "item"]) == ROWS[:2]


def test_a_glob_is_read_in_the_order_of_names_and_a_list_in_its_own(tmp_path: Path):
    for name, row in (("b", "2,b"), ("a", "1,a"), ("c", "2,é")):
        (tmp_path / f"{name}.csv").write_text(f"session,item\n{row}\n")
    assert read(tmp_path / "*.csv") == ROWS
    assert read([str(tmp_path / "c.csv"), str(tmp_path / "[ab].csv")]) == [ROWS[2], *ROWS[:2]]


def test_a_path_object_is_read_like_its_text(tmp_path: Path):
    (tmp_path / "a.csv").write_text("session,item\n1,a\n")
    (tmp_path / "b.csv").write_text("session,item\n2,b\n")
    for path in (tmp_path / "*.csv", [tmp_path / "a.csv", str(tmp_path / "b.csv")]):
        texts = [str(name) for name in path] if isinstance(path, list) else str(path)
        assert RawFiles(find_files("path", path)) == RawFiles(find_files("path", texts))
        assert RawFiles(find_files("path", path)).rows().collect().rows() == ROWS[:2]


def test_columns_are_found_by_name_in_every_file(tmp_path: Path):
    (tmp_path / "a.csv").write_text("session,item\n1,a\n")
    (tmp_path / "b.csv").write_text("item,extra,session\nb,5,2\n")
    (tmp_path / "c.csv").write_text("session\n3\n")
    assert read(tmp_path / "*.csv") == [("1", "a", None), ("2", "b", "5"), ("3", None, None)]
    pl.DataFrame({"session": [1]}, schema={"session": pl.Int32}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"session": [2**40]}).write_parquet(tmp_path / "b.parquet")
    assert read(tmp_path / "*.parquet") == [(1,), (2**40,)]


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "[!a]", "a]", "{a,b}"])
@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_the_signs_of_a_glob_may_be_in_a_name(tmp_path: Path, name: str, kind: str):
    (tmp_path / "[1]").mkdir()
    for stem, row in (("a1", ROWS[0]), (name, ROWS[1])):
        path = tmp_path / "[1]" / (stem + kind)
        text = json.dumps(dict(zip(["session", "item"], row, strict=True)))
        text = text if ".jsonl" in kind else "session,item\n" + ",".join(row)
        if kind == ".parquet":
            pl.DataFrame([row], schema=["session", "item"], orient="row").write_parquet(path)
        else:
            path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())
    assert read([str(path)]) == ROWS[1:2]


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_a_log_with_a_byte_order_mark_is_copied_without_it(tmp_path: Path, packed: str):
    path = tmp_path / f"log.jsonl{packed}"
    lines = pl.LazyFrame({"line": ['\ufeff{"session":"1"}', '{"session":"2"}']})
    if packed == ".zst":
        lines.sink_csv(path, include_header=False, quote_style="never", compression="zstd", check_extension=False)
    else:
        content = "\n".join(lines.collect()["line"]).encode()
        path.write_bytes(gzip.compress(content) if packed else content)
    files = RawFiles(find_files("path", path)).without_marks(tmp_path)
    assert files.known_paths == (path,) != files.paths
    assert files.rows().collect().rows() == [("1",), ("2",)]
    assert read(path) == [("1",), ("2",)]


def test_every_file_has_its_own_separator(tmp_path: Path):
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv").write_text(CSV.replace(",", ";"))
    assert read(tmp_path / "*.csv") == ROWS * 2


def test_a_header_must_name_all_columns(tmp_path: Path):
    (tmp_path / "log.dat").write_text("1,a,x\n2,b,y\n")
    with pytest.raises(
        ArgumentError, match=r"header=\['session', 'item'\]: expected the names of the 3 columns of log\.dat"
    ):
        read(tmp_path / "log.dat", header=["session", "item"])


def test_a_glob_descends_into_folders(tmp_path: Path):
    for folder in ("", "2014", "2014/01"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "log.csv").write_text(CSV)
    assert read(tmp_path / "**" / "*.csv") == ROWS * 3


def test_quotes_can_be_part_of_the_text(tmp_path: Path):
    (tmp_path / "log.tsv").write_text('session\titem\n1\t5" screen\n2\t"b\n')
    assert read(tmp_path / "log.tsv", quote=None) == [("1", '5" screen'), ("2", '"b')]
    with pytest.raises(UserError, match=r"log\.tsv line 3: .* set quote=null"):
        read(tmp_path / "log.tsv")


def test_a_path_that_is_not_a_file_of_rows_is_reported(tmp_path: Path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "link.csv").symlink_to("nowhere.csv")
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    (tmp_path / "log.xlsx").touch()
    (tmp_path / "log.parquet.gz").touch()
    (tmp_path / "log.csv").write_text(CSV)
    (tmp_path / "log.tsv").write_text(CSV)
    for path, sentence in {
        None: "path=null: expected a file",
        "nothing.csv": r"no file .*nothing\.csv: name yours with path=FILE",
        ".": r"expected a file, not a directory: for all files in it, give",
        "empty.csv": r"empty\.csv is empty",
        "log.xlsx": r"expected a name that ends in \.csv",
        "log.parquet.gz": r"expected a name that ends in .* except \.parquet followed by",
        "link.csv": r"link\.csv is a link to a file that does not exist: .* path=FILE",
        "circle.csv": r"circle\.csv is a link to a file that does not exist",
        "cir*.csv": r"circle\.csv is a link to a file that does not exist",
    }.items():
        with pytest.raises(UserError, match=sentence):
            RawFiles(find_files("path", None if path is None else str(tmp_path / path)))


def test_unreadable_files_are_reported(tmp_path: Path):
    large = gzip.compress(b"session,item\n" + b"".join(b"%d,x%d\n" % (i, i % 97) for i in range(50_000)))
    for name, content, sentence in (
        ("cut.csv.gz", large[: len(large) // 2], r"cut\.csv\.gz is truncated or damaged"),
        ("cut.csv.zst", b"\x28\xb5\x2f\xfd\x00X!", r"cut\.csv\.zst is truncated or damaged"),
        ("bad.parquet", b"PAR1", r"bad\.parquet cannot be read as parquet"),
        ("blank.csv.gz", gzip.compress(b""), "is empty"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=sentence) as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.GZ", "log.csv.zst", "log.jsonl"])
@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-5],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-8] + b"1234" + packed[-4:],
        lambda packed: packed + b"\0" * 512,
    ],
)
def test_damaged_data_is_recognised_whatever_its_name(tmp_path: Path, name: str, pack, damage):
    content = CSV.replace("b", "b" * 100) if ".csv" in name else json.dumps({"session": 1, "item": "b" * 100})
    (tmp_path / name).write_bytes(damage(pack(content.encode())))
    with pytest.raises(UserError, match=rf"{name} is truncated or damaged \(.*\): copy it again") as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)


def test_carriage_returns_alone_are_reported_whatever_the_quotes(tmp_path: Path):
    (tmp_path / "log.csv").write_text(CSV.replace("\n", "\r"))
    with pytest.raises(UserError, match="carriage returns alone"):
        read(tmp_path / "log.csv", quote=None)
    (tmp_path / "quoted.csv").write_bytes(b'session,"it\rem"\n1,a\n')
    assert read(tmp_path / "quoted.csv") == ROWS[:1]


def test_a_file_without_permission_is_reported(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text(CSV)
    path.chmod(0)
    root = os.geteuid() == 0  # root may read everything
    try:
        if root:
            for folder in (tmp_path, *tmp_path.parents[:3]):
                folder.chmod(0o755)
            os.seteuid(65534)
        with pytest.raises(UserError, match=r"log\.csv cannot be read \(Permission denied\)"):
            RawFiles(find_files("path", str(path))).hashes()
    finally:
        if root:
            os.seteuid(0)


def test_the_hash_depends_only_on_the_content(tmp_path: Path):
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").write_text(CSV)
    hashes = RawFiles(find_files("path", [str(tmp_path / "a.csv"), str(tmp_path / "b" / "a.csv")])).hashes()
    assert len(hashes) == 2
    assert len(set(hashes.values())) == 1


def test_the_error_about_a_missing_file_says_where_to_download_it():
    with pytest.raises(UserError, match=r"Download it from https://example\.org\."):
        RawFiles(find_files("path", "nothing.csv", "https://example.org"))
    with pytest.raises(ArgumentError):
        RawFiles(find_files("path", []))


def test_text_files_may_have_different_separators(tmp_path: Path):
    (tmp_path / "a.csv").write_text("session;item\n1;x\n")
    (tmp_path / "b.tsv").write_text("session\titem\n2\ty, z\n")
    (tmp_path / "c.txt").write_text('session,item\n3,"y, z"\n')
    assert read(tmp_path / "*") == [("1", "x"), ("2", "y, z"), ("3", "y, z")]


@pytest.mark.parametrize(("kind", "other"), [("csv", "parquet"), ("jsonl", "parquet"), ("csv", "jsonl")])
def test_the_error_for_files_of_several_kinds_has_the_command_that_converts_one(tmp_path: Path, kind: str, other: str):
    for name, session in ((kind, 1), (other, 2)):
        table = pl.DataFrame({"session": [session], "time": [datetime(2014, 4, session)]})
        path = tmp_path / f"it's.{name}"
        if name == "csv":
            table.write_csv(path, separator=";", datetime_format="%Y-%m-%d %H:%M:%S%.f")
        else:
            table.write_parquet(path) if name == "parquet" else table.write_ndjson(path)
    with pytest.raises(UserError, match=r"path= names files of several kinds, .*: give instead of ") as error:
        find_files("path", str(tmp_path / "*"))
    command = re.search(r"written by (.*), and likewise", str(error.value))
    assert command
    subprocess.run(command[1].replace("python", shlex.quote(sys.executable), 1), shell=True, check=True)
    converted = tmp_path / ("it's.parquet" if other == "parquet" else "it's.csv")
    converted.unlink()
    rows = RawFiles(find_files("path", str(tmp_path / "*"))).rows().collect()
    assert sorted(map(int, rows["session"])) == [1, 2]
    assert len(set(rows["time"].cast(pl.String).str.len_chars())) == 1


def test_parquet_that_cannot_be_read_is_named_with_a_remedy(tmp_path: Path):
    table = pa.table([pa.array([1, 2])] * 2, names=["session", "session"])
    pq.write_table(table, tmp_path / "twice.parquet")
    pq.write_table(table.rename_columns(["session", "item"]), tmp_path / "good.parquet")
    content = (tmp_path / "good.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:-20])
    for name, remedy in (("twice", "write it with another name for one of these columns"), ("cut", "copy it again")):
        with pytest.raises(UserError, match=rf"{name}\.parquet cannot be read as parquet \(.*\): {remedy}"):
            read([str(tmp_path / "good.parquet"), str(tmp_path / f"{name}.parquet")])
