"""The shared tests of the contracts: every entry of a registry meets its contract, including new ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from srgnn.baselines import BASELINES
from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.evaluation import evaluate
from srgnn.nn import LOSSES, MODELS, Sampling, build_loss
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.protocols import train
from srgnn.training.run import Run


def untrained(name: str) -> Callable[[Sessions, int], torch.nn.Module]:
    return lambda sessions, num_items: MODELS[name]().build(num_items).eval()


@pytest.mark.parametrize("name", [*BASELINES, *MODELS])
def test_every_model_maps_sessions_to_scores(small: SessionData, name: str):
    graphs = SessionGraphs(small.test, small.num_items)
    model = (BASELINES.get(name) or untrained(name))(small.train, small.num_items)
    scores = model(graphs[:7])
    assert scores.shape == (7, small.num_items)
    assert scores.isfinite().all()
    assert torch.equal(scores, model(graphs[:7]))
    for i in range(7):  # independent of the other sessions of the batch
        torch.testing.assert_close(scores[i : i + 1], model(graphs[[i]]))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_model_learns_with_every_loss(small: SessionData, name: str, loss: str):
    model = MODELS[name]().build(small.num_items)
    graphs = SessionGraphs(small.train, small.num_items)
    clicks = torch.bincount(small.train.items, minlength=small.num_items)
    function = build_loss(loss, clicks, Sampling(negatives=50))
    value = function(model, graphs[:50])
    assert value.shape == ()
    value.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_restored_from_its_checkpoint(small: SessionData, name: str, tmp_path: Path):
    trainer = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
    run = Run(tmp_path, MODELS[name](), max_epochs=1, refit=False, trainer=trainer)
    result = train(run, small)
    checkpoint = Checkpoint.load(result.checkpoint)
    assert checkpoint.record.architecture == name
    _, validation = small.train.split_latest(run.valid_fraction)
    metrics = evaluate(checkpoint.build_model(), SessionGraphs(validation, small.num_items), run.k)
    assert metrics == {metric: result.chosen[metric] for metric in metrics}  # those of the model in training
