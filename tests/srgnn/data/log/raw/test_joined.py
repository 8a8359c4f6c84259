"""Files in which several tables, formats or layers are joined: one sentence, whose remedy is typed where it has one."""

import csv
import io
import json
import os
from pathlib import Path

import polars as pl
import pytest
from raw_rows import CSV, HEADER, LINES, ROWS, ids, typed, written

from srgnn.data import ClickLog
from srgnn.data.log.arguments import unescaped
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.data.log.raw.titles import unique
from srgnn.errors import ArgumentError, UserError

HEAD = HEADER.replace(",note", "")
TABLE = HEAD + "".join(f"{line}\n" for line in LINES)
OBJECTS = [dict(zip(HEAD.strip().split(","), line.split(","), strict=True)) for line in LINES]


def sentence(path: Path, **options) -> str:
    with pytest.raises(UserError) as error:
        ids(path, **options)
    return str(error.value)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("rows", [3, 18])
def test_a_second_table_with_a_column_more_is_no_title_above_it(tmp_path: Path, rows: int, skip: bool):
    first = HEAD + "".join(f"{LINES[place % 3]}\n" for place in range(rows))
    second = HEADER + "".join(f"{line},x\n" for line in LINES * 8)
    told = sentence(written(tmp_path / "log.csv", first + second), skip=skip)
    assert f"line {rows + 2} ('session_id,item_id,timestamp,note') is the header of another table than that" in told
    assert told.endswith("of line 1, with 4 columns instead of 3: write the two tables as two files.")


@pytest.mark.parametrize("first", ["from,2014-04-01", "Parameter,Value", "Clicks of the shop"])
def test_pairs_above_a_header_are_titles(tmp_path: Path, first: str):
    told = sentence(written(tmp_path / "log.csv", f"{first}\n2014-04-01,1\n2014-04-30,2\n" + CSV))
    assert "remove the lines above line 4" in told


@pytest.mark.parametrize("skip", [False, True])
def test_a_header_in_another_order_among_the_rows_is_not_skipped(tmp_path: Path, skip: bool):
    other = "Item_ID,session_id,timestamp\n10,7,2014-04-01 10:00:00\n11,7,2014-04-01 10:00:01\n"
    log = tmp_path / "log.csv"
    written(log, TABLE * 3 + other)
    with pytest.raises(UserError, match=r"log.csv line 13 names the columns in another order than the header"):
        ClickLog(log, on_error="skip" if skip else "raise", cache=tmp_path / "cache").load()


def quoted(text: str) -> str:
    content = io.StringIO()
    csv.writer(content, quoting=csv.QUOTE_ALL).writerows([line] for line in text.splitlines())
    return content.getvalue()


@pytest.mark.parametrize(
    "text", [quoted(TABLE), HEAD + quoted("\n".join(LINES) + "\n"), quoted(TABLE.replace("10:00", '"10:00"'))]
)
@pytest.mark.parametrize("separator", [None, ","])
def test_lines_that_are_one_quoted_field_are_written_without_quotes(tmp_path: Path, text: str, separator: str | None):
    log = written(tmp_path / "log.csv", text)
    told = sentence(log, separator=separator) if text.startswith('"') else sentence(log)
    assert "has its rows in quotes, as one field each" in told
    with pytest.raises(UserError) as error:
        ids(log)
    assert typed(error.value).read_text().startswith(HEAD)


def test_the_header_and_the_rows_have_other_separators_though_the_rows_have_decimal_commas(tmp_path: Path):
    rows = "".join(f"{line.replace(',', ';')};1,5\n" for line in LINES)
    told = sentence(written(tmp_path / "log.csv", HEADER + rows))
    assert "has the separator ',' in its header and ';' in its rows" in told
    log = written(tmp_path / "right.csv", HEADER + "".join(f"{line},1;5\n" for line in LINES))
    assert ids(log) == ROWS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[\n" + ",\n".join(map(json.dumps, OBJECTS)) + ",\n]\n", "is one JSON array"),
        (json.dumps(OBJECTS), "is one JSON array"),
        ("".join(f"{row['session_id']}\t{json.dumps(row)}\n" for row in OBJECTS), "not JSON objects"),
        ("".join(f"2014-04-01 INFO {json.dumps(row)}\n" for row in OBJECTS), "not JSON objects"),
    ],
)
def test_json_among_other_text_is_written_as_lines(tmp_path: Path, content: str, words: str):
    log = written(tmp_path / "log.jsonl", content)
    with pytest.raises(UserError, match=words) as error:
        ids(log)
    assert ids(typed(error.value)) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("log.jsonl", json.dumps(OBJECTS)[:-30], "is one JSON array that is cut off: copy it again."),
        ("log.jsonl", TABLE, "is not JSON lines: if it is CSV, rename it, for instance with mv"),
        (
            "log.csv",
            "-- MySQL dump 10\n\nCREATE TABLE `clicks` (\n" + TABLE,
            "is an SQL dump: load it into a database, and export its table as CSV.",
        ),
        ("log.csv", "INSERT INTO `clicks` (`session_id`) VALUES (1);\n", "is an SQL dump"),
        ("log.tsv", "COPY clicks (session_id, item_id) FROM stdin;\n1\t2\n", "is an SQL dump"),
        ("log.csv", "session_id item_id\n1          10\n2          11\n", "columns that are padded with spaces"),
        ("log.csv", "s item\n1   2014-04-01 10:00\n", "spaces: write it with a separator, such as a comma"),
    ],
)
def test_what_cannot_be_read_is_called_what_it_is(tmp_path: Path, name: str, content: str, words: str):
    assert words in sentence(written(tmp_path / name, content))


def test_padded_columns_are_written_with_commas(tmp_path: Path):
    rows = "".join(f"{s:<10} {i:<7} {1396346400 + i}\n" for s, i in ROWS)
    with pytest.raises(UserError, match="padded with spaces") as error:
        ids(written(tmp_path / "log.csv", "session_id item_id timestamp\n" + rows))
    assert ids(typed(error.value)) == ROWS


def test_double_spaces_in_values_are_no_padding(tmp_path: Path):
    log = written(
        tmp_path / "log.csv",
        "session_id~item_id~timestamp~caf\u00e9\n1~10~Tue Apr  1 10:00:00 2014~a\n".encode("latin1"),
    )
    assert "separator=\"'~'\"" in sentence(log, encoding="latin1")


def test_commas_under_the_name_tsv_are_no_quoted_rows(tmp_path: Path):
    log = written(tmp_path / "log.tsv", HEADER + "".join(f"{line},a\n" for line in LINES) + "3,10,2014-04-03,a\tb\n")
    assert "separator=\"','\"" in sentence(log)


def test_json_lines_of_arrays_are_json(tmp_path: Path):
    assert "lines that are not JSON objects: 2" in sentence(written(tmp_path / "log.jsonl", "[1, 10, 5]\n[1, 11, 6]\n"))


def test_comments_and_ids_that_begin_as_those_of_sql_are_no_dump(tmp_path: Path):
    log = written(tmp_path / "log.tsv", "--\t10\t2014-04-01\n/*\t11\t2014-04-01\n")
    assert ids(log, header=["session_id", "item_id", "timestamp"]) == [("--", 10), ("/*", 11)]
    told = sentence(written(tmp_path / "log.csv", "-- exported from the warehouse\n" + TABLE))
    assert "remove the lines above line 2" in told


@pytest.mark.parametrize("separator", ["\x1f", "\x02"])
def test_a_separator_without_a_sign_is_detected_or_named_by_its_code(tmp_path: Path, separator: str):
    log = written(tmp_path / "log.csv", TABLE.replace(",", separator))
    if separator == "\x1f":
        assert ids(log) == ROWS
    else:
        assert r"""separator="'\\x02'".""" in sentence(log)
        assert ids(log, separator=unescaped(r"\x02")) == ROWS


def test_names_that_an_error_suggests_are_each_there_once(tmp_path: Path):
    told = sentence(
        written(
            tmp_path / "log.csv", "session_id,item_id,timestamp,x,x\n" + "".join(f"{line},1,2,3\n" for line in LINES)
        )
    )
    assert "header='[session_id,item_id,timestamp,x,x_2,column_6]'" in told
    assert unique(["a", "a", "a_2"]) == ("a", "a_3", "a_2")


def test_a_folder_is_answered_with_the_glob_of_its_files(tmp_path: Path):
    for name in ("spark/part-0.csv", "spark/part-1.csv", "spark/_SUCCESS", "spark/.part-0.csv.crc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / name, "" if "_SUCCESS" in name else TABLE)
    (tmp_path / "days" / "day=1").mkdir(parents=True)
    written(tmp_path / "days" / "day=1" / "log.csv.gz", b"")
    (tmp_path / "days" / "part.parquet").mkdir()
    for folder, pattern in (("spark", "*.csv"), ("days", "**/*.csv.gz")):
        with pytest.raises(ArgumentError, match="for all files in it") as error:
            find_files("path", tmp_path / folder)
        assert str(error.value).endswith(f"give '{tmp_path / folder}/{pattern}'.")
    assert len(find_files("path", f"{tmp_path}/spark/*")) == 2  # without what Spark writes beside the rows


def test_a_pipe_is_no_log(tmp_path: Path):
    os.mkfifo(tmp_path / "log.csv")
    with pytest.raises(UserError, match="is a pipe or a device, and a log is read several times"):
        find_files("path", tmp_path / "log.csv")


def test_a_thousand_columns_are_no_conditions_of_a_scan(tmp_path: Path):
    names = ",".join(f"c{number}" for number in range(1000))
    rows = "".join(f"{line},{',' * 999}\n" for line in LINES)
    log = written(tmp_path / "log.csv", f"{HEAD.strip()},{names}\n{rows}")
    assert ids(log) == ROWS
    frame = RawFiles((log,)).rows()
    assert "SELECTION" in pl.scan_csv(log).filter(pl.col("c0").is_null()).explain()
    assert "SELECTION" not in frame.explain()  # there they take minutes
