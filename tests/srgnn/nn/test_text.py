import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError, UserError
from srgnn.evaluation import rank
from srgnn.models import TRAINED
from srgnn.nn import Sampling, SRGNNSettings, build_loss
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.text import TextItemEmbedding, start_from_texts
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.optimizer import OptimizerSettings
from srgnn.training.protocols import train
from srgnn.training.run import Run, fit

TRAINER = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
CLICKS = torch.tensor([3, 0, 2, 1, 0, 4])


def embedding(text: str = "added", normalized: bool = False) -> TextItemEmbedding:
    """Six items; the fourth and the fifth have no text, the second and the fifth were never clicked."""
    torch.manual_seed(0)
    made = TextItemEmbedding(6, 4, normalized, text)
    vectors = torch.randn(6, 3)
    vectors[3:5] = 0
    made.read_texts(vectors, CLICKS)
    return made.eval()


@pytest.fixture(scope="module")
def texts(small: SessionData) -> SessionData:
    """The small log with a vector for the text of every item but the first."""
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(small.num_items, 12, generator=generator)
    vectors[0] = 0
    return replace(small, vectors=vectors)


@pytest.mark.parametrize("length", [0.01, 1.0, 30.0])
def test_rows_of_texts_are_as_large_as_drawn_rows_however_long_the_vectors_are(length: float):
    model = SRGNNSettings(50, text="added").build(1000)
    drawn = model.item_embedding.weight.std()
    model.read_texts(length * torch.nn.functional.normalize(torch.randn(1000, 80)), torch.ones(1000))
    assert float(model.item_embedding.table().std()) == pytest.approx(float(drawn), rel=0.1)


def test_an_item_begins_as_its_text_says():
    made = embedding()
    torch.testing.assert_close(made.table()[[0, 1, 2, 5]], (made.vectors @ made.projection)[[0, 1, 2, 5]])
    assert made.weight[3:5].abs().min() > 0  # without a text, as in any model


@pytest.mark.parametrize("normalized", [False, True])
def test_lookups_scores_and_the_merged_table_are_rows_of_one_table(normalized: bool):
    made = embedding(normalized=normalized)
    made.weight.data += torch.randn(6, 4)
    table, session = made.table(), torch.randn(2, 4)
    rows = torch.nn.functional.normalize(table) if normalized else table
    merged = made.merged()
    assert type(merged) is ItemEmbedding
    for each in (made, merged):
        torch.testing.assert_close(each(torch.tensor([4, 0])), rows[[4, 0]])
        torch.testing.assert_close(each.scores(session), session @ rows.T)
    looked_up, whole = made.with_table(torch.tensor([4, 0]))
    torch.testing.assert_close(looked_up, rows[[4, 0]])
    torch.testing.assert_close(whole, rows)


@pytest.mark.parametrize("normalized", [False, True])
def test_the_map_does_not_learn_from_items_that_were_never_clicked(normalized: bool):
    made = embedding(normalized=normalized).train()
    _, table = made.with_table(torch.tensor([0, 2]))
    assert table.abs().sum(dim=1).nonzero().view(-1).tolist() == [0, 2, 3, 4, 5]
    table.sum().backward()
    torch.testing.assert_close(made.projection.grad, _gradient_without(made, 1, normalized))


def _gradient_without(made: TextItemEmbedding, row: int, normalized: bool) -> torch.Tensor:
    """The gradient of the map for the sum over the rows of all other items."""
    others = torch.arange(6) != row
    table = (made.weight.detach() + made.vectors @ made.projection)[others]
    rows = torch.nn.functional.normalize(table) if normalized else table
    return torch.autograd.grad(rows.sum(), made.projection)[0]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("text", "holds_all", "learned"),
    [("added", False, [0, 2, 3, 4, 5]), ("added", True, [3, 4]), ("only", False, [3, 4])],
)
def test_rows_are_held_at_zero_where_nothing_can_be_learned(
    text: str, holds_all: bool, learned: list[int], sparse: bool
):
    made = embedding(text)
    made.sparse, made.holds_all = sparse, holds_all
    made(torch.arange(6)).square().sum().backward()
    gradient = made.weight.grad.to_dense() if sparse else made.weight.grad
    assert gradient.abs().sum(dim=1).nonzero().view(-1).tolist() == learned
    assert made.projection.grad.abs().min() > 0


@pytest.mark.parametrize("width", [3, 9])
def test_rows_may_start_from_the_main_directions_of_the_texts(width: int):
    torch.manual_seed(0)
    made = ItemEmbedding(200, 4)
    before = made.weight.detach().clone()
    hidden = torch.randn(200, 2)
    vectors = hidden @ torch.randn(2, width)  # of two directions
    vectors[7] = 0
    start_from_texts(made, vectors)
    table = made.weight.detach()
    assert torch.equal(table[7], before[7])
    known = torch.arange(200) != 7
    of_texts, of_rows = ((x[known] - x[known].mean(dim=0)) for x in (vectors, table[:, :2]))
    cosines = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(cosines(of_texts[:50], of_texts[50:100]), cosines(of_rows[:50], of_rows[50:100]))
    assert 0.8 < table[known, : min(width, 4)].std() / before.std() < 1.2


def test_texts_that_are_all_the_same_leave_the_rows_as_they_were():
    made = ItemEmbedding(20, 4)
    before = made.weight.detach().clone()
    start_from_texts(made, torch.ones(20, 3))
    assert torch.equal(made.weight, before)


@pytest.mark.parametrize("text", ["initial", "added", "only"])
def test_a_model_that_uses_texts_needs_them(small: SessionData, text: str):
    model = SRGNNSettings(8, text=text).build(small.num_items)
    with pytest.raises(UserError, match="no vectors of the items' texts"):
        model.read_texts(None, small.train_clicks)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("loss", ["cross_entropy", "sampled_softmax"])
def test_every_model_learns_the_map_of_the_texts(texts: SessionData, name: str, loss: str):
    model = TRAINED[name](text="added").build(texts.num_items)
    model.observe(texts.train)
    model.read_texts(texts.vectors, texts.train_clicks)
    function = build_loss(loss, texts.train_clicks, Sampling(negatives=50))
    function(model, SessionGraphs(texts.train, texts.num_items)[:50]).backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    assert model.item_embedding.projection.grad.abs().min() > 0


@pytest.mark.parametrize("name", ["SR-GNN", "TAGNN", "FPMC"])
@pytest.mark.parametrize("text", ["initial", "added", "only"])
def test_a_model_with_texts_is_restored_from_its_checkpoint(texts: SessionData, name: str, text: str, tmp_path: Path):
    run = Run(tmp_path, TRAINED[name](hidden_size=8, text=text), max_epochs=1, refit=False, trainer=TRAINER)
    result = train(run, texts)
    checkpoint = Checkpoint.load(result.checkpoint)
    restored, graphs = checkpoint.build_model(), SessionGraphs(texts.test, texts.num_items)
    assert type(restored.item_embedding) is ItemEmbedding
    assert torch.equal(rank(restored, graphs).ranks, result.test.ranks)
    trained = run.model.build(texts.num_items)
    trained.load_state_dict(checkpoint.weights)
    torch.testing.assert_close(restored(graphs[:20]), trained.eval()(graphs[:20]))


def test_the_first_stage_trains_the_map_alone_and_the_second_everything(texts: SessionData, tmp_path: Path):
    optimizer = OptimizerSettings(weight_decay=0.1)
    options = {"refit": False, "text_first": 1, "optimizer": optimizer, "trainer": TRAINER}
    run = Run(tmp_path, SRGNNSettings(8, text="added"), max_epochs=2, **options)
    train_part, _ = texts.train.split_latest(run.valid_fraction)
    fit(run, run.record(texts, "refit"), train_part, None, 1, vectors=texts.vectors)
    assert not Checkpoint.load(tmp_path / "refit.ckpt").weights["item_embedding.weight"][1:].any()
    train(run, texts)
    rows = Checkpoint.load(tmp_path / "last.ckpt").weights["item_embedding.weight"]
    clicked = train_part.items.unique()
    assert (rows[clicked].abs().sum(dim=1) > 0).all()
    never = torch.ones(texts.num_items, dtype=torch.bool).index_fill(0, clicked.long(), False)
    never[0] = False
    assert not rows[never].any()


def test_a_first_stage_that_is_resumed_in_its_middle_holds_the_rows(texts: SessionData, tmp_path: Path):
    class Stop(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.save_checkpoint(tmp_path / "last.ckpt")
            raise KeyboardInterrupt

    run = Run(tmp_path, SRGNNSettings(8, text="added"), max_epochs=2, text_first=1, batch_size=50, trainer=TRAINER)
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        fit(run, run.record(texts, "refit"), texts.train, None, 1, callbacks=[Stop()], vectors=texts.vectors)
    fit(run, run.record(texts, "refit"), texts.train, None, 1, resume=tmp_path / "last.ckpt", vectors=texts.vectors)
    assert not Checkpoint.load(tmp_path / "refit.ckpt").weights["item_embedding.weight"][1:].any()


@pytest.mark.parametrize("text", ["none", "initial", "only"])
def test_a_first_stage_needs_rows_of_ids_to_hold(text: str, tmp_path: Path):
    with pytest.raises(ArgumentError, match="text_first"):
        Run(tmp_path, SRGNNSettings(8, text=text), text_first=1)


def test_a_first_stage_ends_before_the_training_does(tmp_path: Path):
    with pytest.raises(ArgumentError, match="text_first=2: expected fewer epochs than max_epochs, 2"):
        Run(tmp_path, SRGNNSettings(8, text="added"), max_epochs=2, text_first=2)


def test_a_run_resumes_with_the_vectors_that_it_began_with(texts: SessionData, tmp_path: Path):
    before, other = (
        replace(texts, manifest=texts.manifest | {"vectors": {"sources": {"vectors.parquet": digest}}})
        for digest in ("one", "two")
    )
    run = Run(tmp_path, SRGNNSettings(8, text="added"), max_epochs=1, refit=False, trainer=TRAINER)
    train(run, before)
    with pytest.raises(UserError, match="was trained with other vectors of the items' texts"):
        train(replace(run, max_epochs=2), other, resume=tmp_path / "last.ckpt")
    train(replace(run, max_epochs=2), before, resume=tmp_path / "last.ckpt")


def test_what_was_learned_of_an_item_without_new_clicks_is_kept_by_a_resumed_run(texts: SessionData, tmp_path: Path):
    options = {"refit": False, "protocol": "paper", "trainer": TRAINER}
    first = train(Run(tmp_path / "first", SRGNNSettings(8, text="added"), max_epochs=1, **options), texts).checkpoint
    item = int(texts.train.items.mode().values)
    lists = [clicks.tolist() for clicks in texts.train]
    newer = replace(texts, train=Sessions.from_lists([clicks for clicks in lists if item not in clicks]))
    run = Run(tmp_path / "whole", SRGNNSettings(8, text="added"), max_epochs=2, init_from=first, **options)
    whole = train(run, newer).checkpoint
    stopped = replace(run, folder=tmp_path / "stopped")
    train(replace(stopped, max_epochs=1), newer)
    resumed = train(stopped, newer, resume=stopped.folder / "last.ckpt").checkpoint
    for name, weight in Checkpoint.load(whole).weights.items():
        assert torch.equal(weight, Checkpoint.load(resumed).weights[name])
