"""Broken lines: found with their lines and faults, left out, and what the error says to do."""

import gzip
import json
from pathlib import Path

import pytest
from raw_rows import CSV, HEADER, LINES, ROWS, ids, read_rows, typed, written, zstd

from srgnn.data.log.raw.broken import Fault
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.errors import UserError

GOOD = "".join(f"{line},x\n" for line in LINES)
BAD = "3,12,2014-04-03 10:00:00,"


def find(path: Path) -> list[tuple[int, Fault]]:
    return [(line.number, line.fault) for line in RawFiles(find_files("path", path)).search().broken]


def test_broken_lines_are_found_and_can_be_left_out(tmp_path: Path):
    path = written(tmp_path / "a.csv", 'session,item\n1,a\n\n1,b,surplus\n2,"b,c"\n3,"x,y",z\n')
    files = RawFiles(find_files("path", path))
    findings = files.search()
    assert [(line.number, line.text) for line in findings.broken] == [(4, "1,b,surplus"), (6, '3,"x,y",z')]
    whole = files.repaired(findings, tmp_path)
    assert whole.rows(numbered=True).collect().rows() == [(2, "1", "a"), (5, "2", "b,c")]
    assert whole.name == files.name
    # A line that may be part of a quoted field stays.
    assert find(written(tmp_path / "b.csv", 'session,item\n1,"l\nl,2,3,4"\n1,b,surplus\n')) == [(4, Fault.SURPLUS)]
    files = RawFiles(
        find_files("path", written(tmp_path / "a.jsonl", '{"session":1}\n{"session":2\n[3]\n\n{"session":4}\n'))
    )
    findings = files.search()
    assert [line.number for line in findings.broken] == [2, 3]
    assert files.repaired(findings, tmp_path).rows().collect().rows() == [(1,), (4,)]


def test_a_carriage_return_and_a_long_field_are_text(tmp_path: Path):
    path = written(tmp_path / "log.csv", b'session,item\n1,a\rb\n1,a\rb,c\n2,"' + b"x" * 200_000 + b'",c\n')
    assert find(path) == [(3, Fault.SURPLUS), (4, Fault.SURPLUS)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        ([BAD + '12" shelf'], [(4, Fault.STRAY)]),
        ([BAD + '12" shelf', GOOD, BAD + '13" shelf'], [(4, Fault.STRAY), (8, Fault.STRAY)]),
        (['3,12",2014-04-03 10:00:00,x', GOOD], [(4, Fault.STRAY)]),
        ([BAD + '"x"yz', GOOD], [(4, Fault.STRAY)]),
        ([BAD + '"open', GOOD], [(4, Fault.UNCLOSED)]),
        ([BAD + '"open', GOOD, BAD + '"open'], [(4, Fault.UNCLOSED), (8, Fault.UNCLOSED)]),
        ([BAD + '"open', GOOD, BAD + '"closed"', BAD + '12" shelf'], [(4, Fault.UNCLOSED), (9, Fault.STRAY)]),
        ([BAD + '"open', BAD + '"whole"', BAD + '12"', GOOD], [(4, Fault.UNCLOSED), (6, Fault.STRAY)]),
        ([BAD + '"12\\" shelf, oak"', GOOD], [(4, Fault.BACKSLASH)]),
        ([BAD + '"12\\" shelf"', BAD + '"12\\" shelf"', GOOD], [(4, Fault.BACKSLASH), (5, Fault.BACKSLASH)]),
        ([BAD + "x,y", GOOD], [(4, Fault.SURPLUS)]),
        (["3,12\0,2014-04-03 10:00:00,x", GOOD], [(4, Fault.ZERO)]),
        ([GOOD, BAD + '"x\ny"', "\0\0\0"], [(9, Fault.ZERO)]),
        ([BAD + '"x ""y"" \n\n z, 1"', BAD + '"a\nb","c"', GOOD], [(7, Fault.UNCLOSED), (8, Fault.STRAY)]),
    ],
)
def test_quotes_that_hide_rows_are_found(tmp_path: Path, lines, faults, end: str, packed: bool):
    content = HEADER + GOOD.replace(LINES[0] + ",x\n", "") + "".join(line.rstrip("\n") + "\n" for line in lines)
    bad = [number for number, _ in faults]
    content = content.replace("\n", end).encode()
    path = written(tmp_path / "log.csv", gzip.compress(content) if packed else content)
    assert find(path) == faults
    with pytest.raises(
        UserError, match=rf"log\.csv has {faults[0][1].value}: .*log\.csv line {bad[0]}: .*on_error=skip"
    ):
        ids(path)
    rows = read_rows(path, skip=True)
    good = ROWS[1:] + [row for line in lines for row in (ROWS if line == GOOD else [])]
    assert [row for row in rows.table.select("key", "item").collect().rows() if row != (3, 12)] == good
    assert [line.number for line in rows.broken] == bad


def test_quotes_are_said_to_be_text_only_where_that_reads_the_file(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV + BAD + '12" shelf\n')
    with pytest.raises(UserError, match="set quote=null if quotes are part of the text"):
        ids(path)
    assert ids(path, quote=None) == [*ROWS, (3, 12)]
    for other in ('"an oak, brown"', '"an oak"'):
        with pytest.raises(UserError) as error:
            ids(written(path, CSV + BAD + '12" shelf\n' + BAD + other + "\n"))
        assert "quote=null" not in str(error.value)
    content = '1,10,2014-04-01,"a, b"\n2,11,2014-04-01,12" z\n'
    with pytest.raises(UserError, match=r"stray quote: 1 \(log\.csv line 2: .*\)\. Fix them, or leave"):
        ids(written(path, content), header=HEADER.strip().split(","))
    with pytest.raises(UserError) as error:
        ids(written(path, CSV + BAD + '"12\\" shelf, oak"\n'))
    assert "quote=null" not in str(error.value)
    assert ids(typed(error.value)) == [*ROWS, (3, 12)]


def test_a_quoted_field_that_looks_like_rows_is_reported(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV + BAD + '"open\n' + GOOD + BAD + 'closed"\n')
    rows = read_rows(path)
    assert rows.table.select("key", "item").collect().rows() == [*ROWS, (3, 12)]
    assert "1 quoted field read as text, with lines that look like rows" in rows.notices[0].text
    assert r"log.csv line 5: 'open\n1,10,2014" in rows.notices[0].text
    # Text of several lines with as many commas as a row, and numbers, has no time where rows have theirs.
    for text in ("a, b\nc, d\n\n", "a\nb, c, d, e\n1, 2, 3, 4\nat 2014-04-01 10:00:00, f, g, h"):
        assert read_rows(written(path, CSV + BAD + f'"{text}"\n')).notices == []


@pytest.mark.parametrize("separator", [",", ";"])
def test_files_of_other_columns_have_rows_that_look_otherwise(tmp_path: Path, separator: str):
    written(tmp_path / "a.csv", CSV)
    rows = [f"{i}{separator}{t}{separator}{s}" for s, i, t in (line.split(",") for line in LINES)]
    names = separator.join(["note", "item_id", "timestamp", "session_id"])
    content = f'{names}\n"open\nx{separator}{rows[0]}\n"{separator}{rows[1]}\n'
    written(tmp_path / "b.csv", content)
    rows = read_rows(str(tmp_path / "*.csv"))
    assert rows.table.select("key", "item").collect().rows() == [*ROWS, (1, 11)]
    assert rf"b.csv line 2: 'open\nx{separator}10" in rows.notices[0].text


def test_any_character_is_kept_where_broken_lines_are_left_out(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV.replace(",x", ",x\x01y") + BAD + "x,y\n")
    rows = read_rows(path, skip=True)
    assert rows.layout.frame.collect()["note"].to_list() == ["x\x01y"] * 3


def test_a_stray_quote_before_a_field_of_several_lines_is_found(tmp_path: Path):
    path = written(tmp_path / "log.csv", f'{CSV}3,12",2014-04-03 10:00:00,"a\nb"\n{GOOD}')
    assert find(path) == [(5, Fault.UNCLOSED), (6, Fault.STRAY)]
    assert ids(path, skip=True) == ROWS * 2


def test_broken_lines_of_json_keep_the_name_of_their_file(tmp_path: Path):
    rows = [json.dumps({"session_id": s, "item_id": i, "timestamp": 1396310400}) for s, i in ROWS]
    path = written(tmp_path / "log.jsonl", "\ufeff" + "\n".join([rows[0], "[1]", '{"session_id": 1,}', *rows[1:]]))
    with pytest.raises(UserError, match=r"not JSON objects: 2 \(log\.jsonl line 2: '\[1\]', log\.jsonl line 3: "):
        ids(path)
    assert ids(path, skip=True) == ROWS


def test_lines_are_those_of_the_file_after_quoted_line_ends(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV + BAD + '"a\n\nb"\n\n4,,2014-04-01,x\n')
    rows = RawFiles(find_files("path", path)).rows(numbered=True).collect()
    assert rows["_line"].to_list() == [2, 3, 4, 5, 9]
    for mark, end in (("", "\n"), ("\ufeff", "\r\n")):
        content = mark + end.join(['{"a": 1}', "", '{"a": 2}', "  ", "{}", '{"a": null, "b": 1}', ""])
        files = RawFiles(find_files("path", written(tmp_path / "log.jsonl", content)))
        assert files.rows(numbered=True).collect().rows() == [(1, 1, None), (3, 2, None), (6, None, 1)]


def test_nan_and_infinity_are_missing_values(tmp_path: Path):
    objects = [{"session_id": s, "item_id": i, "timestamp": 1396310400, "price": 1.5} for s, i in ROWS]
    objects[1] |= {"item_id": float("nan"), "note": 'x: NaN, "'}
    objects[0] |= {"range": [float("nan"), float("nan"), -1]}
    objects[2] |= {"price": float("-inf"), "note": "Infinity é"}
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects)
    for mark in ("", "\ufeff"):
        for name, data in (("log.jsonl", (mark + content).encode()), ("log.jsonl.gz", gzip.compress(content.encode()))):
            rows = read_rows(written(tmp_path / name, data))
            assert rows.table.select("key", "item").collect().rows() == [ROWS[0], (1, None), ROWS[2]]
            assert "NaN or Infinity read as missing values in 3 lines" in rows.notices[0].text
            assert rows.layout.frame.collect()["note"].to_list() == [None, 'x: NaN, "', "Infinity é"]
    path = written(tmp_path / "log.jsonl", content + "{\n")
    with pytest.raises(UserError, match=r"lines that are not JSON objects: 1 \(log\.jsonl line 4: '{'\)"):
        ids(path)
    assert ids(path, skip=True) == [ROWS[0], (1, None), ROWS[2]]


@pytest.mark.parametrize("half", [r"\ud83d", r"x\udc00y", r"\ude00\ud83d", r"\ud83d\u0041"])
def test_half_of_a_character_in_json_makes_no_two_ids_one(tmp_path: Path, half: str):
    row = '{{"session_id": {}, "item_id": "{}", "timestamp": 1396310400}}\n'
    lines = [row.format(1, "a"), row.format(1, half), row.format(2, r"\ud83d\ude00"), row.format(2, r"\\ud83d")]
    path = written(tmp_path / "log.jsonl", "".join(lines))
    with pytest.raises(UserError, match=r"with half of a character, .*: 1 \(log\.jsonl line 2: .*on_error=skip"):
        ids(path)
    assert ids(path, skip=True) == [(1, "a"), (2, "\U0001f600"), (2, r"\ud83d")]


def test_leaving_lines_out_is_offered_only_if_a_row_is_left(tmp_path: Path):
    bad = '1,10,2014-04-01 10:00:00,"a \\" b"\n'
    for nothing in ("\n", ",,,\n", ' ,"",\n'):
        path = written(tmp_path / "log.csv", HEADER + bad + bad + nothing)
        with pytest.raises(UserError, match="quotes after a backslash: 2") as error:
            ids(path)
        assert "on_error" not in str(error.value)
    written(path, HEADER + bad + LINES[0] + ",x\n")
    with pytest.raises(UserError, match="leave them out with on_error=skip"):
        ids(path)


def test_a_table_of_items_names_its_broken_line(tmp_path: Path):
    files = RawFiles(find_files("items.path", written(tmp_path / "items.csv", 'id,title\n1,lamp\n2,"12" shelf"\n')))
    with (
        pytest.raises(UserError, match=r"stray quote: 1 \(items\.csv line 3: .*\)\. Fix them, or set quote=null"),
        files.one_sentence(),
    ):
        files.rows().collect()
    files = RawFiles(find_files("items.path", written(tmp_path / "items.csv", 'id,title\n1,"a lamp"\n2,12"\n')))
    with (
        pytest.raises(UserError, match=r"stray quote: 1 \(items\.csv line 3: .*\)\. Fix them\.$"),
        files.one_sentence(),
    ):
        files.rows().collect()
    files = RawFiles(
        find_files("items.path", written(tmp_path / "items.jsonl", '{"id": 9007199254740993, "price": NaN}\n\n'))
    )
    with pytest.raises(UserError, match="has NaN or Infinity in 1 line: write") as error, files.one_sentence():
        files.rows().collect()
    assert RawFiles(find_files("items.path", typed(error.value))).rows().collect().rows() == [(2**53 + 1, None)]


@pytest.mark.parametrize("content", ["\n\n", "\ufeff", "\ufeff\n", " \n"])
@pytest.mark.parametrize("pack", [str, zstd])
@pytest.mark.parametrize("name", ["blank.jsonl", "blank.csv"])
def test_a_file_of_blank_lines_is_empty(tmp_path: Path, name: str, content: str, pack):
    written(tmp_path / f"other{name[5:]}", CSV if name == "blank.csv" else '{"session_id": 1}\n')
    for path in (written(tmp_path / name, pack(content)), tmp_path / f"*{name[5:]}"):
        with pytest.raises(UserError, match=rf"{name} is empty: expected rows"):
            ids(path, skip=True)


def test_json_lines_that_are_all_broken_leave_no_row(tmp_path: Path):
    path = written(tmp_path / "log.jsonl", "[1]\nx\n")
    with pytest.raises(UserError, match=r"2 \(log\.jsonl line 1: .*\)\. Fix them\.$"):
        ids(path)
    with pytest.raises(UserError, match=r"log\.jsonl: no row is left without the broken lines of a file: fix some"):
        ids(path, skip=True)
