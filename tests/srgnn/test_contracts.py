"""The shared tests of the contracts: every entry of a registry meets its contract, including new ones."""

from pathlib import Path

import pytest
import torch

from srgnn.data import SessionData
from srgnn.data.graphs import SessionGraphs
from srgnn.evaluation import evaluate
from srgnn.models import MODELS, TRAINED
from srgnn.nn import LOSSES, Sampling, build_loss
from srgnn.recommender import Recommender
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.protocols import train
from srgnn.training.run import Run


@pytest.mark.parametrize("name", MODELS)
def test_every_model_maps_sessions_to_scores(small: SessionData, name: str):
    graphs = SessionGraphs(small.test, small.num_items)
    model = MODELS[name]().build(small.num_items)
    model.observe(small.train)
    model.eval()
    scores = model(graphs[:7])
    assert scores.shape == (7, small.num_items)
    assert scores.isfinite().all()
    assert torch.equal(scores, model(graphs[:7]))
    for i in range(7):  # independent of the other sessions of the batch
        torch.testing.assert_close(scores[i : i + 1], model(graphs[[i]]))
    probabilities = model.probabilities(scores)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(7))
    assert (probabilities.diff(dim=1) * scores.diff(dim=1) >= 0).all()  # in the order of the scores


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_model_learns_with_every_loss(small: SessionData, name: str, loss: str):
    model = TRAINED[name]().build(small.num_items)
    model.observe(small.train)
    graphs = SessionGraphs(small.train, small.num_items)
    clicks = torch.bincount(small.train.items, minlength=small.num_items)
    function = build_loss(loss, clicks, Sampling(negatives=50))
    modules = torch.nn.ModuleList([model, function])
    before = {name: buffer.clone() for name, buffer in modules.named_buffers()}
    value = function(model, graphs[:50])
    assert value.shape == ()
    value.backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in modules.named_buffers())  # DDP leaves them alone
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_restored_from_its_checkpoint(small: SessionData, name: str, tmp_path: Path):
    trainer = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
    run = Run(tmp_path, MODELS[name](), max_epochs=1, refit=False, trainer=trainer)
    result = train(run, small)
    checkpoint = Checkpoint.load(result.checkpoint)
    assert checkpoint.record.architecture == name
    assert (result.chosen is not None) == MODELS[name].has_weights == (name in TRAINED)
    restored = checkpoint.build_model()
    assert evaluate(restored, SessionGraphs(small.test, small.num_items), run.k).items() <= result.metrics.items()
    if result.chosen is not None:
        _, validation = small.train.split_latest(run.valid_fraction)
        metrics = evaluate(restored, SessionGraphs(validation, small.num_items), run.k)
        assert metrics == {metric: result.chosen[metric] for metric in metrics}  # those of the model in training
    best = Recommender(restored, small.vocabulary).recommend(small.vocabulary.ids[:2], k=3)
    assert list(best.probabilities) == sorted(best.probabilities, reverse=True)
