"""Later rows that contradict the layout of the first ones."""

import json
from pathlib import Path

import pytest
from click_logs import DAY, LOG, START, TRAIN, load, raw

from srgnn.data.log import files


@pytest.fixture(autouse=True)
def _one_row_decides_the_layout(monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)


def test_json_fields_may_come_late_or_in_another_file(tmp_path: Path):
    rows = [{"session": s, "item": i, "time": t} for s, i, t in LOG]
    rows[5:] = [row | {"event": "view"} for row in rows[5:]]
    options = ["dataset.columns.event=event", "dataset.events=view", "dataset.rules.test_days=1"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert raw(load(tmp_path, "clicks", tmp_path / "a.jsonl", *options), "train") == TRAIN[2:]
    for name, part in (("b", rows[:5]), ("c", rows[5:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    data = load(tmp_path, "clicks", None, f"dataset.path=['{tmp_path}/b.jsonl','{tmp_path}/c.jsonl']", *options)
    assert raw(data, "train") == TRAIN[2:]
    where = ["dataset.where='event IS NOT NULL'", options[-1]]
    assert raw(load(tmp_path, "clicks", tmp_path / "a.jsonl", *where), "train") == TRAIN[2:]


def test_json_ids_of_two_types_are_text(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    rows = [(1, 5, 0), (1, "x", 1), ("one", 5, 30 * DAY), ("one", "x", 30 * DAY + 1)]
    path.write_text("".join(json.dumps({"session": s, "item": i, "time": START + t}) + "\n" for s, i, t in rows))
    assert load(tmp_path, "clicks", path).vocabulary.ids == ["5", "x"]


def test_a_log_may_contradict_its_layout_in_several_ways(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    rows = [json.dumps({"session": s, "item": i, "time": t} | ({"event": "view"} if s > 1 else {})) for s, i, t in LOG]
    path.write_text("\n".join([*rows[:2], '{"session": 1, "it', *rows[2:]]) + "\n")
    options = ["dataset.events=view", "dataset.on_error=skip"]
    assert raw(load(tmp_path, "clicks", path, *options), "train") == TRAIN[1:]
