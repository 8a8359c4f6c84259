"""Files that hold something else than their names say: what the error calls them, and its remedy as typed."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import tarfile
import zipfile
from pathlib import Path

import polars as pl
import pytest
from raw_rows import CSV, ROWS, ids, read_rows, typed, written

from srgnn.data.log.raw.converted import converted
from srgnn.data.log.raw.files import RawFiles
from srgnn.errors import UserError

OBJECTS = [{"session_id": s, "item_id": i, "timestamp": f"2014-04-0{s} 10:00:0{i - 10}"} for s, i in ROWS]


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, CSV)
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
        ("log.csv.gz", gzip.compress(CSV.encode("utf-16"), mtime=0), "is UTF-16 text"),
        ("a log.csv", zipped("log.csv"), "is a zip file: unzip it"),
        ("log.zip", zipped("log.csv"), "is a zip file: unzip it"),
        ("log.csv.zip", zipped("log.csv"), "is a zip file: unzip it"),
        ("log.csv.bz2", bz2.compress(CSV.encode()), "is bzip2 data: unpack it"),
        ("named_csv.csv", lzma.compress(CSV.encode()), "is xz data: unpack it"),
        ("log.xz", lzma.compress(CSV.encode()), "is xz data: unpack it"),
        ("twice.csv.gz", gzip.compress(gzip.compress(CSV.encode(), mtime=0), mtime=0), "is gzip data inside gzip data"),
        ("mac.csv", CSV.replace("\n", "\r"), "has lines that end in carriage returns alone"),
        (
            "mac.csv.gz",
            gzip.compress(CSV.replace("\n", "\r").encode(), mtime=0),
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


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl.gz", "log.parquet"])
def test_the_remedy_of_a_wrong_suffix_works_as_typed(tmp_path: Path, name: str):
    parquet = io.BytesIO()
    pl.DataFrame(OBJECTS).write_parquet(parquet)
    content = {"log.csv": parquet.getvalue(), "log.jsonl.gz": b"", "log.parquet": CSV.encode()}[name]
    if not content:
        name, content = "log.csv.gz", gzip.compress("".join(json.dumps(row) + "\n" for row in OBJECTS).encode())
    with pytest.raises(UserError, match="rename it, for instance with mv") as error:
        ids(written(tmp_path / name, content))
    command = str(error.value).partition("for instance with ")[2].removesuffix(".")
    subprocess.run(command, shell=True, check=True)
    assert ids(command.split()[-1]) == ROWS


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("[Content_Types].xml"), "is an Excel or OpenDocument workbook: save its table as CSV"),
        (b"\xd0\xcf\x11\xe0old", "is an Excel workbook"),
        (tarred(), "is a tar archive: unpack it, for instance with tar -xf"),
        (gzip.compress(tarred(), mtime=0), "is a tar archive"),
        ("<!DOCTYPE html><html>", "is an HTML or XML page, not a log"),
        ("\ufeff\n<?xml version='1.0'?>", "is an HTML or XML page"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer: fetch the file itself with git lfs"),
        (b"SQLite format 3\x00", "is an SQLite database"),
    ],
)
def test_a_file_that_no_command_converts_is_named(tmp_path: Path, content: str | bytes, what: str):
    with pytest.raises(UserError, match=what):
        ids(written(tmp_path / "log.csv", content))


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
