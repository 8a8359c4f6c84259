"""Values that are read in another way than they are written: found in any row, and counted."""

from pathlib import Path

import polars as pl
import pytest
from click_logs import LOG, START, TRAIN, load, raw

from srgnn.data.log.raw import files

HEAD = "session,item,time\n"
LOCAL = "2014-10-26 0{hour}:30:0{second}"  # the clocks of Berlin show 02:30 twice


def notices(data) -> list[str]:
    return [notice["text"] for notice in data.manifest["notices"]]


@pytest.fixture(params=[False, True], ids=["early", "late"])
def late(request, monkeypatch) -> bool:
    if request.param:
        monkeypatch.setattr(files, "SAMPLE", 1)
    return request.param


def test_spaces_are_removed_and_counted(tmp_path: Path, late: bool):
    path = tmp_path / "log.csv"
    rows = ["1,b,1396310400,view", "1, lamp 10,1396310401, view", "2,b,1399310400,view", "2,lamp 10\t,1399310401,view"]
    path.write_text(HEAD[:-1] + ",event\n" + "".join(f"{row}\n" for row in rows))
    data = load(tmp_path, "clicks", path, "dataset.events=view")
    assert raw(data, "train") == [["b", "lamp 10"]]
    text = "Spaces around values, such as ' lamp 10' in item, ' view' in event, were removed (rows: 2)."
    assert text in notices(data)


@pytest.mark.parametrize("sign", [*"\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u202c\u2060\u2069\ufeff\ufffb"])
def test_invisible_characters_are_removed_and_counted(tmp_path: Path, log: Path, sign: str, late: bool):
    log.write_text(log.read_text().replace(",12,", f",{sign}12{sign},"))
    data = load(tmp_path, "clicks", log)
    assert raw(data, "train") == TRAIN
    assert notices(data) == [f"Spaces around values, such as {sign + '12' + sign!r} in item, were removed (rows: 3)."]


@pytest.mark.parametrize(
    "item",
    ["\U0001f468\u200d\U0001f467", "a\u200cb", "co\u00adop", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\u06dd"],
    ids=ascii,
)
def test_invisible_characters_within_ids_stay(tmp_path: Path, log: Path, item: str):
    log.write_text(log.read_text().replace(",12,", f",{item},"))
    data = load(tmp_path, "clicks", log)
    assert item in data.vocabulary.ids
    assert notices(data) == []


def test_spaces_of_rows_that_are_no_clicks_do_not_count(tmp_path: Path, log: Path):
    log.write_text(log.read_text() + "9, 12 ,1399000000\n")
    assert notices(load(tmp_path, "clicks", log, "dataset.where='CAST(session AS BIGINT) < 9'")) == []
    assert len(notices(load(tmp_path, "clicks", log))) == 1


def test_whole_floats_are_the_integers_that_another_export_has(tmp_path: Path, log: Path, late: bool):
    clicks = [(s, i if place == 0 else f"{i}.0", t) for place, (s, i, t) in enumerate(LOG)]
    log.write_text(HEAD + "".join(f"{s},{i},{t}\n" for s, i, t in clicks))
    data = load(tmp_path, "clicks", log)
    assert raw(data, "train") == TRAIN
    text = "Ids that end in .0, such as '11.0' in item, were read as integers, without it (rows: 9)."
    assert notices(data) == [text]


def test_dots_in_ids_of_text_are_no_oddity(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace(",12,", ",12.0 inch,").replace("\n1,", "\nv1.0,"))
    assert notices(load(tmp_path, "clicks", log)) == []


@pytest.mark.parametrize("is_text", [True, False])
def test_hours_that_the_clocks_repeat_are_counted(tmp_path: Path, late: bool, is_text: bool):
    times = [LOCAL.format(hour=1 if second < 2 else 2, second=second) for second in range(4)]
    clicks = [("1", "ab"[place % 2], time) for place, time in enumerate(times)] + [("2", "a", "2014-12-01 10:00:00")]
    clicks.append(("2", "b", "2014-12-01 10:00:01"))
    frame = pl.DataFrame(clicks, schema=["session", "item", "time"], orient="row")
    path = tmp_path / "log.parquet"
    (frame if is_text else frame.with_columns(pl.col("time").str.to_datetime())).write_parquet(path)
    options = ["dataset.time_zone=Europe/Berlin"]
    data = load(tmp_path, "clicks", path, *options)
    assert raw(data, "train") == [["a", "b", "a", "b"]]
    (text,) = [text for text in notices(data) if "clocks" in text]
    assert text.startswith("Times in an hour that the clocks of Europe/Berlin repeat, such as '2014-10-26 02:30:02")
    assert text.endswith("such as +01:00 (rows: 2).")
    assert not any("clocks" in text for text in notices(load(tmp_path, "clicks", path)))


def test_times_that_a_spreadsheet_has_shortened_are_counted(tmp_path: Path, log: Path):
    rows = [(s, i, f"{t / 1e9:.5f}E+12" if s == 4 else t * 1000) for s, i, t in LOG]
    log.write_text(HEAD + "".join(f"{s},{i},{t}\n" for s, i, t in rows))
    shortened = f"{(START + 30 * 86_400) / 1e9:.5f}E+12"
    (text,) = [text for text in notices(load(tmp_path, "clicks", log)) if "shortened" in text]
    assert text.startswith(f"Times that a spreadsheet or a float has shortened, such as '{shortened}' in time, were")
    assert text.endswith("(rows: 3).")


def test_odd_names_and_long_values_are_shown_in_quotes_and_cut(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace("item", '"item, sku"').replace(",12,", f", {'x' * 100},"))
    data = load(tmp_path, "clicks", log, "dataset.columns.item='item, sku'")
    assert notices(data) == [f"Spaces around values, such as ' {'x' * 59}' in 'item, sku', were removed (rows: 3)."]
