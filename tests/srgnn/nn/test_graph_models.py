"""What holds for all graph models beside the shared tests: any scale, both ways to reduce segments, odd sessions."""

from dataclasses import replace

import pytest
import torch
import torch_geometric.typing
from torch import Tensor

from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.nn import (
    GCEGNNSettings,
    NISERSettings,
    Sampling,
    SGNNHNSettings,
    SRGNNSettings,
    TAGNNSettings,
    build_loss,
)
from srgnn.nn.encoder import EncoderSettings

MODELS = {
    "NGC": SRGNNSettings(hidden_size=8, connections="global"),
    "FC": SRGNNSettings(hidden_size=8, connections="full"),
    "NISER+": NISERSettings(hidden_size=8),
    "SGNN-HN": SGNNHNSettings(hidden_size=8, propagation_steps=2),
    "GCE-GNN": GCEGNNSettings(hidden_size=8),
    "TAGNN": TAGNNSettings(hidden_size=8),
}
every_model = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)


@every_model
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "sampled_softmax"])
@pytest.mark.parametrize("scale", [None, 12.0])
def test_a_step_lowers_the_loss_with_any_scale(
    small: SessionData, settings: EncoderSettings, loss: str, scale: float | None
):
    model = replace(settings, scale=scale, dropout=0.1).build(small.num_items)
    model.observe(small.train)
    batch = SessionGraphs(small.train, small.num_items)[:50]
    function = build_loss(loss, small.train_clicks, Sampling(negatives=200))
    optimizer = torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.01)
    values = []
    for _ in range(12):
        optimizer.zero_grad()
        values.append(function(model, batch))
        values[-1].backward()
        optimizer.step()
    assert values[-1] < values[0]


@every_model
def test_both_ways_to_reduce_segments_are_equal(small: SessionData, settings: EncoderSettings, monkeypatch):
    if not torch_geometric.typing.WITH_TORCH_SCATTER:
        pytest.skip("torch-scatter is not installed: make scatter builds it")
    batch = SessionGraphs(small.train, small.num_items)[:40]

    def gradients(with_scatter: bool) -> list[Tensor]:
        monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", with_scatter)
        torch.manual_seed(0)
        model = settings.build(small.num_items)
        model.observe(small.train)
        scores = model.eval()(batch)
        torch.nn.functional.cross_entropy(scores, batch.y).backward()
        return [scores, *(parameter.grad for parameter in model.parameters())]

    for ours, theirs in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(ours, theirs)


@every_model
def test_odd_sessions_have_finite_scores_of_their_own(settings: EncoderSettings):
    """One click, one item again and again, an item that was never trained, and a session longer than all positions."""
    num_items = 9
    sessions = [[0], [8], [2] * 5, [0, 8, 0, 8], [*range(8)] * 40]
    graphs = SessionGraphs(Sessions.from_lists([[*clicks, 1] for clicks in sessions]), num_items)
    longest = graphs.first[:-1]
    model = settings.build(num_items).eval()
    model.observe(Sessions.from_lists([[0, 1, 2, 3], [4, 5, 6, 7]]))
    scores = model(graphs[longest])
    assert scores.isfinite().all()
    for row, index in zip(scores, longest.tolist(), strict=True):
        torch.testing.assert_close(model(graphs[[index]])[0], row)
    scores.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", ["NGC", "GCE-GNN"])
def test_what_is_counted_depends_on_the_training_sessions_alone(name: str):
    """The same session before and after training on other sessions, and never by evaluating it."""
    graphs = SessionGraphs(Sessions.from_lists([[0, 1, 0, 2, 3]]), 5)
    model = MODELS[name].build(5).eval()
    model.observe(Sessions.from_lists([[0, 1], [0, 1], [0, 2]]))
    counts = {key: value.clone() for key, value in model.named_buffers()}
    scores = model(graphs[[0]])
    assert torch.equal(model(graphs[[0]]), scores)
    assert all(torch.equal(value, counts[key]) for key, value in model.named_buffers())
    model.observe(Sessions.from_lists([[0, 2], [0, 2], [0, 4]]))
    assert not torch.allclose(model(graphs[[0]]), scores)
