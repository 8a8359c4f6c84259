from pathlib import Path

import polars as pl
import pytest
from click_logs import load

from srgnn.data import ClickLog, ItemTable, Rules, SessionData
from srgnn.errors import UserError


def write(path: Path, ids: list, vectors: list) -> Path:
    pl.DataFrame({"id": ids, "vector": vectors}).write_parquet(path)
    return path


def vectors(tmp_path: Path, log: Path, ids: list, vectors: list) -> SessionData:
    path = write(tmp_path / "vectors.parquet", ids, vectors)
    return load(tmp_path, "clicks", log, f"dataset.items.vectors={path}")


@pytest.mark.parametrize(
    "ids", [[12, 99, 10], ["12", "x", "10"], ["12.0", None, " 10"], [12.0, None, 10.0]], ids=lambda ids: repr(ids)
)
def test_vectors_are_matched_by_the_ids_of_the_log(tmp_path: Path, log: Path, ids: list):
    data = vectors(tmp_path, log, ids, [[1, 2], [3, 4], [5, 6]])
    assert data.vocabulary.ids == [10, 11, 12]
    assert data.vectors.tolist() == [[5, 6], [0, 0], [1, 2]]
    assert data.manifest["vectors"]["items"] == 2


def test_ids_that_are_text_are_matched_as_they_are_written(tmp_path: Path):
    log = tmp_path / "log.csv"
    log.write_text("session_id,item_id,timestamp\n" + "".join(
        f"{s},{item},2014-0{s}-01 0{i}:00\n" for s in (1, 2) for i, item in enumerate(("007", "7", "x"))
    ))  # fmt: skip
    data = vectors(tmp_path, log, ["7", "007"], [[7.0], [0.5]])
    assert dict(zip(data.vocabulary.ids, data.vectors.squeeze(1).tolist(), strict=True)) == {"007": 0.5, "7": 7, "x": 0}


def test_the_first_vector_of_an_item_counts_and_empty_ones_do_not(tmp_path: Path, log: Path):
    data = vectors(tmp_path, log, [10, 10, 11, 11, 12], [None, [1.0], [2.0], [3.0], []])
    assert data.vectors.tolist() == [[1], [2], [0]]


@pytest.mark.parametrize("dtype", [pl.Array(pl.Float32, 2), pl.List(pl.Float64), pl.List(pl.Float16), pl.List(pl.Int8)])
def test_vectors_may_be_arrays_or_lists_of_any_numbers(tmp_path: Path, log: Path, dtype: pl.DataType):
    table = pl.Series([[1, 2], [3, 4], None], dtype=dtype)
    assert vectors(tmp_path, log, [12, 11, 10], table).vectors.tolist() == [[0, 0], [3, 4], [1, 2]]


def test_vectors_are_no_part_of_the_prepared_data(tmp_path: Path, log: Path):
    plain = load(tmp_path, "clicks", log)
    data = vectors(tmp_path, log, [10, 11, 12], [[1.0], [2.0], [3.0]])
    assert plain.vectors is None
    assert data.folder == plain.folder
    again = vectors(tmp_path, log, [10, 11, 12], [[4.0], [5.0], [6.0]])
    assert again.folder == plain.folder
    assert again.vectors.tolist() == [[4], [5], [6]]


def test_vectors_may_lie_in_several_files(tmp_path: Path, log: Path):
    write(tmp_path / "vectors-1.parquet", [10], [[1.0]])
    write(tmp_path / "vectors-2.parquet", [12], [[2.0]])
    data = load(tmp_path, "clicks", log, f"dataset.items.vectors='{tmp_path}/vectors-*.parquet'")
    assert data.vectors.tolist() == [[1], [0], [2]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sku": [10], "vector": [[1.0]]}, r"found sku \(Int64\), vector \(List\(Float64\)\): write it anew"),
        ({"id": [10], "vector": [1.0]}, "and vector, of lists of numbers; found"),
        ({"id": [10], "vector": ["[1, 2]"]}, "and vector, of lists of numbers; found"),
        ({"id": [10], "vector": [["a"]]}, "and vector, of lists of numbers; found"),
        ({"id": [10], "vector": [None]}, "and vector, of lists of numbers; found"),
        ({"id": [[10]], "vector": [[1.0]]}, "the columns id, of single values"),
        ({"id": [10, 11], "vector": [[1.0], [1.0, 2.0]]}, "of one width; found 1 numbers for 10 and 2 for 11: write"),
        ({"id": [10, 11], "vector": [[1.0], [float("nan")]]}, "expected finite numbers; the vector of 11 has others"),
        ({"id": [10, 11], "vector": [[1.0, 2.0], [None, 1.0]]}, "the vector of 11 has others"),
        ({"id": [10], "vector": [[1e60]]}, "the vector of 10 has others"),
        ({"id": ["A7"], "vector": [[1.0]]}, "none of the 3 items: its ids, such as 'A7', have to be .* such as '10';"),
        ({"id": pl.Series([], dtype=pl.Int64), "vector": pl.Series([], dtype=pl.List(pl.Float32))}, "none of the 3"),
    ],
)
def test_a_table_that_does_not_fit_is_one_sentence(tmp_path: Path, log: Path, table: dict, message: str):
    path = tmp_path / "vectors.parquet"
    pl.DataFrame(table).write_parquet(path)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, "clicks", log, f"dataset.items.vectors={path}")
    assert "dataset.items.vectors=FILE" in str(error.value)


def test_a_file_that_is_not_there_or_of_another_kind_is_one_sentence(tmp_path: Path, log: Path):
    with pytest.raises(UserError, match=r"no file none\.parquet: name yours with dataset\.items\.vectors=FILE"):
        load(tmp_path, "clicks", log, "dataset.items.vectors=none.parquet")
    with pytest.raises(
        UserError, match=r"dataset\.items\.vectors=.*log\.csv: expected a Parquet file with the columns"
    ):
        load(tmp_path, "clicks", log, f"dataset.items.vectors={log}")
    with pytest.raises(UserError, match=r"dataset\.items\.vectors=null: expected a file"):
        load(tmp_path, "clicks", log, "dataset.items.vectors=[]")


def test_few_vectors_are_a_warning(tmp_path: Path, log: Path):
    data = vectors(tmp_path, log, ["10", "S7"], [[1.0], [2.0]])
    (notice,) = [each for each in data.manifest["notices"] if "vectors" in each["text"]]
    assert notice["text"].endswith(
        "vectors.parquet has vectors of only 1 of 3 items: its ids, such as 'S7', have to be those of the log, such as "
        "'11'."
    )
    path = tmp_path / "vectors.parquet"
    strict = ClickLog(
        log, items=ItemTable(vectors=path), rules=Rules(min_item_support=1), strict=True, cache=tmp_path / "cache"
    )
    with pytest.raises(UserError, match=r"strict=true makes them errors: .*has vectors of only 1 of 3 items"):
        strict.load()
