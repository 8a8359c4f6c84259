from pathlib import Path

import polars as pl
import pytest
from click_logs import DAY, START, load

from srgnn.data import SessionData
from srgnn.errors import UserError


def test_the_vocabulary_is_a_table_that_any_tool_opens(tmp_path: Path, log: Path):
    items = tmp_path / "items.csv"
    items.write_text('sku,name,category\n12,"Lamp, red",lamps\n10,Rug,rugs\n99,Chair,chairs\n10,Rug again,rugs\n')
    options = [f"dataset.items.path={items}", "dataset.items.id=sku", "dataset.items.title=name"]
    folder = load(tmp_path, "clicks", log, *options).folder
    table = pl.read_parquet(folder / "vocabulary.parquet")
    assert table.columns == ["index", "id", "count", "first_seen", "last_seen", "title", "category"]
    assert table["id"].to_list() == [10, 11, 12]
    assert table["index"].to_list() == [0, 1, 2]
    assert table["count"].to_list() == [4, 3, 3]
    assert table["title"].to_list() == ["Rug", None, "Lamp, red"]
    assert table["first_seen"].dt.epoch("s").to_list() == [START, START + 60, START + 160]
    assert table["last_seen"].dt.epoch("s").to_list() == [START + 30 * DAY + t for t in (0, 90, 60)]
    assert SessionData.load(folder).vocabulary.titles == ["Rug", None, "Lamp, red"]
    assert SessionData.load(folder).manifest["titled_items"] == 2
    with pytest.raises(UserError, match=r"items\.csv: expected the column id; found sku.*dataset\.items\.id=NAME"):
        load(tmp_path, "clicks", log, options[0])


def test_an_item_table_may_have_columns_of_any_name(tmp_path: Path, log: Path):
    items = tmp_path / "items.parquet"
    frame = {"sku": [10.0, 11.0, None], "id": ["x", "y", "z"], "title": [1, 2, 3], "name": ["Rug", "Tea", None]}
    pl.DataFrame(frame | {"index": [7, 8, 9], "count": [0, 0, 0], "item_count": [1, 1, 1]}).write_parquet(items)
    options = [f"dataset.items.path={items}", "dataset.items.id=sku", "dataset.items.title=name"]
    table = pl.read_parquet(load(tmp_path, "clicks", log, *options).folder / "vocabulary.parquet")
    assert table["title"].to_list() == ["Rug", "Tea", None]
    assert table.columns[5:] == ["title", "item_id", "item_title", "item_index", "item_item_count", "item_count"]


def test_the_table_of_items_may_be_nested_or_odd(tmp_path: Path, log: Path):
    items = tmp_path / "items.jsonl"
    items.write_text(
        '{"id": {"sku": "12.0"}, "title": {"en": "Lamp"}}\n{"id": {"sku": " 10"}, "title": {"en": "Rug"}}\n'
        '{"id": {"sku": "nan"}, "title": {"en": "Tea"}}\n'
    )
    options = [f"dataset.items.path={items}", "dataset.items.id=id.sku"]
    data = load(tmp_path, "clicks", log, *options, "dataset.items.title=title.en")
    assert data.vocabulary.titles == ["Rug", None, "Lamp"]
    with pytest.raises(
        UserError, match=r"title holds records: name a field of it with dataset\.items\.title=title\.en"
    ):
        load(tmp_path, "clicks", log, *options)


def test_a_column_of_another_case_is_suggested(tmp_path: Path, log: Path):
    items = tmp_path / "items.csv"
    items.write_text("ID,title\n12,Lamp\n")
    with pytest.raises(UserError, match=r"Name yours with dataset\.items\.id=ID\."):
        load(tmp_path, "clicks", log, f"dataset.items.path={items}")
