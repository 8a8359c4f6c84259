from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError
from srgnn.nn import TAGNN, Sampling, TAGNNSettings, build_loss

SESSIONS = [[1, 2, 1, 3], [4], [2, 2, 0]]
SMALL = TAGNNSettings(hidden_size=4)


def batch_of(sessions: list[list[int]]) -> Batch:
    graphs = SessionGraphs(Sessions.from_lists([[*clicks, 0] for clicks in sessions]), 5)
    return graphs[graphs.first[:-1]]  # the longest prefix of each session


def item_by_item(model: TAGNN, clicks: list[int]) -> Tensor:
    """The equations of one session, one item to score after the other, with a session embedding for each."""
    items, graph, readout = model.item_embedding.weight, batch_of([clicks]), model.readout
    if model.scale is not None:
        items = F.normalize(items)
    distinct = sorted(set(clicks))
    nodes = model.conv(items[distinct], graph.edge_index, graph.edge_weight)
    states = torch.stack([nodes[distinct.index(item)] for item in clicks])
    gates = [readout.query(torch.sigmoid(readout.lin_last(states[-1]) + readout.lin_click(state))) for state in states]
    interest = torch.cat(gates).softmax(0) @ states
    joint = readout.lin_join(torch.cat([interest, states[-1]]))
    scores = []
    for item in items:
        attention = torch.stack([item @ model.lin_query(state) for state in states]).softmax(0)
        if model.scale is None:
            session = model.lin_target(attention @ states) + joint
        else:
            targets = torch.stack([F.normalize(model.lin_target(state), dim=0) for state in states])
            session = model.scale * (attention @ targets + F.normalize(joint, dim=0))
        scores.append(item @ session)
    return torch.stack(scores)


@pytest.mark.parametrize("scale", [None, 12])
@pytest.mark.parametrize("chunk", [1, 12, 2**22])
def test_it_computes_the_equations_of_each_session(segments: str, monkeypatch, scale: float | None, chunk: int):
    monkeypatch.setattr("srgnn.nn.tagnn.NUMBERS_PER_CHUNK", chunk)
    model, batch = replace(SMALL, scale=scale).build(5), batch_of(SESSIONS)
    expected = torch.stack([item_by_item(model, clicks) for clicks in SESSIONS])
    torch.testing.assert_close(model(batch), expected)
    with torch.inference_mode():
        torch.testing.assert_close(model(batch), expected)
    torch.testing.assert_close(model.scores_of(batch, torch.tensor([3, 0, 3])), expected[:, [3, 0, 3]])


@pytest.mark.parametrize("scale", [None, 12])
def test_chunks_have_the_gradient_of_the_plain_path(segments: str, monkeypatch, scale: float | None):
    monkeypatch.setattr("srgnn.nn.tagnn.NUMBERS_PER_CHUNK", 12)  # two items
    model, batch = replace(SMALL, scale=scale).build(5).double(), batch_of(SESSIONS)
    batch.edge_weight = batch.edge_weight.double()
    parameters = list(model.parameters())
    plain = torch.stack([item_by_item(model, clicks) for clicks in SESSIONS])
    expected = torch.autograd.grad(F.cross_entropy(plain, batch.y), parameters)
    for scores in (model(batch), model.scores_of(batch, torch.arange(5))):
        gradients = torch.autograd.grad(F.cross_entropy(scores, batch.y), parameters)
        for ours, theirs in zip(gradients, expected, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("part", ["lin_query", "lin_target", "readout", "conv"])
def test_each_part_matters(part: str):
    model, batch = SMALL.build(5), batch_of(SESSIONS)
    before = model(batch)
    for parameter in model.get_submodule(part).parameters():
        parameter.data += torch.rand_like(parameter)
    assert not torch.allclose(model(batch), before)


def test_a_second_click_counts_twice():
    """Without propagation, 1, 2, 2 and 1, 2 have the same states and the same last click."""
    model = replace(SMALL, propagation_steps=0).build(5)
    assert not torch.allclose(model(batch_of([[1, 2, 2]])), model(batch_of([[1, 2]])))
    model.readout.lin_join.weight.data[:, :4] = 0  # not by the readout's own attention
    assert not torch.allclose(model(batch_of([[1, 2, 2]])), model(batch_of([[1, 2]])))


def test_the_memory_of_a_step_does_not_grow_with_the_products(monkeypatch):
    """Counts the numbers that autograd keeps for a step: fewer than one product of each node with each item."""
    monkeypatch.setattr("srgnn.nn.tagnn.NUMBERS_PER_CHUNK", 1000)
    model = SMALL.build(2000)
    sessions = Sessions.from_lists([[*range(i, i + 10)] for i in range(5)])
    graphs = SessionGraphs(sessions, 2000)
    batch, kept = graphs[graphs.first[:-1]], []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda x: x):
        model(batch)
    assert sum(kept) < batch.x.numel() * 2000


def test_without_propagation_the_graph_layer_is_not_trained():
    model = replace(SMALL, propagation_steps=0).build(5)
    model(batch_of(SESSIONS)).sum().backward()
    assert all((parameter.grad is not None) is parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "sampled_softmax"])
def test_it_learns_what_follows(small: SessionData, loss: str):
    graphs = SessionGraphs(small.train, small.num_items)
    batch = graphs[:64]
    model = TAGNNSettings(8).build(small.num_items)
    function = build_loss(loss, small.train_clicks, Sampling(negatives=64))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        values.append(function(model, batch))
        values[-1].backward()
        optimizer.step()
    assert values[-1] < 0.8 * values[0]


@pytest.mark.parametrize("argument", [{"propagation_steps": -1}, {"edge_weight": "x"}, {"scale": 0}])
def test_wrong_arguments_are_reported(argument: dict):
    with pytest.raises(ArgumentError, match=f"^{next(iter(argument))}="):
        TAGNNSettings(**argument)
