from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError
from srgnn.nn import SGNNHN, SGNNHNSettings

SESSIONS = [[1, 2, 1, 3], [4], [2, 2, 0]]
SMALL = SGNNHNSettings(hidden_size=4, positions=3)


def batch_of(sessions: list[list[int]]) -> Batch:
    graphs = SessionGraphs(Sessions.from_lists([[*clicks, 0] for clicks in sessions]), 5)
    return graphs[graphs.first[:-1]]  # the longest prefix of each session


def session_by_session(model: SGNNHN, states: Tensor, clicks: list[int]) -> Tensor:
    """The equations of one session, a node at a time; `states` are those of its distinct items, ascending."""
    items, graph = sorted(set(clicks)), batch_of([clicks])
    first, star = states, states.mean(0)
    for _ in range(model.propagation_steps):
        hidden = model.conv(states, graph.edge_index, graph.edge_weight)
        alpha = [torch.sigmoid(node @ star / 2) for node in hidden]  # 2 is the root of the width 4
        states = torch.stack([(1 - a) * node + a * star for a, node in zip(alpha, hidden, strict=True)])
        weights = torch.stack([node @ star for node in states]).softmax(0)
        star = sum(weight * node for weight, node in zip(weights, states, strict=True))
    gates = [torch.sigmoid(model.lin_highway(torch.cat([a, b]))) for a, b in zip(first, states, strict=True)]
    nodes = [g * a + (1 - g) * b for g, a, b in zip(gates, first, states, strict=True)]
    readout, positions = model.readout, model.readout.place.weight
    places = [max(0, i - max(0, len(clicks) - len(positions))) for i in range(len(clicks))]
    hidden = [nodes[items.index(item)] + positions[place] for item, place in zip(clicks, places, strict=True)]
    terms = readout.lin_last(hidden[-1]) + model.lin_star(star)
    interest = sum(readout.query(torch.sigmoid(terms + readout.lin_click(click))) * click for click in hidden)
    return readout.lin_join(torch.cat([interest, hidden[-1]]))


@pytest.mark.parametrize("steps", [1, 3])
def test_it_computes_the_equations_of_each_session(segments: str, steps: int):
    model = replace(SMALL, propagation_steps=steps).build(5)
    batch = batch_of(SESSIONS)
    items = F.normalize(model.item_embedding.weight)
    found = model.encode(items[batch.x], batch)
    expected = [session_by_session(model, items[sorted(set(clicks))], clicks) for clicks in SESSIONS]
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(model(batch), 12 * F.normalize(found) @ items.T)


@pytest.mark.parametrize("part", ["lin_star", "lin_highway", "readout.place", "conv"])
def test_each_part_matters(part: str):
    model, batch = SMALL.build(5), batch_of(SESSIONS)
    before = model(batch)
    for parameter in model.get_submodule(part).parameters():
        parameter.data += torch.rand_like(parameter)  # not a constant, which a normalised score may ignore
    assert not torch.allclose(model(batch), before)


def test_the_star_joins_items_that_were_not_clicked_one_after_the_other():
    """In 1, 2, 3 one step takes nothing from 1 to 3, but through the star."""
    model, batch = SMALL.build(5), batch_of([[1, 2, 3]])
    states = torch.randn(3, 4, requires_grad=True)
    (along,) = torch.autograd.grad(model.conv(states, batch.edge_index, batch.edge_weight)[2].sum(), states)
    assert not along[0].any()
    model.readout.readout = "local"  # only the state of 3
    (through_star,) = torch.autograd.grad(model.encode(states, batch).sum(), states)
    assert through_star[0].any()


@pytest.mark.parametrize("argument", [{"propagation_steps": 0}, {"edge_weight": "x"}, {"positions": -1}])
def test_wrong_arguments_are_reported(argument: dict):
    with pytest.raises(ArgumentError, match=f"^{next(iter(argument))}="):
        SGNNHNSettings(**argument)
