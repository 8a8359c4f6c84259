"""Rows that cannot be read: reported with their lines, or skipped and counted."""

import json
from pathlib import Path

import polars as pl
import pytest
from click_logs import LOG, TRAIN, load, raw

from srgnn.errors import UserError

BAD = """session,item,time
1,a,1396310400
1,b,yesterday
1,b,1396310460

,a,1396310400
2,,1396310400
1,c,
1,b,1396310460
1,a,1396310461,surplus
9,b,1399000000
9,a,1399000060
"""


def test_bad_rows_are_reported_with_their_lines(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text(BAD)
    with pytest.raises(
        UserError, match=r"more fields than the header: 1 \(log\.csv line 10: '1,a,1396310461,surplus'\)"
    ):
        load(tmp_path, "clicks", path)
    path.write_text(BAD.replace(",surplus", ""))
    with pytest.raises(UserError) as error:
        load(tmp_path, "clicks", path)
    for part in (
        "log.csv: of 10 rows, 1 has no session (line 6: nothing); 1 has no item (line 7: nothing); ",
        "2 have a time that cannot be read (line 3: 'yesterday', line 8: nothing). ",
        "Fix them, or leave them out with dataset.on_error=skip.",
    ):
        assert part in str(error.value)


def test_bad_clicks_of_a_nested_column_have_the_line_of_their_list(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    sessions = [{"session": s, "events": [{"item": i, "time": t} for _, i, t in LOG if _ == s]} for s in (1, 2, 3, 4)]
    sessions[1]["events"][0]["item"] = None
    path.write_text("".join(json.dumps(session) + "\n" for session in sessions))
    with pytest.raises(UserError, match=r"of 10 rows, 1 has no item \(line 2: nothing\)"):
        load(tmp_path, "clicks", path, "dataset.nested=events")


def test_constants_in_json_are_shown_as_they_are_written(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    time = '"time": 1396310400}\n'
    flat = ("NaN", "-Infinity", "null", "7")
    path.write_text("".join(f'{{"session": 1, "item": {value}, "note": NaN, {time}' for value in flat))
    with pytest.raises(UserError, match=r"3 have no item \(line 1: NaN, line 2: -Infinity, line 3: nothing\)"):
        load(tmp_path, "clicks", path)
    path.write_text("".join(f'{{"session": 1, "item": {{"sku": {value}, "n": NaN}}, {time}' for value in flat))
    with pytest.raises(UserError, match=r"3 have no item \(line 1: NaN, line 2: -Infinity, line 3: nothing\)"):
        load(tmp_path, "clicks", path, "dataset.columns.item=item.sku")
    path.write_text(f'{{"session": 1, "item": [7, NaN, 8], {time}')
    with pytest.raises(UserError, match=r"1 has no item \(line 1: NaN\)"):
        load(tmp_path, "clicks", path, "dataset.nested=item")
    path.write_text(f'{{"session": 1, "clicks": [{{"item": 7, {time[:-1]}, {{"item": NaN, {time[:-1]}]}}\n')
    with pytest.raises(UserError, match=r"1 has no item \(line 1: NaN\)"):
        load(tmp_path, "clicks", path, "dataset.nested=clicks")


def test_bad_rows_can_be_skipped_and_are_counted(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text(BAD)
    data = load(tmp_path, "clicks", path, "dataset.on_error=skip", "dataset.rules.duplicates=drop")
    assert raw(data, "train") == [["a", "b"]]
    assert [tuple(step.values()) for step in data.manifest["steps"][:3]] == [
        ("rows of the log", 10, 3, 3),
        ("readable rows (on_error=skip)", 5, 2, 2),
        ("without duplicate rows", 4, 2, 2),
    ]


def test_lines_that_are_not_json_are_reported_or_skipped(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    rows = [json.dumps({"session": s, "item": i, "time": t}) for s, i, t in LOG]
    path.write_text("\n".join([*rows[:2], '{"session": 1, "it', *rows[2:]]) + "\n")
    with pytest.raises(UserError, match=r"not JSON objects: 1 \(log\.jsonl line 3: "):
        load(tmp_path, "clicks", path)
    assert raw(load(tmp_path, "clicks", path, "dataset.on_error=skip"), "train") == TRAIN


def test_a_log_whose_rows_are_all_bad_is_an_error(tmp_path: Path, log: Path):
    with pytest.raises(UserError, match=r"such as '1396310400': name their format with dataset\.time_format="):
        load(tmp_path, "clicks", log, "dataset.time_format=%Y-%m-%d", "dataset.on_error=skip")
    log.write_text("session,item,time\n,a,1396310400\n1,,1396310400\n")
    with pytest.raises(UserError, match=r"of 2 rows, 1 has no session .*1 has no item"):
        load(tmp_path, "clicks", log, "dataset.on_error=skip")
    log.write_text("session,item,time\n1,,1396310400\n1,a,1396310400,x\n")
    with pytest.raises(
        UserError, match=r"^\S+/log\.csv: of 1 row, 1 has no item \(line 2: nothing\)\. Fix them, or name"
    ):
        load(tmp_path, "clicks", log, "dataset.on_error=skip")


def test_a_log_of_one_session_or_without_rows_says_so(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text("session,item,time\n1,a,1396310400\n1,b,1396310401\n")
    with pytest.raises(UserError, match="leaves 0 training and 1 test sessions"):
        load(tmp_path, "clicks", path)
    path.write_text("session,item,time\n")
    with pytest.raises(UserError, match="has no rows"):
        load(tmp_path, "clicks", path)


HEAD = "session,item,time\n"
GOOD = "1,a,2014-04-01 10:00:00\n1,b,2014-04-01 10:00:05\n2,a,2014-05-01 10:00:00\n2,b,2014-05-01 10:00:05\n"


@pytest.mark.parametrize(
    ("row", "options", "sentence"),
    [
        ("1,,2014-04-01 10:00:00", [], "1 has no item (line 6: nothing). Fix them, or leave them out with"),
        ("1, ,2014-04-01 10:00:00", [], "1 has no item (line 6: ' '). Fix them, or leave them out with"),
        (
            "NULL,a,2014-04-01 10:00:00",
            [],
            "1 has no session (line 6: 'NULL'). Fix them, or keep such words as ids with \"dataset.missing=[]\", or",
        ),
        ("1,a,NULL", [], "1 has a time that cannot be read (line 6: 'NULL'). Fix them, or leave them out with"),
        (
            "1,a,2061-04-01 10:00:00",
            [],
            "(line 6: '2061-04-01 10:00:00', which is in the future). Fix them, or take such times as they are with "
            "dataset.time_format='%Y-%m-%d %H:%M:%S%.f', or leave them out",
        ),
        ("1,a,1970-01-01 00:00:00", [], "(line 6: '1970-01-01 00:00:00', which is before 1990). Fix them, or take"),
        (
            "1,a,1396310400\n1,b,1396310405",
            [],
            "2 have a time that cannot be read (line 6: '1396310400', line 7: '1396310405', in the format s instead of "
            "%Y-%m-%d %H:%M:%S%.f as in '2014-04-01 10:00:00'). Fix them, or write all times in one format, or leave",
        ),
        (
            "1,a,2014-03-30 02:30:00",
            ["dataset.time_zone=Europe/Berlin"],
            "(line 6: '2014-03-30 02:30:00', which does not exist with dataset.time_zone=Europe/Berlin, whose clocks "
            "skip that hour). Fix them, or name the zone of these times, such as dataset.time_zone=UTC, or leave",
        ),
        (
            "1,a,13/04/2014 10:00",
            [],
            "(line 6: '13/04/2014 10:00', in the format %d/%m/%Y %H:%M instead of %Y-%m-%d %H:%M:%S%.f as in "
            "'2014-04-01 10:00:00'). Fix them, or write all times in one format, or leave",
        ),
        (
            "1,a,03/04/2014",
            [],
            "(line 6: '03/04/2014', in the format %d/%m/%Y or %m/%d/%Y instead of %Y-%m-%d %H:%M:%S%.f as in",
        ),
    ],
)
def test_the_remedy_fits_the_fault(tmp_path: Path, row: str, options: list[str], sentence: str):
    path = tmp_path / "log.csv"
    path.write_text(f"{HEAD}{GOOD}{row}\n")
    with pytest.raises(UserError) as error:
        load(tmp_path, "clicks", path, *options)
    assert sentence in str(error.value)
    assert raw(load(tmp_path, "clicks", path, "dataset.on_error=skip", *options), "train") == [["a", "b"]]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            ",a,1396310400\n,b,1396310401\n",
            "2 have no session .* name another column with dataset.columns.session=NAME",
        ),
        ("1,,1396310400\n1,,1396310401\n", "2 have no item .* name another column with dataset.columns.item=NAME"),
        ("1,a,NULL\n1,b,\n", r"line 2: 'NULL', line 3: nothing.* name another column with dataset.columns.time=NAME"),
        (",a,1396310400\n1,,1396310401\n", r"1 has no session .*; 1 has no item \(line 3: nothing\)\. Fix them"),
    ],
)
def test_rows_are_not_to_be_left_out_where_all_are_bad(tmp_path: Path, rows: str, sentence: str):
    path = tmp_path / "log.csv"
    path.write_text(HEAD + rows)
    with pytest.raises(UserError, match=sentence) as error:
        load(tmp_path, "clicks", path)
    assert "on_error=skip" not in str(error.value)


def test_times_outside_the_plausible_years_are_taken_with_the_format_that_the_error_names(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text(HEAD + GOOD + "3,a,2061-04-01 10:00:00\n3,c,2061-04-01 10:00:05\n")
    data = load(tmp_path, "clicks", path, "dataset.time_format='%Y-%m-%d %H:%M:%S%.f'", "dataset.rules.unseen=keep")
    assert raw(data, "test") == [["a", "c"]]


@pytest.mark.parametrize("name", ["_line", "_is_header", "_is_test"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_column_may_have_any_name(tmp_path: Path, name: str, kind: str):
    rows = pl.DataFrame({name: ["a", "b", "c"], "session_id": [1, None, 2], "item_id": 3, "timestamp": "2014-04-01"})
    path = tmp_path / f"log.{kind}"
    {"csv": rows.write_csv, "jsonl": rows.write_ndjson, "parquet": rows.write_parquet}[kind](path)
    place = {"csv": "line 3", "jsonl": "line 2", "parquet": "row 2"}[kind]
    with pytest.raises(UserError, match=f"1 has no session \\({place}: nothing"):
        load(tmp_path, "clicks", path)
