from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from srgnn.data import ItemTable
from srgnn.data.log.item_texts import item_texts
from srgnn.errors import UserError
from srgnn.texts import files
from srgnn.texts.files import embed_file
from srgnn.texts.words import HashedWords

ITEMS = [(1, "red lamp"), (2, "green tea"), (3, "blue bike"), (4, "red lamp"), (5, "tent")]


class Observed(HashedWords):
    """Plain words that remember what they encoded, and may stop before a text."""

    def __init__(self, identity: str = "words", stop: str | None = None):
        self.identity, self.stop = identity, stop
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if self.stop in texts:
            raise KeyboardInterrupt
        self.texts += texts
        return super().encode(texts)

    def too_long(self, texts: Sequence[str]) -> int:
        return sum(text == "tent" for text in texts)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "ROWS", 2)


def table(items: list) -> pl.LazyFrame:
    return pl.LazyFrame(items, schema={"id": pl.Int64, "text": pl.String}, orient="row").cast({"id": pl.String})


def check(output: Path, items: list) -> None:
    """Checks that a file has the vectors of items, in their order."""
    stored = pl.read_parquet(output)
    assert stored["id"].to_list() == [str(item) for item, _ in items]
    assert np.array_equal(stored["vector"].to_numpy(), HashedWords().encode([text for _, text in items]))
    assert stored.schema["vector"] == pl.Array(pl.Float32, 256)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_only_new_texts_are_encoded(tmp_path: Path):
    output, first, second = tmp_path / "v.parquet", Observed(), Observed()
    done = embed_file(table(ITEMS[:3]), first, output)
    assert (done.rows.items, done.width, done.encoded, done.cut) == (3, 256, 3, 0)
    check(output, ITEMS[:3])
    more = [ITEMS[3], (2, "black tea"), ITEMS[0], ITEMS[4], (7, "green tea")]
    done = embed_file(table(more), second, output)
    check(output, more)
    assert second.texts == ["black tea", "tent"]
    assert (done.rows.items, done.encoded, done.cut) == (5, 2, 1)


def test_another_encoder_makes_all_vectors_anew(tmp_path: Path):
    output, other = tmp_path / "v.parquet", Observed("other")
    embed_file(table(ITEMS), Observed(), output)
    embed_file(table(ITEMS), other, output)
    assert sorted(set(other.texts)) == sorted({text for _, text in ITEMS})


@pytest.mark.parametrize("more", [[], [(6, "chair")], [(6, "chair"), (8, "green tea")]])
def test_a_stopped_run_continues_even_with_other_items(tmp_path: Path, more: list):
    output, again = tmp_path / "v.parquet", Observed()
    with pytest.raises(KeyboardInterrupt):
        embed_file(table(ITEMS), Observed(stop="tent"), output)
    assert not output.exists()
    embed_file(table([*more, *ITEMS]), again, output)
    check(output, [*more, *ITEMS])
    assert again.texts == [*(["chair"] if more else []), "tent"]


def test_a_stopped_run_leaves_the_file_as_it_was(tmp_path: Path):
    output = tmp_path / "v.parquet"
    embed_file(table(ITEMS[:2]), Observed(), output)
    before = output.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        embed_file(table(ITEMS), Observed(stop="tent"), output)
    assert output.read_bytes() == before
    with pytest.raises(KeyboardInterrupt):  # parts of another encoder, with vectors of another width, do not matter
        embed_file(table(ITEMS), Observed("other", stop="tent"), output)
    embed_file(table(ITEMS), Observed(), output)
    check(output, ITEMS)


def test_missing_texts_and_ids_have_no_row_and_the_first_text_counts(tmp_path: Path):
    output = tmp_path / "v.parquet"
    rows = [(1, None), (2, None), (1, "red lamp"), (None, "tea"), (3, "bike"), (1, "other lamp"), (9, None)]
    done = embed_file(table(rows), Observed(), output)
    check(output, [(1, "red lamp"), (3, "bike")])
    assert (done.rows.without_id, done.rows.without_text, done.rows.repeated) == (1, 3, 1)
    with pytest.raises(UserError, match="No item has an id and a text: name other columns with text="):
        embed_file(table(rows[:2]), Observed(), tmp_path / "none.parquet")


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path):
    output = tmp_path / "items.parquet"
    for content in (b"", b"id,title\n"):
        output.write_bytes(content)
        with pytest.raises(UserError, match=r"items\.parquet is there already, and was not made by this command"):
            embed_file(table(ITEMS), Observed(), output)
    pl.DataFrame({"id": ["1"], "vector": [[1.0]]}).write_parquet(output)
    with pytest.raises(UserError, match="was not made by this command"):
        embed_file(table(ITEMS), Observed(), output)
    for name in ("v.csv", "none/v.parquet"):
        with pytest.raises(
            UserError, match=r"output=.*: expected a file in an existing folder whose name ends in .par"
        ):
            embed_file(table(ITEMS), Observed(), tmp_path / name)


def texts(path: Path, columns: list[str], **options: str) -> list[tuple[str | None, str | None]]:
    items = ItemTable(path, **options)
    return item_texts(items, items.files(), columns).collect().rows()


def test_columns_are_joined_and_missing_values_left_out(tmp_path: Path):
    path = tmp_path / "items.csv"
    path.write_text("id,title,kind\n1.0, Red lamp ,lamps\n2,,teas\n3,NaN,\n4,Tent,null\n,Cup,cups\n")
    assert texts(path, ["title", "kind"]) == [
        ("1.0", "Red lamp. lamps"), ("2", "teas"), ("3", None), ("4", "Tent"), (None, "Cup. cups")
    ]  # fmt: skip
    assert texts(path, ["id", "title", "title"])[0] == ("1.0", "1.0. Red lamp")


def test_lists_and_fields_of_records_are_texts(tmp_path: Path):
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"sku": 1, "title": {"en": "Lamp"}, "categories": ["home", null, "light"]}\n'
        '{"sku": 2, "title": {"en": null}, "categories": []}\n'
    )
    assert texts(path, ["title.en", "categories"], id="sku") == [("1", "Lamp. home, light"), ("2", None)]
    with pytest.raises(UserError, match=r"title holds records: name a field of it with text=title\.en"):
        texts(path, ["title"], id="sku")
    with pytest.raises(UserError, match=r"expected the column name; found sku, title\.en, categories"):
        texts(path, ["name"], id="sku")
    with pytest.raises(UserError, match=r"expected the column id; found .*Name yours with items\.id=NAME"):
        texts(path, ["categories"])
    with pytest.raises(UserError, match=r"text=\[\]: expected the names of columns"):
        texts(path, [], id="sku")
