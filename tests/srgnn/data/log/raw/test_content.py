"""Files that hold something else than their names say: what the error calls them, and its remedy as typed."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.orc as orc
import pytest
from raw_rows import CSV, ROWS, ids, read_rows, typed, written, zstd

from srgnn.data.log.raw.converted import converted
from srgnn.data.log.raw.files import RawFiles
from srgnn.errors import UserError


def saved(write: Callable[[io.BytesIO], None]) -> bytes:
    content = io.BytesIO()
    write(content)
    return content.getvalue()


OBJECTS = [{"session_id": s, "item_id": i, "timestamp": f"2014-04-0{s} 10:00:0{i - 10}"} for s, i in ROWS]
PARQUET = saved(pl.DataFrame(OBJECTS).write_parquet)


def zipped(*names: str) -> bytes:
    """A zip file with a log of the first name, and short notes of the others."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, CSV if name == names[0] else "Read me.")
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("log.csv"))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("log.csv", CSV.encode("utf-16"), "is UTF-16 text, not UTF-8"),
        ("be.csv", b"\xfe\xff" + CSV.encode("utf-16-be"), "is UTF-16 text"),
        ("no_bom.csv", CSV.encode("utf-16-le"), "is UTF-16 text"),
        ("no_bom_be.tsv", CSV.replace(",", "\t").encode("utf-16-be"), "is UTF-16 text"),
        ("utf32.csv", CSV.encode("utf-32"), "is UTF-32 text"),
        *[
            (f"{encoding}.{kind}", pack(content.encode(encoding)), f"is {encoding[:6].upper()} text")
            for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
            for kind, content in (("csv", CSV), ("jsonl", "\n".join(map(json.dumps, OBJECTS))))
            for pack in (bytes, zstd)
        ],
        ("log.csv.gz", gzip.compress(CSV.encode("utf-16")), "is UTF-16 text"),
        ("a log.csv", zipped("log.csv"), "is a zip file: unzip it"),
        ("log.zip", zipped("log.csv"), "is a zip file: unzip it"),
        ("log.csv.zip", zipped("log.csv"), "is a zip file: unzip it"),
        (
            "several.zip",
            zipped("it's [1]*.csv", "README.txt"),
            r"is a zip file of 2 files \(it's \[1\]\*\.csv, README.txt",
        ),
        ("mac.zip", zipped("a/log.csv", "a/", "__MACOSX/a/._log.csv", "a/.DS_Store"), "is a zip file: unzip it"),
        ("no_suffix.zip", zipped("clicks"), "is a zip file: unzip it"),
        ("log.csv.bz2", bz2.compress(CSV.encode()), "is bzip2 data: unpack it"),
        ("named_csv.csv", lzma.compress(CSV.encode()), "is xz data: unpack it"),
        ("log.xz", lzma.compress(CSV.encode()), "is xz data: unpack it"),
        (
            "twice.csv.gz",
            gzip.compress(gzip.compress(CSV.encode())),
            "is gzip data inside compressed",
        ),
        ("mac.csv", CSV.replace("\n", "\r"), "has lines that end in carriage returns alone"),
        (
            "mac.csv.gz",
            gzip.compress(CSV.replace("\n", "\r").encode()),
            "has lines that end in carriage returns",
        ),
        ("mac.jsonl", "\r".join(map(json.dumps, OBJECTS)), "has lines that end in carriage returns"),
        *[
            (f"log.{kind}", content.replace("\n", sign), "has lines that end in [a-z]")
            for sign in ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e")
            for kind, content in (("csv", CSV), ("jsonl", "\n".join(map(json.dumps, OBJECTS))))
        ],
        ("array.jsonl", json.dumps(OBJECTS), "is one JSON array: expected one JSON object per line"),
        ("long_array.jsonl", json.dumps(OBJECTS, indent=1), "is one JSON array"),
        ("commas.jsonl", ",\r\n".join(map(json.dumps, OBJECTS)) + "\n", "has lines that are not JSON objects: 2 "),
        ("one_line.jsonl", "".join(map(json.dumps, OBJECTS)), "has lines that are not JSON objects: 1 "),
        (
            "sequence.jsonl",
            "".join(f"\x1e{json.dumps(row)}\n" for row in OBJECTS),
            "lines that are not JSON objects: 3 ",
        ),
        ("pretty.jsonl", "\n".join(json.dumps(row, indent=1) for row in OBJECTS), "has JSON objects of several lines"),
    ],
)
def test_the_remedy_of_a_foreign_file_works_as_typed(tmp_path: Path, name: str, content: str | bytes, what: str):
    with pytest.raises(UserError, match=what) as error:
        ids(written(tmp_path / name, content))
    assert "\n" not in str(error.value)
    assert ids(typed(error.value)) == ROWS


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("log.csv"), "a zip file"),
        (bz2.compress(CSV.encode()), "bzip2 data"),
        (CSV.encode("utf-16"), "UTF-16 text"),
    ],
)
@pytest.mark.parametrize("name", ["log.csv.gz", "log.csv"])
def test_what_gzip_data_holds_is_unpacked_step_by_step(tmp_path: Path, name: str, content: bytes, what: str):
    path = written(tmp_path / name, gzip.compress(content))
    with pytest.raises(UserError, match=f"is {what}") as error:
        ids(path)
    path = typed(error.value)
    if what != "UTF-16 text":
        with pytest.raises(UserError, match=f"is {what}: un") as error:
            ids(path)
        path = typed(error.value)
    assert ids(path) == ROWS


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "join",
    [
        json.dumps,
        lambda rows: json.dumps(rows, indent=1),
        lambda rows: " ".join(map(json.dumps, rows)),
        lambda rows: "\n".join(json.dumps(row, indent=1) for row in rows),
        lambda rows: "\n".join(json.dumps(row).replace('"note"', '"in": {"n": 1, "n": 2}, "note"') for row in rows),
    ],
    ids=["array", "indented array", "one line", "indented objects", "repeated fields"],
)
def test_ids_beyond_2_53_stay_apart_in_converted_json(tmp_path: Path, join, mark: str):
    ids_of_rows = [(2**53 + 1, 2**53 + 2 + n) for n in range(3)]
    note = {"note": 'é "} {" \\', "price": float("nan")}
    rows = [{"session_id": s, "item_id": i, "timestamp": "2014-04-01"} | note for s, i in ids_of_rows]
    with pytest.raises(UserError, match="python -c ") as error:
        ids(written(tmp_path / "log.jsonl", mark + join(rows)))
    read = read_rows(typed(error.value))
    assert read.table.select("key", "item").collect().rows() == ids_of_rows
    assert read.layout.frame.select("note", "price").collect().rows() == [(note["note"], None)] * 3


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["latin1", "cp1252"])
def test_western_text_keeps_its_letters(tmp_path: Path, encoding: str, packed: bool):
    letters = "é ß €\u201c\u201d" if encoding == "cp1252" else "é ß \x81"
    content = CSV.replace("x\n", f"{letters}\n").encode(encoding)
    path = written(tmp_path / ("log.csv.gz" if packed else "log.csv"), gzip.compress(content) if packed else content)
    with pytest.raises(UserError, match=f"if its encoding is {encoding}, set encoding={encoding}") as error:
        ids(path)
    assert error.value.arguments == ("encoding",)
    assert ids(path, encoding=encoding) == ROWS
    with converted(RawFiles((path,), encoding=encoding), tmp_path / "plain") as files:
        assert files.rows().collect()["note"].to_list() == [letters] * 3


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("log.csv", PARQUET, "is a Parquet file: rename it"),
        ("log.parquet", CSV.encode(), "is not a Parquet file: if it is text, rename it"),
        (
            "log.csv.gz",
            gzip.compress("".join(json.dumps(row) + "\n" for row in OBJECTS).encode()),
            "holds JSON: rename it",
        ),
        ("log.parquet", "\ufeff" + "".join(json.dumps(row) + "\n" for row in OBJECTS), "rename it, .*jsonl"),
        ("log.csv", "\n\n{ " + "\n".join(map(json.dumps, OBJECTS))[1:], "holds JSON: rename it"),
        ("log.csv.zst", zstd("\n".join(map(json.dumps, OBJECTS))), "holds JSON: rename it"),
    ],
)
def test_the_remedy_of_a_wrong_suffix_works_as_typed(tmp_path: Path, name: str, content: str | bytes, what: str):
    with pytest.raises(UserError, match=what) as error:
        ids(written(tmp_path / name, content))
    command = str(error.value).partition("for instance with ")[2].removesuffix(".")
    subprocess.run(command, shell=True, check=True)
    assert ids(command.split()[-1]) == ROWS


@pytest.mark.parametrize(
    "content",
    [json.dumps(OBJECTS), json.dumps(OBJECTS, indent=1), "\n".join(json.dumps(row, indent=1) for row in OBJECTS)],
)
@pytest.mark.parametrize("name", ["log.csv", "log.parquet", "log.csv.zst"])
def test_json_of_several_lines_is_renamed_and_then_converted(tmp_path: Path, name: str, content: str):
    path = written(tmp_path / name, zstd(content) if name.endswith(".zst") else content)
    with pytest.raises(UserError, match="rename it, for instance with mv") as error:
        ids(path)
    command = str(error.value).partition("for instance with ")[2].removesuffix(".")
    subprocess.run(command, shell=True, check=True)
    with pytest.raises(UserError, match="expected one JSON object per line, as written by") as error:
        ids(command.split()[-1])
    assert ids(typed(error.value)) == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("name", ["log.csv.gz", "log.csv", "log.jsonl.zst", "log.parquet", "log.parquet.gz"])
def test_compressed_parquet_is_unpacked(tmp_path: Path, name: str, pack):
    with pytest.raises(UserError, match="is a compressed Parquet file: unpack it") as error:
        ids(written(tmp_path / name, pack(PARQUET)))
    assert ids(typed(error.value)) == ROWS


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("[Content_Types].xml"), "is an Excel or OpenDocument workbook: save its table as CSV"),
        (zipped(), "is an empty zip file"),
        (zipped("a/"), "is an empty zip file"),
        (zipped("log.csv")[:-10], "is a truncated or damaged zip file .*: copy it again"),
        (b"\xd0\xcf\x11\xe0old", "is an Excel workbook"),
        (tarred(), "is a tar archive: unpack it, for instance with tar -xf"),
        (gzip.compress(tarred()), "is a tar archive"),
        ("<!DOCTYPE html><html>", "is an HTML or XML page, not a log"),
        ("\ufeff\n<?xml version='1.0'?>", "is an HTML or XML page"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer: fetch the file itself with git lfs"),
        (b"SQLite format 3\x00", "is an SQLite database"),
        (saved(pl.DataFrame(OBJECTS).write_ipc), "is an Arrow file"),
        (saved(pl.DataFrame(OBJECTS).write_ipc_stream), "is an Arrow stream"),
        (saved(lambda file: orc.write_table(pl.DataFrame(OBJECTS).to_arrow(), file)), "is an ORC file"),
        *[(pickle.dumps(OBJECTS, protocol), "is a pickle of Python") for protocol in range(2, 6)],
        (b"\0" * 4096, "holds nothing but zero bytes: copy it again"),
        (zstd(b"\0" * 4096), "holds nothing but zero bytes"),
    ],
)
def test_a_file_that_no_command_converts_is_named(tmp_path: Path, content: str | bytes, what: str):
    with pytest.raises(UserError, match=what):
        ids(written(tmp_path / "log.csv", content))


def test_binary_data_is_no_utf16(tmp_path: Path):
    content = b"\x07\0" * 500 + b"\n"
    with pytest.raises(UserError) as error:
        ids(written(tmp_path / "log.csv", content))
    assert "UTF-16" not in str(error.value)


def test_a_name_may_begin_as_binary_data_does(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV.replace("session_id", "ORCID"))
    assert ids(path, header=["session_id", "item_id", "timestamp", "note"]) == ROWS


def test_zero_bytes_at_the_end_are_no_utf16(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV + "\0" * 4096)
    with pytest.raises(UserError, match=r"lines with zero bytes: 1 \(log\.csv line 5: "):
        ids(path)
    assert ids(path, skip=True) == ROWS


def test_compressed_text_is_read_whatever_its_name(tmp_path: Path):
    assert ids(written(tmp_path / "log.csv", gzip.compress(CSV.encode()))) == ROWS
    assert ids(written(tmp_path / "log.csv.gz", CSV)) == ROWS


def test_a_file_in_two_encodings_gets_no_command_that_deletes_letters(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV.replace("x\n", "é\n").encode() + b"3,gr\xfcn,\n")
    with pytest.raises(
        UserError, match=r"in 1 line, bytes that are not UTF-8 \(line 5: '3,gr.*\): write all of it in UTF"
    ) as error:
        ids(path)
    assert "iconv" not in str(error.value)
