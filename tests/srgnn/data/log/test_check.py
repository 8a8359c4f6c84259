"""Rows that cannot be read: reported with their lines, or skipped and counted."""

import json
from pathlib import Path

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
        "leave them out with dataset.on_error=skip.",
    ):
        assert part in str(error.value)


def test_a_file_that_lacks_a_column_is_reported(tmp_path: Path):
    (tmp_path / "a.csv").write_text("session,item,time\n1,a,1396310400\n1,,1396310400\n")
    (tmp_path / "b.csv").write_text("session,time\n2,1396310400\n")
    with pytest.raises(UserError, match=r"2 have no item \(a\.csv line 3: nothing, b\.csv has no column item\)"):
        load(tmp_path, "clicks", tmp_path / "*.csv")


def test_bad_clicks_of_a_nested_column_are_numbered(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    sessions = [{"session": s, "events": [{"item": i, "time": t} for _, i, t in LOG if _ == s]} for s in (1, 2, 3, 4)]
    sessions[1]["events"][0]["item"] = None
    path.write_text("".join(json.dumps(session) + "\n" for session in sessions))
    with pytest.raises(UserError, match=r"of 10 rows, 1 has no item \(click 4: nothing\)"):
        load(tmp_path, "clicks", path, "dataset.nested=events")


def test_bad_rows_can_be_skipped_and_are_counted(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text(BAD)
    data = load(tmp_path, "clicks", path, "dataset.on_error=skip")
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
        UserError, match=r"^\S+/log\.csv: of 1 rows, 1 has no item \(line 2: nothing\).*time_format=FORMAT\.$"
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
