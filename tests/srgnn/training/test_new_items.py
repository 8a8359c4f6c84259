from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from srgnn.data import SessionData, Vocabulary
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.models import TRAINED
from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord
from srgnn.training.new_items import add_items, take_over
from srgnn.training.optimizer import OptimizerSettings
from srgnn.training.protocols import train
from srgnn.training.run import Run

IDS = ["A", "B", "C", "D"]
TRAINER = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}


def saved(name: str = "SR-GNN", **arguments: Any) -> Checkpoint:
    settings = TRAINED[name](**{"hidden_size": 4, **arguments})
    about = {"num_items": 4, **asdict(settings)}
    record = CheckpointRecord(about, IDS, history=[{"epoch": 1}], architecture=name, clicks=[3, 5, 0, 4])
    return Checkpoint(record, settings.build(4).state_dict())


def test_a_new_item_is_the_mean_of_those_it_resembles_and_the_old_ones_stay():
    before = saved()
    grown = add_items(before, {"new": ["A", "B"], "other": torch.ones(4)}, titles={"new": "A lamp"})
    table, old = grown.weights["item_embedding.weight"], before.weights["item_embedding.weight"]
    assert torch.equal(table[:4], old)
    torch.testing.assert_close(table[4], (old[0] + old[1]) / 2)
    assert table[5].tolist() == [1, 1, 1, 1]
    record = grown.record
    assert record.vocabulary == [*IDS, "new", "other"]
    assert record.titles == [None, None, None, None, "A lamp", None]
    assert record.clicks == [3, 5, 0, 4, 0, 0]
    assert record.history == before.record.history
    assert [(each["id"], each["like"]) for each in record.added] == [("new", ["A", "B"]), ("other", None)]


def test_rows_count_with_length_1_where_cosines_are_scored():
    before = saved(scale=12.0)
    before.weights["item_embedding.weight"][0] *= 1000
    row = add_items(before, {"new": ["A", "B"]}).weights["item_embedding.weight"][4]
    cosines = torch.cosine_similarity(row.view(1, -1), before.weights["item_embedding.weight"][:2])
    torch.testing.assert_close(cosines[0], cosines[1])


def test_a_new_item_of_a_model_that_knows_texts_gets_its_row_from_its_text(tmp_path: Path):
    model = SRGNNSettings(4, text="added").build(4)
    model.read_texts(torch.randn(4, 3), torch.ones(4))
    model.item_embedding.weight.data.normal_()
    before = saved(text="added")
    before = Checkpoint(before.record, model.state_dict())
    vector = before.weights["item_embedding.vectors"][0] * 2
    grown = add_items(before, {"new": vector, "mean": ["A", "B"]})
    table, old = grown.build_model().item_embedding.weight, before.build_model().item_embedding.weight
    assert torch.equal(table[:4], old)
    torch.testing.assert_close(table[4], vector @ model.item_embedding.projection)
    torch.testing.assert_close(table[5], (old[0] + old[1]) / 2)
    with pytest.raises(UserError, match="a vector of 3 finite numbers"):
        add_items(before, {"new": torch.ones(4)})


def test_a_training_begins_with_a_checkpoint_only_if_its_texts_are_of_one_language_model():
    vectors = torch.eye(4, 3)  # the last item has no text
    model = SRGNNSettings(4, text="added").build(4)
    model.read_texts(vectors, torch.ones(4))
    before = Checkpoint(saved(text="added").record, model.state_dict())
    other = SRGNNSettings(4, text="added").build(4)
    other.read_texts(torch.randn(4, 5), torch.ones(4))
    with pytest.raises(UserError, match=r"texts have 5 numbers, and those of the checkpoint have 3: use the same"):
        take_over(other, IDS, before)
    other.read_texts(vectors.flip(1), torch.ones(4))
    with pytest.raises(UserError, match=r"are not those of the checkpoint \(half of the items .* 0.9\): use the same"):
        take_over(other, IDS, before)
    same = SRGNNSettings(4, text="added").build(4)
    vectors[0] = torch.tensor([-1.0, 0, 0])  # one title is another
    vectors[3, 0] = 1  # a text that is new
    same.read_texts(vectors, torch.ones(4))
    take_over(same, IDS, before)
    assert torch.equal(same.item_embedding.projection, model.item_embedding.projection)


def test_a_new_item_is_recommended_after_it_was_saved(tmp_path: Path):
    add_items(saved("FPMC"), {"new": ["A"]}).save(tmp_path / "new.ckpt")
    found = Recommender.load(tmp_path / "new.ckpt").recommend(["new", "B"], k=5)
    assert not found.skipped
    scores = dict(found)
    assert scores["new"] == pytest.approx(scores["A"], rel=1e-5)
    assert add_items(Checkpoint.load(tmp_path / "new.ckpt"), {"more": ["new"]}).record.vocabulary[-2:] == [
        "new",
        "more",
    ]


@pytest.mark.parametrize(
    ("name", "items", "sentence"),
    [
        ("SR-GNN", {"A": ["B"]}, "items=A: expected an id that the checkpoint does not have yet"),
        ("SR-GNN", {7: ["B"]}, "items=7: expected ids of the type of the others, str"),
        ("SR-GNN", {"new": ["A", "x"]}, "x is not one of them"),
        ("SR-GNN", {"new": []}, "expected a list of ids of similar items"),
        ("SR-GNN", {"new": "AB"}, "expected a list of ids of similar items"),
        ("SR-GNN", {"new": torch.ones(3)}, "expected a vector of 4 finite numbers"),
        ("SR-GNN", {"new": torch.full((4,), torch.nan)}, "expected a vector of 4 finite numbers"),
        ("FPMC", {"new": torch.ones(4)}, "more than one vector per item"),
        ("GCE-GNN", {"new": ["A"]}, "keeps counts of its training sessions"),
    ],
)
def test_what_cannot_be_added_gives_one_sentence(name: str, items: dict[Any, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        add_items(saved(name), items)


def test_a_title_of_another_item_gives_one_sentence():
    with pytest.raises(UserError, match=r"^titles=nwe: expected ids of the new items"):
        add_items(saved(), {"new": ["A"]}, titles={"nwe": "A lamp"})


def test_rows_are_taken_over_by_raw_id_and_new_ids_keep_theirs():
    model, before = SRGNNSettings(4).build(3), saved()
    fresh = model.item_embedding.weight.detach().clone()
    take_over(model, ["D", "new", "B"], before)
    table = before.weights["item_embedding.weight"]
    assert torch.equal(model.item_embedding.weight, torch.stack([table[3], fresh[1], table[1]]))
    assert torch.equal(model.readout.lin_join.weight, before.weights["readout.lin_join.weight"])


def test_training_begins_with_the_weights_of_a_checkpoint(small: SessionData, tmp_path: Path):
    settings = SRGNNSettings(8)
    first = train(Run(tmp_path / "1", settings, max_epochs=1, refit=False, trainer=TRAINER), small)
    ids = small.vocabulary.ids[::-1]  # newer data numbers the items in another order, and has one more
    items = len(ids) - 1 - small.train.items, len(ids) - 1 - small.test.items
    newer = SessionData(
        Sessions(items[0], small.train.ptr), Sessions(items[1], small.test.ptr), Vocabulary([*ids, "new"]), {}
    )
    still = OptimizerSettings(lr=1e-12)  # so that the weights at the end are those at the beginning
    run = Run(
        tmp_path / "2", settings, max_epochs=1, optimizer=still, init_from=first.checkpoint, refit=True, trainer=TRAINER
    )
    before, after = Checkpoint.load(first.checkpoint), Checkpoint.load(train(run, newer).checkpoint)
    assert after.record.stage == "refit"
    assert after.record.init_from == str(first.checkpoint)
    assert after.record.vocabulary == [*ids, "new"]
    table = before.weights.pop("item_embedding.weight")
    torch.testing.assert_close(after.weights.pop("item_embedding.weight")[:-1].flip(0), table)
    torch.testing.assert_close(after.weights, before.weights)


@pytest.mark.parametrize("settings", [SRGNNSettings(5), TRAINED["STAMP"](4), TRAINED["NISER+"](4)])
def test_another_model_or_width_is_refused_in_one_sentence(tmp_path: Path, settings: Any):
    saved().save(tmp_path / "model.ckpt")
    with pytest.raises(UserError, match=r"init_from=.*model.ckpt: its weights are those of SR-GNN.*choose the model"):
        Run(tmp_path / "run", settings, init_from=tmp_path / "model.ckpt")
    with pytest.raises(UserError, match="There is no checkpoint"):
        Run(tmp_path / "run", settings, init_from=tmp_path / "none.ckpt")
