import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

from srgnn.answers import Query
from srgnn.baselines import Popularity
from srgnn.data import SessionData, Vocabulary
from srgnn.errors import ArgumentError, UserError
from srgnn.models import MODELS
from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = SRGNNSettings(8).build(4)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    about = {"model": {"num_items": 4, "hidden_size": 8}, "vocabulary": ["A", "B", "C", "D"], "clicks": [3, 5, 0, 4]}
    torch.save({"state_dict": state, "srgnn": about}, tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def test_raw_ids_in_and_raw_ids_with_scores_and_probabilities_out(checkpoint: Path):
    found = Recommender.load(checkpoint).recommend(["A", "B", "A"], k=4)
    assert sorted(found.items) == ["A", "B", "C", "D"]
    assert found.probabilities == sorted(found.probabilities, reverse=True)
    assert sum(found.probabilities) == pytest.approx(1)
    assert torch.tensor(found.scores).softmax(0).tolist() == pytest.approx(found.probabilities)
    assert list(found) == list(zip(found.items, found.scores, strict=True))


def test_unknown_ids_are_skipped_and_listed(checkpoint: Path):
    recommender = Recommender.load(checkpoint)
    found = recommender.recommend(["A", "x", "B", 7], k=2)
    assert found.skipped == ["x", 7]
    assert list(found) == list(recommender.recommend(["A", "B"], k=2))


@pytest.mark.parametrize("session", [[], ["x", "y"]])
def test_a_session_without_a_known_id_gets_the_most_clicked_items_and_says_so(checkpoint: Path, session):
    found = Recommender.load(checkpoint).recommend(session, k=3, without=["D"])
    assert found.by_popularity
    assert found.items == ["B", "A", "C"]
    assert found.scores == [5, 3, 0]
    assert found.probabilities == pytest.approx([5 / 12, 3 / 12, 0])
    assert found.skipped == session


def test_items_are_added_to_a_recommender_and_kept_in_its_checkpoint(checkpoint: Path, tmp_path: Path):
    before = Recommender.load(checkpoint)
    grown = before.add_items({"E": ["A"]}, titles={"E": "A lamp"})
    assert len(before.vocabulary) == 4
    found = grown.recommend(["E", "B"], k=5)
    assert not found.skipped
    assert dict(found)["E"] == pytest.approx(dict(found)["A"])
    grown.saved.save(tmp_path / "grown.ckpt")
    assert list(Recommender.load(tmp_path / "grown.ckpt").recommend(["E", "B"], k=5)) == list(found)
    with pytest.raises(UserError, match=r"^Items are added to a checkpoint"):
        Recommender(before.model, before.vocabulary).add_items({"E": ["A"]})


def test_without_the_clicks_of_the_items_such_a_session_gives_one_sentence():
    recommender = Recommender(SRGNNSettings(4).build(3), Vocabulary([10, 20, 30]))
    with pytest.raises(UserError, match="does not hold the popularity of the items"):
        recommender.recommend([], 2)


@pytest.mark.parametrize("name", MODELS)
def test_many_sessions_are_answered_as_each_one_alone(name: str, small: SessionData):
    torch.manual_seed(0)
    model = MODELS[name]().build(small.num_items)
    model.observe(small.train)
    recommender = Recommender(model, small.vocabulary, small.train_clicks)
    ids = small.vocabulary.ids
    queries = [
        Query(ids[:3], k=4),
        Query([], k=2),
        Query(["unknown", ids[5]], k=3, new_only=True),
        Query([ids[5], ids[6]], k=3, without=ids[:4], only=ids[2:9]),
        Query(ids[1:3], k=2, only=ids[2:9]),
        Query([ids[0]] * 5, k=len(ids), new_only=True, without=[ids[1], "unknown"]),
    ]
    together = recommender.answer(queries)
    for query, found in zip(queries, together, strict=True):
        alone = recommender.recommend(
            query.session, query.k, new_only=query.new_only, without=query.without, only=query.only
        )
        assert found.scores == pytest.approx(alone.scores, abs=1e-5)
        assert set(found.items) == set(alone.items) or len(set(found.scores)) < len(found.scores)  # but for ties
        assert found.probabilities is None
        assert len(found) == min(query.k, len(ids) - 2)
        assert len(set(found.items)) == len(found)
        left_out = {*query.without, *(query.session if query.new_only else ())}
        assert not left_out & set(found.items)
        assert query.only is None or set(found.items) <= set(query.only)
    assert together[1].by_popularity
    assert together[2].skipped == ["unknown"]


def test_few_scores_are_held_and_many_are_not_and_both_find_the_same(small: SessionData, monkeypatch):
    recommender = Recommender(SRGNNSettings(8).build(small.num_items), small.vocabulary)
    sessions = [[small.vocabulary.ids[i] for i in session] for session in small.test][:9]
    held = recommender.answer([Query(session, 9) for session in sessions])
    monkeypatch.setattr("srgnn.retrieval.HELD", 0)
    for found, other in zip(held, recommender.answer([Query(session, 9) for session in sessions]), strict=True):
        assert found.items == other.items
        assert found.scores == pytest.approx(other.scores, abs=1e-5)


def test_items_are_left_out_and_the_next_best_move_up(checkpoint: Path):
    recommender = Recommender.load(checkpoint)
    full = recommender.recommend(["A", "B"], k=4)
    assert recommender.recommend(["A", "B"], k=4, new_only=True).items == [i for i in full.items if i not in "AB"]
    best, *others = full.items
    assert recommender.recommend(["A", "B"], k=2, without=[best, "unknown"]).items == others[:2]
    chosen = recommender.recommend(["A", "B"], k=2, only=["unknown", "C", "A", "C"])
    assert chosen.items == [i for i in full.items if i in "AC"]
    assert chosen.probabilities == pytest.approx(
        [p for i, p in zip(full.items, full.probabilities, strict=True) if i in "AC"]
    )
    with pytest.raises(ArgumentError, match=r"only=\['x'\]: expected at least one known id, such as A"):
        recommender.recommend(["A"], k=2, only=["x"])


def test_a_text_is_no_session(checkpoint: Path):
    with pytest.raises(ArgumentError, match="session=AB: expected a list of item ids"):
        Recommender.load(checkpoint).recommend("AB")


def test_k_is_checked(checkpoint: Path):
    with pytest.raises(ArgumentError, match="k=5: expected an integer from 1 to 4"):
        Recommender.load(checkpoint).recommend(["A"], k=5)


def test_numeric_ids_are_found_as_text(small: SessionData):
    recommender = Recommender(SRGNNSettings(4).build(3), Vocabulary([10, 20, 30]))
    assert list(recommender.recommend(["20"], 3)) == list(recommender.recommend([20], 3))


def test_similar_items_are_those_of_the_largest_cosine():
    model = SRGNNSettings(2).build(4)
    model.item_embedding.weight.data = torch.tensor([[2.0, 0], [10, 10], [0.1, 0], [-3, 0]])  # lengths do not matter
    recommender = Recommender(model, Vocabulary([10, 20, 30, 40], pl.DataFrame({"title": ["a", "b", "c", "d"]})))
    found = recommender.similar_items("10", 3)
    assert found.items == [30, 20, 40]
    assert found.cosines == pytest.approx([1, 0.5**0.5, -1])
    assert found.titles == ["c", "b", "d"]
    assert list(found) == list(zip(found.items, found.cosines, strict=True))
    assert len(recommender.similar_items(10, 1)) == 1


def test_an_embedding_of_zeros_is_similar_to_nothing():
    model = SRGNNSettings(2).build(3)
    model.item_embedding.weight.data = torch.tensor([[1.0, 0], [0, 0], [2, 1]])
    recommender = Recommender(model, Vocabulary(["A", "B", "C"]))
    assert dict(recommender.similar_items("A", 2))["B"] == 0
    assert recommender.similar_items("B", 2).cosines == [0, 0]


def test_similar_items_need_a_known_item_and_a_model_with_embeddings(checkpoint: Path, small: SessionData):
    recommender = Recommender.load(checkpoint)
    with pytest.raises(ArgumentError, match="item=x: expected an id of the vocabulary, such as A"):
        recommender.similar_items("x", 2)
    with pytest.raises(ArgumentError, match="k=4: expected an integer from 1 to 3"):
        recommender.similar_items("A", 4)
    recommender.model.item_embedding.weight.data[1] = torch.nan
    with pytest.raises(UserError, match="not finite"):
        recommender.similar_items("A", 2)
    with pytest.raises(UserError, match="The model has no item embeddings"):
        Recommender(Popularity(small.num_items), small.vocabulary).similar_items(small.vocabulary.ids[0])


def test_a_file_that_is_not_a_checkpoint_is_reported(tmp_path: Path):
    with pytest.raises(UserError, match="There is no checkpoint"):
        Recommender.load(tmp_path / "missing.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        Recommender.load(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="not a checkpoint of this project"):
        Recommender.load(tmp_path / "other.ckpt")


def test_it_needs_neither_hydra_nor_lightning(checkpoint: Path):
    code = (
        "import sys; from srgnn.recommender import Recommender\n"
        f"Recommender.load({str(checkpoint)!r}).recommend(['A'], 2)\n"
        "print([name for name in ('hydra', 'omegaconf', 'lightning', 'torchmetrics', 'wandb') if name in sys.modules])"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    process = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
