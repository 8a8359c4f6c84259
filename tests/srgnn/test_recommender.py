import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

from srgnn.baselines import Popularity
from srgnn.data import SessionData, Vocabulary
from srgnn.errors import ArgumentError, UserError
from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = SRGNNSettings(8).build(4)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    about = {"model": {"num_items": 4, "hidden_size": 8}, "vocabulary": ["A", "B", "C", "D"]}
    torch.save({"state_dict": state, "srgnn": about}, tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def test_raw_ids_in_and_raw_ids_with_probabilities_out(checkpoint: Path):
    found = Recommender.load(checkpoint).recommend(["A", "B", "A"], k=4)
    assert sorted(found.items) == ["A", "B", "C", "D"]
    assert found.probabilities == sorted(found.probabilities, reverse=True)
    assert sum(found.probabilities) == pytest.approx(1)
    assert list(found) == list(zip(found.items, found.probabilities, strict=True))


def test_unknown_ids_are_skipped_and_listed(checkpoint: Path):
    recommender = Recommender.load(checkpoint)
    found = recommender.recommend(["A", "x", "B", 7], k=2)
    assert found.skipped == ["x", 7]
    assert list(found) == list(recommender.recommend(["A", "B"], k=2))


@pytest.mark.parametrize("session", [[], ["x", "y"]])
def test_a_session_without_a_known_id_gives_one_sentence(checkpoint: Path, session):
    with pytest.raises(UserError, match="No item of the session is known"):
        Recommender.load(checkpoint).recommend(session, k=2)


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
        "print([name for name in ('hydra', 'omegaconf', 'lightning', 'wandb') if name in sys.modules])"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    process = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
