from pathlib import Path

import polars as pl
import pytest
from click_logs import DAY, LOG, START, TRAIN, load, raw

from srgnn.data.log import files
from srgnn.errors import UserError


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
    assert load(tmp_path, "clicks", path).vocabulary.ids == ["2.0", "2.5"]


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
