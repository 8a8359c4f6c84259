from pathlib import Path

import polars as pl
import pytest
from click_logs import DAY, START, load

from srgnn.data import ItemTable, SessionData
from srgnn.data.log.items import of_items, read_items, with_titles
from srgnn.data.log.raw.files import RawFiles
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


def test_the_remedies_for_a_table_of_items_are_its_own_options(tmp_path: Path, log: Path):
    items = tmp_path / "items.csv"
    items.write_text("id,title,id\n10,Rug,x\n")
    with pytest.raises(UserError, match=r"with dataset\.items\.header='\[id,title,id_2\]', which replaces"):
        load(tmp_path, "clicks", log, f"dataset.items.path={items}")
    data = load(tmp_path, "clicks", log, f"dataset.items.path={items}", "dataset.items.header=[id,title,id_2]")
    assert data.vocabulary.titles[0] == "Rug"
    with pytest.raises(UserError, match=r"dataset\.items\.quote=ab: expected one character, or null"):
        load(tmp_path, "clicks", log, f"dataset.items.path={items}", "dataset.items.quote=ab")


def read(path: Path, rows: list[tuple[str, str]]) -> pl.DataFrame:
    path.write_text("id\ttitle\n" + "".join(f"{id}\t{title}\n" for id, title in rows))
    return read_items(ItemTable(), RawFiles((path,)), path.parent / "plain")


def titles(known: list, items: pl.DataFrame) -> list:
    return with_titles(pl.DataFrame({"item": known}), items)["title"].to_list()


@pytest.mark.parametrize(
    ("known", "ids", "expected"),
    [
        ([1, 2, 3], ["1.0", "2.0", "abc"], ["a", "b", None]),
        ([1, 2], [" 1", "2 "], ["a", "b"]),
        ([7], ["007"], [None]),
        (["1", "x"], ["1.0", "x"], ["a", "b"]),
        (["1.0", "x"], ["1.0", "x"], ["a", "b"]),
        (["007", "7"], ["007", "7"], ["a", "b"]),
        (["NA", "-"], ["NA", "-"], ["a", "b"]),  # a log may have such ids with missing=[]
    ],
)
def test_ids_of_the_table_are_read_as_those_of_the_log(tmp_path: Path, known, ids, expected):
    items = read(tmp_path / "items.tsv", [*zip(ids, "abc", strict=False)])
    assert titles(known, items) == expected


def test_the_first_title_counts_and_empty_ones_do_not(tmp_path: Path):
    items = read(
        tmp_path / "items.tsv", [("1", ""), ("1", " Lamp "), ("1.0", "Rug"), ("2", " "), ("", "Tea"), ("3", "Cup")]
    )
    assert titles([1, 2, 3], items) == ["Lamp", None, "Cup"]
    assert [notice.text for notice in of_items(pl.DataFrame({"item": [1, 2, 3]}), items, "items.tsv")] == [
        "items.tsv: rows without an id were left out (rows: 1).",
        "items.tsv: the first title was taken of items that have several, such as 'Lamp' and 'Rug' of 1 (items: 1).",
    ]


def test_a_table_of_other_ids_is_a_warning(tmp_path: Path):
    known = pl.DataFrame({"item": [7, 8, 9]})
    (notice,) = of_items(known, read(tmp_path / "items.tsv", [("SKU7", "Lamp"), ("8", "Rug")]), "items.tsv")
    assert notice.text == (
        "items.tsv has titles of only 1 of 3 items: its ids, such as 'SKU7', have to be those of the log, such as '7'; "
        "name another column with items.id=NAME if they are in it."
    )
    assert notice.arguments == ("items.id",)
    same_twice = [("7", "Lamp"), ("8", "Rug"), ("7", "Lamp"), ("unclicked", "Tea"), ("unclicked", "Cup")]
    assert of_items(known, read(tmp_path / "items.tsv", same_twice), "items.tsv") == []


def test_a_column_of_another_case_is_suggested(tmp_path: Path, log: Path):
    items = tmp_path / "items.csv"
    items.write_text("ID,title\n12,Lamp\n")
    with pytest.raises(UserError, match=r"Name yours with dataset\.items\.id=ID\."):
        load(tmp_path, "clicks", log, f"dataset.items.path={items}")


def test_a_table_of_items_without_a_header_keeps_its_first_item(tmp_path: Path, log: Path):
    (tmp_path / "items.csv").write_text("10,Rug,5\n11,Tea,6\n12,Lamp,7\n")
    options = [f"dataset.items.path={tmp_path / 'items.csv'}"]
    with pytest.raises(UserError, match=r"found 10, Rug, 5, which look like values: .*") as error:
        load(tmp_path, "clicks", log, *options)
    assert str(error.value).endswith("name all its columns with dataset.items.header='[id,title,column_3]'.")
    data = load(tmp_path, "clicks", log, *options, "dataset.items.header=[id,title,column_3]")
    assert data.vocabulary.titles == ["Rug", "Tea", "Lamp"]


def test_words_for_nothing_are_no_titles(tmp_path: Path, log: Path):
    items = tmp_path / "items.csv"
    items.write_text("id,title\n10,NaN\n10,Rug\n11,None\n12,null\n")
    option = f"dataset.items.path={items}"
    assert load(tmp_path, "clicks", log, option).vocabulary.titles == ["Rug", None, None]
    data = load(tmp_path, "clicks", log, option, "dataset.missing=[]")
    assert data.vocabulary.titles == ["NaN", "None", "null"]


def test_the_separator_and_the_quotes_of_a_table_of_items_are_its_own_options(tmp_path: Path, log: Path):
    items, option = tmp_path / "items.csv", f"dataset.items.path={tmp_path / 'items.csv'}"
    items.write_text("id~title\n12~Lamp\n")
    with pytest.raises(UserError, match=r"""with dataset\.items\.separator="'~'"\.$"""):
        load(tmp_path, "clicks", log, option)
    items.write_text("'id','title'\n'12','Lamp'\n")
    with pytest.raises(UserError, match=r"names in single quotes .* with dataset\.items\.quote="):
        load(tmp_path, "clicks", log, option)


def test_uuids_of_a_parquet_log_match_those_of_a_table_in_text(tmp_path: Path):
    duckdb = pytest.importorskip("duckdb")
    uuids = [f"{number:08x}-0000-4000-8000-0000000000ff" for number in (1, 2, 3)]
    log, items = tmp_path / "log.parquet", tmp_path / "items.csv"
    rows = ", ".join(f"({s}, '{uuids[i]}', TIMESTAMP '2014-0{s}-01' + INTERVAL {i} MINUTE)"
                     for s in (1, 2) for i in range(3))  # fmt: skip
    query = f"SELECT session, item::UUID AS item, time FROM (VALUES {rows}) AS log(session, item, time)"
    duckdb.sql(f"COPY ({query}) TO '{log}'")
    items.write_text("id,title\n" + "".join(f"{uuid},{name}\n" for uuid, name in zip(uuids, "abc", strict=True)))
    data = load(tmp_path, "clicks", log, f"dataset.items.path={items}")
    assert (data.vocabulary.ids, data.vocabulary.titles) == (uuids, ["a", "b", "c"])
