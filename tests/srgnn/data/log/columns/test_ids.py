import json
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
from srgnn.data.log.widening import find_wide
from srgnn.errors import UserError


def ids(values, *options) -> list:
    sample = values if isinstance(values, pl.Series) else pl.Series("id", values)
    return sample.to_frame().select(id_reader(sample, *options)).to_series().to_list()


def wide_roles(layout, folder: Path) -> set[str]:
    with Polars().start(folder) as tables:
        return find_wide(layout, tables, tables.read(layout, layout.columns, "rows"))


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
    assert wide_roles(layout, tmp_path) == set()
    assert rows_of(layout).collect()["item"].to_list()[-2:] == [None, 12]
    layout = find_layout(files.RawFiles((log,)), replace(form, missing=[]))
    assert wide_roles(layout, tmp_path) == {"item"}
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


@pytest.mark.parametrize(
    ("values", "words", "expected"),
    [
        ([5, 0, -1], ["0", "-1"], [5, None, None]),
        ([5.0, 0.0, -1.0], ["0"], [5, None, -1]),
        (["5", "0", "-1"], ["0", "NULL"], [5, None, -1]),
        (["a", "0", "00"], ["0"], ["a", None, "00"]),
        (pl.Series("id", [5, 0], dtype=pl.UInt8), ["-1", "0"], [5, None]),
    ],
)
def test_numbers_may_be_words_for_nothing(values, words: list[str], expected: list):
    assert ids(values, False, words) == expected


def test_bytes_after_the_first_rows_make_all_ids_hexadecimal(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame(LOG, schema=["session", "item", "time"], orient="row")
    items = [b"\xff" if item == 12 else str(item).encode() for item in frame["item"]]
    frame.with_columns(item=pl.Series(items)).write_parquet(path)
    assert raw(load(tmp_path, "clicks", path), "train") == [["3130", "3131", "3130"], ["3131", "ff"], ["ff", "3130"]]
    frame.with_columns(pl.col("item").cast(pl.String).cast(pl.Binary)).write_parquet(path)
    assert raw(load(tmp_path, "clicks", path), "train") == TRAIN


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("value", "words"),
    [({"sku": "B"}, "a record"), ({}, "a record"), (["B"], "a list"), ([1, 2], "a list"), ([], "a list")],
)
def test_records_and_lists_among_the_ids_of_json_lines_are_refused(tmp_path: Path, value, words, late, monkeypatch):
    if late:
        monkeypatch.setattr(files, "SAMPLE", 1)
    path = tmp_path / "log.jsonl"
    rows = [{"session": s, "item": value if i == 12 else f"item {i}", "time": t} for s, i, t in LOG]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        UserError, match=rf"3 have no item \(line 5: '.*', which is {words}, not a single value\)\. Fix"
    ):
        load(tmp_path, "clicks", path)
    assert raw(load(tmp_path, "clicks", path, "dataset.on_error=skip"), "train") == [["item 10", "item 11", "item 10"]]


def test_braces_and_brackets_alone_make_no_record(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    names = {10: "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", 11: "[PROMO] lamp", 12: "rug [2]"}
    rows = [{"session": s, "item": names[i], "time": t} for s, i, t in LOG]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = load(tmp_path, "clicks", path)
    assert raw(data, "train") == [[names[i] for i in session] for session in TRAIN]
    assert data.manifest["notices"] == []


def test_floats_of_32_bits_are_refused_where_they_are_not_exact(tmp_path: Path):
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame(LOG, schema={"session": pl.Int64, "item": pl.Float32, "time": pl.Int64}, orient="row")
    frame.write_parquet(path)
    layout = find_layout(files.RawFiles((path,)), LogFormat(Columns()))
    assert rows_of(layout).collect()["item"].to_list() == [item for _, item, _ in LOG]
    frame.with_columns(pl.col("item") + 2**24).write_parquet(path)
    layout = find_layout(files.RawFiles((path,)), LogFormat(Columns()))
    with pytest.raises(UserError, match=r"floats too large to be exact, 16,777,216 or more"):
        wide_roles(layout, tmp_path)


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
