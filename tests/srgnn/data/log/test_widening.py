"""Values in later rows that do not fit what the first rows decided."""

import json
from pathlib import Path

import pytest
from click_logs import START, load, raw

from srgnn.data.log.raw import files
from srgnn.errors import UserError

LATER = START + 900_000
ROWS = [
    *(("1", "a", START, 2), ("1", "b", START, 1.5), ("1", "c", START, 1)),
    *(("2", "a", LATER, 1), ("2", "b", LATER, 2)),
]
NAMES = ("session", "item", "time", "place")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_fractions_that_order_clicks_may_come_late(tmp_path: Path, kind: str, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)
    path = tmp_path / f"log.{kind}"
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    if kind == "csv":
        path.write_text("session,item,time,place\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert raw(load(tmp_path, "clicks", path, "dataset.columns.order=place"), "train") == [["c", "b", "a"]]


def test_a_late_place_that_is_no_number_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)
    path = tmp_path / "log.csv"
    path.write_text("session,item,time,place\n" + "".join(f"1,a,{START},{place}\n" for place in ("1", "1.5", "last")))
    sentence = r"1 has no number to order by \(line 4: 'last', which is no number\)\. Fix them, or name a column of "
    with pytest.raises(UserError, match=sentence + r"numbers with dataset\.columns\.order=NAME, or leave"):
        load(tmp_path, "clicks", path, "dataset.columns.order=place")
