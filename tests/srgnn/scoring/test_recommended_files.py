import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from srgnn.errors import UserError
from srgnn.saving import lock_folder
from srgnn.scoring import Scorer, files
from srgnn.scoring.files import Finished, recommend_file
from srgnn.scoring.sessions import SessionColumns, Shard


@pytest.fixture
def sessions(visits: pl.DataFrame, tmp_path: Path) -> Path:
    visits.write_parquet(tmp_path / "sessions.parquet")
    return tmp_path / "sessions.parquet"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS", 6)


@pytest.mark.usefixtures("small_parts")
def test_a_file_gets_what_its_table_gets(checkpoint: Path, visits: pl.DataFrame, sessions: Path, tmp_path: Path):
    scorer, output = Scorer(checkpoint, k=3, titles=True), tmp_path / "recs.parquet"
    assert recommend_file(scorer, sessions, output) == Finished(output, 20, 12, 12)
    expected = pl.DataFrame(scorer(visits.to_arrow()))
    assert_frame_equal(pl.read_parquet(output), expected)
    assert not output.with_name("recs.parquet.parts").exists()
    recommend_file(scorer, sessions, tmp_path / "recs.csv")
    rows = pl.read_csv(tmp_path / "recs.csv")
    assert rows.columns == ["visit", "shop", "items", "scores", "titles", "by_popularity", "skipped", "place"]
    assert rows["items"].to_list() == expected["items"].explode().to_list()
    assert rows["place"].to_list() == [1, 2, 3] * 20


@pytest.mark.usefixtures("small_parts")
def test_a_stopped_run_continues_with_the_parts_that_are_missing(
    checkpoint: Path, visits: pl.DataFrame, sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scorer, output = Scorer(checkpoint, k=3), tmp_path / "recs.parquet"
    calls, whole = [], Scorer.__call__

    def counted(self, table):
        calls.append(len(table))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, table)

    monkeypatch.setattr(Scorer, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        recommend_file(scorer, sessions, output)
    assert not output.exists()
    with pytest.raises(UserError, match=r"recs\.parquet\.parts is there already, and was made with another k=: delete"):
        recommend_file(replace(scorer, k=2), sessions, output)
    assert recommend_file(scorer, sessions, output) == Finished(output, 20, 12, 12)
    assert calls == [6, 6, 6, 6, 2]
    assert_frame_equal(pl.read_parquet(output), pl.DataFrame(whole(scorer, visits.to_arrow())))

    assert recommend_file(scorer, sessions, output) == Finished(output, was_there=True)
    assert len(calls) == 5
    with pytest.raises(UserError, match=r"recs\.parquet is there already, and was made with another k= and another on"):
        recommend_file(replace(scorer, k=2, only=["A"]), sessions, output)
    output.with_name("recs.parquet.json").unlink()
    with pytest.raises(UserError, match=r"is there already, and was not made by this command: delete it, or choose"):
        recommend_file(scorer, sessions, output)


def test_an_error_before_the_first_part_leaves_the_way_free(checkpoint: Path, sessions: Path, tmp_path: Path):
    with pytest.raises(UserError, match="k=7: expected an integer from 1 to 6"):
        recommend_file(Scorer(checkpoint, k=7), sessions, tmp_path / "recs.parquet")
    assert recommend_file(Scorer(checkpoint, k=6), sessions, tmp_path / "recs.parquet").sessions == 20


def test_every_shard_has_a_file_of_its_own(checkpoint: Path, visits: pl.DataFrame, sessions: Path, tmp_path: Path):
    scorer, output = Scorer(checkpoint, k=2), tmp_path / "recs.parquet"
    recommend_file(scorer, sessions, output)
    for number in range(1, 31):
        recommend_file(scorer, sessions, output, shard=Shard(number, 30))  # more shards than sessions
    assert (tmp_path / "recs-07-of-30.parquet").exists()
    assert_frame_equal(pl.read_parquet(tmp_path / "recs-*-of-30.parquet"), pl.read_parquet(output))
    assert json.loads((tmp_path / "recs-07-of-30.parquet.json").read_text())["shard"] == "7/30"


def test_clicks_keep_the_ids_of_their_sessions(checkpoint: Path, tmp_path: Path):
    (tmp_path / "clicks.csv").write_text("visit,sku\n9,A\n7,B\n9,C\n")
    columns = SessionColumns(session="visit", item="sku")
    recommend_file(Scorer(checkpoint, k=1, new_only=True), tmp_path / "clicks.csv", tmp_path / "recs.csv", columns)
    assert pl.read_csv(tmp_path / "recs.csv").select("visit", "place").rows() == [(9, 1), (7, 1)]


def test_categories_dates_and_numbers_ride_along(checkpoint: Path, tmp_path: Path):
    table = pl.DataFrame(
        {
            "items": [["A"], ["B"]],
            "shop": pl.Series(["north", "south"], dtype=pl.Categorical),
            "day": pl.Series(["2025-03-01", None]).str.to_date(),
            "price": pl.Series(["1.50", "2.25"]).cast(pl.Decimal(10, 2)),
            "tags": [["x"], None],
        }
    )
    table.write_parquet(tmp_path / "sessions.parquet")
    recommend_file(Scorer(checkpoint, k=1), tmp_path / "sessions.parquet", tmp_path / "recs.parquet")
    found = pl.read_parquet(tmp_path / "recs.parquet")
    assert found.select("shop", "day", "price", "tags").equals(table.drop("items"))
    with pytest.raises(UserError, match=r"the column tags holds List\(String\), which has no place in a CSV file"):
        recommend_file(Scorer(checkpoint, k=1), tmp_path / "sessions.parquet", tmp_path / "recs.csv")


def test_files_that_cannot_be_used_are_one_sentence(checkpoint: Path, sessions: Path, tmp_path: Path):
    scorer, output = Scorer(checkpoint, k=2), tmp_path / "recs.parquet"
    with pytest.raises(UserError, match=r"There is no file .*none\.csv: name yours with sessions=FILE"):
        recommend_file(scorer, tmp_path / "none.csv", output)
    for name in ("recs.txt", "none/recs.csv"):
        with pytest.raises(UserError, match=r"output=.*: expected a file in an existing folder whose name ends in"):
            recommend_file(scorer, sessions, tmp_path / name)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match=r"empty\.csv is empty"):
        recommend_file(scorer, tmp_path / "empty.csv", output)
    (tmp_path / "header.csv").write_text("session,items\n")
    with pytest.raises(UserError, match=r"header\.csv has no sessions: expected at least one row"):
        recommend_file(scorer, tmp_path / "header.csv", output)
    pl.DataFrame({"items": [[1.5]]}).write_parquet(tmp_path / "floats.parquet")
    with pytest.raises(UserError, match="expected lists of item ids"):
        recommend_file(scorer, tmp_path / "floats.parquet", output)
    folder = tmp_path / "recs.parquet.parts"
    folder.mkdir(exist_ok=True)
    lock = lock_folder(folder)
    assert lock is not None
    with pytest.raises(UserError, match=r"Another process is writing .*recs\.parquet: wait for its end"):
        recommend_file(scorer, sessions, output)
