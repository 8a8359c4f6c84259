import pickle
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import torch
from polars.testing import assert_frame_equal

from srgnn.data import SessionData
from srgnn.errors import ArgumentError, UserError
from srgnn.models import MODELS
from srgnn.recommender import Recommender
from srgnn.scoring import Scorer, scorer


def test_each_session_gets_what_the_recommender_says(checkpoint: Path, visits: pl.DataFrame):
    found = pl.from_arrow(Scorer(checkpoint, k=3, titles=True)(visits.to_arrow()))
    assert found.columns == ["visit", "shop", "items", "scores", "titles", "by_popularity", "skipped"]
    assert found.select("visit", "shop").equals(visits.select("visit", "shop"))
    recommender = Recommender.load(checkpoint)
    for session, row in zip(visits["items"].to_list(), found.iter_rows(named=True), strict=True):
        best = recommender.recommend(session or [], 3)
        assert row["items"] == best.items
        assert row["scores"] == pytest.approx(best.scores)
        assert row["titles"] == best.titles
        assert row["by_popularity"] == best.by_popularity
        assert row["skipped"] == len(best.skipped)


@pytest.mark.parametrize("cells", [scorer.CELLS, 7])
@pytest.mark.parametrize(
    "options",
    [
        {"new_only": True},
        {"without": ["B", "nothing"]},
        {"only": ["F", "A", "C", "nothing"]},
        {"new_only": True, "without": ["E"], "only": ["A", "B", "C", "E"]},
    ],
)
def test_items_are_left_out_or_chosen_as_by_the_recommender(
    checkpoint: Path, visits: pl.DataFrame, options, cells: int, monkeypatch
):
    monkeypatch.setattr(scorer, "CELLS", cells)  # also where one session at a time is ranked
    found = pl.from_arrow(Scorer(checkpoint, k=4, **options)(visits.to_arrow()))
    best = Recommender.load(checkpoint).recommend_many([each or [] for each in visits["items"].to_list()], 4, **options)
    assert found["items"].to_list() == [each.items for each in best]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_scores_tables(name: str, small: SessionData, tmp_path: Path, checkpoint: Path, monkeypatch):
    torch.manual_seed(0)
    model = MODELS[name]().build(small.num_items)
    model.observe(small.train)
    recommender = Recommender(model, small.vocabulary, small.train_clicks)
    monkeypatch.setattr(Recommender, "load", lambda path: recommender)
    sessions = [[small.vocabulary.ids[i] for i in session] for session in [*small.test][:30]]
    found = pl.from_arrow(Scorer(checkpoint, k=5)(pa.table({"items": sessions})))
    for session, scores in zip(sessions, found["scores"], strict=True):
        assert scores.to_list() == pytest.approx(recommender.recommend(session, 5).scores, abs=1e-5)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int16()),
        pa.large_list(pa.uint64()),
        pa.list_(pa.large_string()),
        pa.list_(pa.string_view()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.list_(pa.string(), 2),
    ],
)
@pytest.mark.parametrize("vocabulary", [[10, 20, 30, 40, 50, 60], ["10", "20", "30", "40", "50", "60"]])
def test_ids_are_found_as_text_or_integers(tmp_path: Path, checkpoint: Path, kind: pa.DataType, vocabulary: list):
    stored = torch.load(checkpoint, weights_only=True)
    stored["srgnn"]["vocabulary"] = vocabulary
    torch.save(stored, tmp_path / "numbers.ckpt")
    ids = ["30", "10"] if "string" in str(kind) else [30, 10]
    found = Scorer(tmp_path / "numbers.ckpt", k=6)(pa.table({"items": pa.array([ids, [ids[0], ids[0]]]).cast(kind)}))
    assert found["skipped"].to_pylist() == [0, 0]
    assert sorted(found["items"].to_pylist()[0]) == vocabulary


def test_the_parts_of_a_table_may_be_anything(checkpoint: Path, visits: pl.DataFrame):
    score, table = Scorer(checkpoint, k=2), visits.to_arrow()
    whole = score(table)
    batches = table.to_batches(max_chunksize=7)
    for found, expected in (
        (score(pa.concat_tables([table[:3], table[3:3], table[3:]])), whole),
        (pa.Table.from_batches(score.batches(batches)), whole),
        (score(batches[1]), whole[7:14]),
        (score(table[:0]), whole[:0]),
    ):
        assert found.schema.equals(expected.schema)
        assert_frame_equal(pl.from_arrow(found), pl.from_arrow(expected))
    empty = score(pa.table({"items": pa.array([[], None], pa.list_(pa.null()))}))
    assert empty["by_popularity"].to_pylist() == [True, True]


def test_it_is_pickled_as_its_arguments_and_reads_a_new_checkpoint(checkpoint: Path, visits: pl.DataFrame):
    score, table = Scorer(str(checkpoint), k=6, only=["A", "B"]), visits.to_arrow()
    first = score(table)
    assert len(pickle.dumps(score)) < 1000
    assert pickle.loads(pickle.dumps(score))(table).equals(first)
    stored = torch.load(checkpoint, weights_only=True)
    stored["srgnn"]["clicks"] = [9, 0, 0, 0, 0, 0]
    torch.save(stored, checkpoint)
    assert first["items"].to_pylist()[2] == ["B", "A"]
    assert score(table)["items"].to_pylist()[2] == ["A", "B"]


def test_wrong_tables_and_arguments_are_one_sentence(checkpoint: Path, visits: pl.DataFrame):
    score, table = Scorer(checkpoint, k=3), visits.to_arrow()
    with pytest.raises(UserError, match=r"one column items, of lists of item ids; found visit, shop\. Name yours with"):
        score(table.drop_columns("items"))
    with pytest.raises(UserError, match=r"one column clicks, .*; found visit, items, shop"):
        replace(score, column="clicks")(table)
    with pytest.raises(UserError, match=r"The column visit holds int64: expected lists of item ids"):
        replace(score, column="visit")(table)
    with pytest.raises(UserError, match=r"holds list<.*double>: expected lists of item ids"):
        score(pa.table({"items": [[1.5]]}))
    with pytest.raises(UserError, match=r"has a column scores, as the recommendations have"):
        score(table.rename_columns(["scores", "items", "shop"]))
    with pytest.raises(ArgumentError, match="k=7: expected an integer from 1 to 6"):
        replace(score, k=7)(table)
    with pytest.raises(ArgumentError, match=r"only=.*: expected at least one known id, such as A"):
        replace(score, only=["x"])(table)
    with pytest.raises(ArgumentError, match="without=AB: expected a list of item ids"):
        Scorer(checkpoint, without="AB")
    with pytest.raises(UserError, match="There is no checkpoint"):
        Scorer(checkpoint.parent / "none.ckpt")(table)
