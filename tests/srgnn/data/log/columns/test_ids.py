from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from click_logs import DAY, LOG, START, TRAIN, load, raw

from srgnn.data import ClickLog, Polars, Rules
from srgnn.data.log.columns.ids import MISSING, id_reader, number_reader
from srgnn.data.log.columns.layout import Columns, LogFormat, find_layout
from srgnn.data.log.raw import files
from srgnn.data.log.text_ids import find_text_ids
from srgnn.errors import UserError


def ids(values, *options) -> list:
    sample = values if isinstance(values, pl.Series) else pl.Series("id", values)
    return sample.to_frame().select(id_reader(sample, *options)).to_series().to_list()


def text_ids(layout, folder: Path) -> set[str]:
    with Polars().start(folder) as tables:
        return find_text_ids(layout, tables, tables.read(layout, layout.columns, "rows"))


def rows_of(layout) -> pl.LazyFrame:
    return layout.frame.select(**layout.readers)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["3", "-7", "5"], [3, -7, 5]),
        (["3", "9223372036854775808", "5"], ["3", "9223372036854775808", "5"]),  # too large for an integer
        (["3", "007", "7"], ["3", "007", "7"]),
        (["3", "x", "5"], ["3", "x", "5"]),
    ],
)
@pytest.mark.parametrize("late", [False, True])  # after the rows that the types are inferred from
def test_ids_are_integers_only_if_all_of_them_are(tmp_path: Path, ids, expected, late: bool, monkeypatch):
    if late:
        monkeypatch.setattr(files, "SAMPLE", 1)
    path = tmp_path / "log.csv"
    a, b, c = ids
    rows = [(1, a, 0), (1, b, 1), (1, c, 2), (2, a, 30 * DAY), (2, b, 30 * DAY + 1)]
    path.write_text("session,item,time\n" + "".join(f"{s},{i},{START + t}\n" for s, i, t in rows))
    assert load(tmp_path, "clicks", path).vocabulary.ids == expected


def test_float_ids_that_are_not_whole_numbers_are_text(tmp_path: Path):
    path = tmp_path / "log.parquet"
    rows = [(1, 2.0, START), (1, 2.5, START + 1), (2, 2.0, START + 30 * DAY), (2, 2.5, START + 30 * DAY + 1)]
    pl.DataFrame(rows, schema=["session", "item", "time"], orient="row").write_parquet(path)
    assert load(tmp_path, "clicks", path).vocabulary.ids == ["2", "2.5"]


def test_an_inexact_float_id_is_refused_and_nan_counts_as_missing(tmp_path: Path):
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame(LOG, schema={"session": pl.Int64, "item": pl.Float64, "time": pl.Int64}, orient="row")
    frame.write_parquet(path)
    assert raw(load(tmp_path, "clicks", path), "train") == TRAIN
    frame.with_columns(item=pl.when(pl.col("item") == 12).then(float("nan")).otherwise("item")).write_parquet(path)
    with pytest.raises(UserError, match=r"3 have no item \(row 5: 'NaN', "):
        load(tmp_path, "clicks", path)
    frame.with_columns(item=pl.col("item") + 2.0**60).write_parquet(path)
    with pytest.raises(UserError, match="the column item has ids that are floats too large to be exact"):
        load(tmp_path, "clicks", path)


@pytest.mark.parametrize("places", [[2**60 + 2, 2**60 + 1, 2**60], ["0.3", "0.2", "-1e3"]])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_numbers_that_order_clicks_are_exact(tmp_path: Path, places, kind: str):
    rows = [*zip("111", "abc", places, strict=True), ("2", "a", places[0]), ("2", "b", places[0])]
    times = [START, START, START, START + 30 * DAY, START + 30 * DAY + 1]
    frame = pl.DataFrame(rows, schema=["session", "item", "place"], orient="row").with_columns(time=pl.Series(times))
    path = tmp_path / f"log.{kind}"
    frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    assert raw(load(tmp_path, "clicks", path, "dataset.columns.order=place"), "train") == [["c", "b", "a"]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([" 3", "4 ", "\t5"], [3, 4, 5]),
        ([" lamp 10", "lamp 10\xa0"], ["lamp 10", "lamp 10"]),
        (["12.0", "13", "-4.0"], [12, 13, -4]),
        (["12.00", "13.00"], [12, 13]),
        (["12.0", "12.5"], ["12.0", "12.5"]),
        (["1e5", "3"], ["1e5", "3"]),
        (["007.0", "7"], ["007.0", "7"]),
        (["", " ", None], [None, None, None]),
        ([True, False], ["true", "false"]),
        ([Decimal("12.00"), Decimal("13.00")], [12, 13]),
        ([Decimal("12.50"), Decimal("13.00")], ["12.50", "13.00"]),
        ([date(2014, 4, 1)], ["2014-04-01"]),
        ([b"lamp", b"rug"], ["lamp", "rug"]),
        ([b"\xff\x00", b"a"], ["ff00", "61"]),
        (pl.Series("id", [" a", "b"], dtype=pl.Categorical()), ["a", "b"]),
        (pl.Series("id", ["a", "b"], dtype=pl.Enum(["a", "b"])), ["a", "b"]),
        (pl.Series("id", [5, 2**63], dtype=pl.UInt64), ["5", str(2**63)]),
        (pl.Series("id", [5, -7], dtype=pl.Int128), [5, -7]),
    ],
)
def test_ids_of_every_type(values, expected: list):
    assert ids(values) == expected


@pytest.mark.parametrize("word", MISSING)
def test_words_for_nothing_are_missing_ids(word: str):
    assert ids(["12", word, f" {word} "]) == [12, None, None]
    assert ids(["a", word]) == ["a", None]
    assert ids(["12", word], False, []) == ["12", word]


def test_words_for_nothing_after_the_first_rows_do_not_turn_integers_into_text(tmp_path: Path, log: Path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)
    log.write_text(log.read_text() + "4,NaN,1399000000\n4,12.0,1399000001\n")
    form = LogFormat(Columns())
    layout = find_layout(files.RawFiles((log,)), form)
    assert text_ids(layout, tmp_path) == set()
    assert rows_of(layout).collect()["item"].to_list()[-2:] == [None, 12]
    layout = find_layout(files.RawFiles((log,)), replace(form, missing=[]))
    assert text_ids(layout, tmp_path) == {"item"}
    layout = find_layout(files.RawFiles((log,)), replace(form, missing=[]), ["item"])
    assert rows_of(layout).collect()["item"].to_list()[-2:] == ["NaN", "12.0"]


def test_words_for_nothing_may_be_ids(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace(",12,", ",NA,"))
    arguments = {"rules": Rules(min_item_support=1), "cache": tmp_path}
    with pytest.raises(UserError, match=r"3 have no item \(line 6: 'NA', .* keep such words as ids with .missing=\[\]"):
        ClickLog(log, **arguments).load()
    assert raw(ClickLog(log, missing=[], **arguments).load(), "train") == [
        ["10", "11", "10"],
        ["11", "NA"],
        ["NA", "10"],
    ]
    skipped = ClickLog(log, missing="NA", on_error="skip", **arguments).load()
    assert raw(skipped, "train") == [[10, 11, 10]]


def test_whole_floats_are_the_integers_that_another_export_has(tmp_path: Path, log: Path):
    log.write_text("session,item,time\n" + "".join(f"{s},{i}.0,{t}\n" for s, i, t in LOG))
    data = load(tmp_path, "clicks", log)
    assert raw(data, "train") == TRAIN
    text = "The ids of item such as 10.0 were read as integers, here as 10 (rows: 10)."
    assert [notice["text"] for notice in data.manifest["notices"]] == [text]


def test_shortened_ids_are_a_warning(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace(",12,", ",1.23457E+12,"))
    data = load(tmp_path, "clicks", log)
    assert raw(data, "train")[1] == ["11", "1.23457E+12"]
    (notice,) = data.manifest["notices"]
    assert "ids of item such as 1.23457E+12, so that different ids may have become one" in notice["text"]
    assert notice["text"].endswith("(rows: 3).")


def test_floats_of_32_bits_are_refused_where_they_are_not_exact(tmp_path: Path):
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame(LOG, schema={"session": pl.Int64, "item": pl.Float32, "time": pl.Int64}, orient="row")
    frame.write_parquet(path)
    layout = find_layout(files.RawFiles((path,)), LogFormat(Columns()))
    assert rows_of(layout).collect()["item"].to_list() == [item for _, item, _ in LOG]
    frame.with_columns(pl.col("item") + 2**24).write_parquet(path)
    layout = find_layout(files.RawFiles((path,)), LogFormat(Columns()))
    with pytest.raises(UserError, match=r"floats too large to be exact, 16,777,216 or more"):
        text_ids(layout, tmp_path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([" 3", "NULL", str(2**60 + 1)], [3, None, 2**60 + 1]),
        (["0.5 ", "nan"], [0.5, None]),
        ([datetime(1970, 1, 1, 0, 0, 1), None], [1_000_000, None]),
        ([Decimal("0.5")], [0.5]),
    ],
)
def test_numbers_of_every_type(values: list, expected: list):
    sample = pl.Series("place", values)
    assert sample.to_frame().select(number_reader(sample)).to_series().to_list() == expected
