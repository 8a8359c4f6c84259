from pathlib import Path

import polars as pl
import pytest

from srgnn.data.log.raw.files import RawFiles
from srgnn.errors import ArgumentError, UserError
from srgnn.scoring.sessions import SessionColumns, Shard, read_sessions

WHOLE = Shard()


def read(path: Path, shard: Shard = WHOLE, **columns) -> pl.DataFrame:
    return read_sessions(RawFiles((path,)), SessionColumns(**columns), shard).collect()


@pytest.mark.parametrize(
    "lists", ["A,B,A|C|", "A B A|C|", '["A", "B", "A"]|["C"]|[]', "['A', 'B', 'A']|['C']|[]", "A; B; A|C|"]
)
def test_lists_in_text_are_read_in_any_form(tmp_path: Path, lists: str):
    pl.DataFrame({"visit": [1, 2, 3], "items": lists.split("|")}).write_csv(tmp_path / "sessions.csv")
    table = read(tmp_path / "sessions.csv")
    assert [each or [] for each in table["items"].to_list()] == [["A", "B", "A"], ["C"], []]
    assert table["visit"].to_list() == ["1", "2", "3"]


def test_sessions_of_one_click_each_may_be_followed_by_longer_ones(tmp_path: Path):
    clicks = ["A"] * 1500 + ["A,B"]
    pl.DataFrame({"items": clicks}).write_csv(tmp_path / "sessions.csv")
    assert read(tmp_path / "sessions.csv")["items"].to_list() == [["A"]] * 1500 + [["A", "B"]]


def test_lists_of_parquet_and_json_are_read_as_they_are(tmp_path: Path):
    table = pl.DataFrame({"clicks": [[1, 2], [], None], "tags": [["x"], ["y"], []]})
    table.write_parquet(tmp_path / "sessions.parquet")
    table.write_ndjson(tmp_path / "sessions.jsonl")
    for name in ("sessions.parquet", "sessions.jsonl"):
        assert read(tmp_path / name, items="clicks").equals(table)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".tsv"])
def test_clicks_are_grouped_by_session_in_order_of_time(tmp_path: Path, suffix: str):
    clicks = pl.DataFrame(
        {
            "session": ["n", "m", "n", "m", "n"],
            "item": ["C", "X", "A", "Y", "B"],
            "time": [1_400_000_030, 1_400_000_010, 1_400_000_005, 1_400_000_020, 1_400_000_030],
        }
    )
    path = tmp_path / f"clicks{suffix}"
    if suffix == ".parquet":
        clicks.write_parquet(path)
    else:
        clicks.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    by_time = {"session": ["n", "m"], "items": [["A", "C", "B"], ["X", "Y"]]}  # rows of one time stay in order
    assert read(path).to_dict(as_series=False) == by_time
    by_row = {"session": ["n", "m"], "items": [["C", "A", "B"], ["X", "Y"]]}
    assert read(path, time=None).to_dict(as_series=False) == by_row


def test_times_in_text_are_compared_as_times(tmp_path: Path):
    (tmp_path / "clicks.csv").write_text(
        "session,item,time\n1,B,2025-03-01 9:30\n1,C,2025-03-01 10:00\n1,A,2025-02-28 23:00\n"
    )
    assert read(tmp_path / "clicks.csv")["items"].to_list() == [["A", "B", "C"]]


@pytest.mark.parametrize("layout", ["sessions", "clicks"])
def test_the_shards_together_are_the_sessions(tmp_path: Path, layout: str):
    if layout == "sessions":
        table = pl.DataFrame({"visit": range(11), "items": [[n] for n in range(11)]})
    else:
        table = pl.DataFrame({"session": [n % 11 for n in range(33)], "item": range(33)})
    table.write_parquet(tmp_path / "sessions.parquet")
    whole = read(tmp_path / "sessions.parquet")
    for count in (1, 3, 16):
        parts = [read(tmp_path / "sessions.parquet", Shard(number + 1, count)) for number in range(count)]
        assert sum(len(part) for part in parts) == 11
        assert pl.concat(parts).sort("items").equals(whole.sort("items"))
    assert max(len(part) for part in parts) < 11


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5", ""])
def test_a_shard_is_a_number_of_parts_counted_from_one(text: str):
    with pytest.raises(ArgumentError, match=r"shard=.*: expected .* from 1/16 to 16/16"):
        Shard.parse(text)
    assert Shard.parse("3/16") == Shard(3, 16)


def test_other_files_are_one_sentence(tmp_path: Path):
    file = tmp_path / "sessions.csv"
    file.write_text("visit,sku\n1,A\n")
    expected = r"expected a column items with the items of each session, or the columns session_id or .* and item_id or"
    with pytest.raises(UserError, match=rf"{expected}.*; found visit, sku\. Name yours with columns\.items=NAME"):
        read(file)
    assert read(file, session="visit", item="sku")["items"].to_list() == [["A"]]
    pl.DataFrame({"items": [1, 2]}).write_parquet(tmp_path / "sessions.parquet")
    with pytest.raises(UserError, match="the column items holds Int64: expected lists of item ids, or text such as"):
        read(tmp_path / "sessions.parquet")
    file.write_text("session,item,time\n1,A,yesterday\n")
    with pytest.raises(
        UserError, match=r"the times in time, such as 'yesterday', cannot be read: .*columns\.time=null"
    ):
        read(file)
    file.write_text("session,item,time\n1,A,1400000000\n1,B,1400000001\n1,C,soon\n,B,1400000001\n")
    with pytest.raises(UserError, match="1 of 4 rows have no session: fix or remove them"):
        read(file)
    file.write_text("session,item,time\n1,A,1400000000\n1,B,1400000001\n1,C,soon\n")
    with pytest.raises(UserError, match="1 of 3 rows have no time that can be read: fix or remove them"):
        read(file)
    with pytest.raises(ArgumentError, match=r"columns\.items=3: expected text, such as items"):
        SessionColumns(items=3)
