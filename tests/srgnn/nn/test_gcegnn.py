import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError
from srgnn.nn import GCEGNN, GCEGNNSettings
from srgnn.nn.gcegnn import BOTH, IN, OUT, SELF, GlobalGraph, typed_edges

# In one session 0 and 1 are neighbours, 2 is near both; item 5 has no neighbour.
TRAIN = Sessions.from_lists([[0, 1], [0, 1], [1, 0, 2], [3, 4, 3], [5]])
NEIGHBORS = {0: {1: 3, 2: 1}, 1: {0: 3, 2: 1}, 2: {0: 1, 1: 1}, 3: {3: 2, 4: 2}, 4: {3: 2}, 5: {}}
SESSIONS = [[0, 1, 0, 2, 3], [5], [4, 4, 0]]
SMALL = GCEGNNSettings(hidden_size=4, reversed_positions=3)


def batch_of(sessions: list[list[int]]) -> Batch:
    graphs = SessionGraphs(Sessions.from_lists([[*clicks, 0] for clicks in sessions]), 6)
    return graphs[graphs.first[:-1]]  # the longest prefix of each session


def model_of(settings: GCEGNNSettings = SMALL) -> GCEGNN:
    model = settings.build(6)
    model.observe(TRAIN)
    return model.eval()


def neighbors_of(graph: GlobalGraph) -> dict[int, dict[int, float]]:
    pairs = zip(graph.neighbor.tolist(), graph.weight.tolist(), strict=True)
    return {i: {j: w for j, w in zip(*pair, strict=True) if w} for i, pair in enumerate(pairs)}


def test_the_global_graph_counts_items_near_each_other():
    graph = GlobalGraph(6, distance=3, neighbors=4)
    graph.observe(TRAIN)
    assert neighbors_of(graph) == NEIGHBORS
    near = GlobalGraph(6, distance=1, neighbors=4)
    near.observe(TRAIN)
    assert neighbors_of(near) == NEIGHBORS | {1: {0: 3}, 2: {0: 1}, 3: {4: 2}}


def test_the_neighbours_of_the_largest_weights_are_kept_and_ties_are_by_item():
    graph = GlobalGraph(6, distance=3, neighbors=1)
    graph.observe(TRAIN)
    assert neighbors_of(graph) == {0: {1: 3}, 1: {0: 3}, 2: {0: 1}, 3: {3: 2}, 4: {3: 2}, 5: {}}


def test_edges_have_the_type_of_their_direction():
    """0 -> 1 -> 0 -> 2 -> 2: 0 and 1 follow each other, 2 follows 0 and itself."""
    edges = typed_edges(torch.tensor([[0, 0, 1, 2], [1, 2, 0, 2]]), 4)
    found = {(node, neighbor): kind for node, neighbor, kind in zip(*(part.tolist() for part in edges), strict=True)}
    expected = {(node, node): SELF for node in range(4)}
    assert found == expected | {(0, 1): BOTH, (1, 0): BOTH, (0, 2): OUT, (2, 0): IN}
    assert len(edges[0]) == len(found)
    assert edges[0].tolist() == sorted(edges[0].tolist())


def session_by_session(model: GCEGNN, items: Tensor, clicks: list[int]) -> Tensor:
    """The equations of one session, an item at a time."""
    mean = torch.stack([items[item] for item in clicks]).mean(0)
    pairs, states = set(itertools.pairwise(clicks)), {}
    for i in set(clicks):
        around = torch.zeros(4)
        if NEIGHBORS[i]:
            attention = model.from_global
            seen = [torch.cat([mean * items[j], torch.tensor([float(w)])]) for j, w in NEIGHBORS[i].items()]
            logits = [attention.query(F.leaky_relu(attention.lin_neighbor(part), 0.2)) for part in seen]
            weights = torch.cat(logits).softmax(0)
            around = sum(weight * items[j] for weight, j in zip(weights, NEIGHBORS[i], strict=True))
        of_global = torch.relu(model.from_global.lin_join(torch.cat([items[i], around])))
        logits, near = [], []
        for j in set(clicks):
            kind = SELF if i == j else {(1, 1): BOTH, (1, 0): OUT, (0, 1): IN}.get(((i, j) in pairs, (j, i) in pairs))
            if kind is not None:
                near.append(items[j])
                logits.append(F.leaky_relu(model.from_session.edge_type.weight[kind] @ (items[i] * items[j]), 0.2))
        weights = torch.stack(logits).softmax(0)
        states[i] = of_global + sum(weight * item for weight, item in zip(weights, near, strict=True))
    hidden = [states[item] for item in clicks]
    total, of_mean = torch.zeros(4), model.lin_mean(torch.stack(hidden).mean(0))
    for distance, click in enumerate(reversed(hidden)):
        placed = torch.tanh(model.lin_position(torch.cat([model.position.weight[min(distance, 2)], click])))
        total = total + model.query(torch.sigmoid(model.lin_click(placed) + of_mean)) * click
    return total


def test_it_computes_the_equations_of_each_session(segments: str):
    model, batch = model_of(), batch_of(SESSIONS)
    items = model.item_embedding.weight
    expected = torch.stack([session_by_session(model, items, clicks) for clicks in SESSIONS])
    torch.testing.assert_close(model.session_embedding(batch), expected)
    torch.testing.assert_close(model(batch), expected @ items.T)


@pytest.mark.parametrize("part", ["from_global", "from_session", "position", "lin_mean"])
def test_each_part_matters(part: str):
    model, batch = model_of(), batch_of(SESSIONS)
    before = model(batch)
    for parameter in model.get_submodule(part).parameters():
        parameter.data += torch.rand_like(parameter)
    assert not torch.allclose(model(batch), before)


def test_a_neighbour_that_is_not_in_the_session_matters_and_no_other_item_does():
    model, batch = model_of(), batch_of([[0]])
    before = model.session_embedding(batch)
    for item, matters in ((2, True), (3, False)):
        model.item_embedding.weight.data[item] += 1
        assert torch.allclose(model.session_embedding(batch), before) is not matters
        model.item_embedding.weight.data[item] -= 1


def test_dropout_of_the_global_states_applies_only_in_training():
    model, batch = model_of(), batch_of(SESSIONS)
    assert torch.equal(model(batch), model(batch))
    model.train()
    assert not torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("train", [None, Sessions.from_lists([[0], [1]])])
def test_without_neighbours_the_session_graph_remains(train: Sessions | None):
    model = SMALL.build(6)
    if train is not None:
        model.observe(train)
    scores = model(batch_of(SESSIONS))
    assert scores.isfinite().all()
    scores.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_both_graphs_stay_in_a_checkpoint(small: SessionData):
    model, other = (GCEGNNSettings(4).build(small.num_items).eval() for _ in range(2))
    model.observe(small.train)
    other.load_state_dict(model.state_dict())
    batch = SessionGraphs(small.test, small.num_items)[:20]
    assert torch.equal(model(batch), other(batch))


WRONG = [{"distance": 0}, {"neighbors": 0}, {"global_dropout": 1.0}, {"reversed_positions": 0}]


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_arguments_are_reported(argument: dict):
    with pytest.raises(ArgumentError, match=f"^{next(iter(argument))}="):
        GCEGNNSettings(**argument)
