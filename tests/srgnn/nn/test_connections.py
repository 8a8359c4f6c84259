import pytest
import torch
from torch_geometric.data import Batch

from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs, session_graph
from srgnn.errors import ArgumentError
from srgnn.nn import SRGNNSettings
from srgnn.nn.connections import PairCounts, full_connections
from srgnn.nn.conv import SessionGraphConv

# 0 is followed by 1 three times and by 2 once; 2 is followed by 1 once.
TRAIN = Sessions.from_lists([[0, 1], [0, 1], [0, 1], [0, 2, 1]])
SESSIONS = [[3, 1, 3, 2], [0], [2, 2], [0, 2, 1, 0, 4]]


def batch_of(sessions: list[list[int]]) -> Batch:
    return SessionGraphs(Sessions.from_lists([[*clicks, 0] for clicks in sessions]), 5)[
        [sum(map(len, sessions[:i])) for i in range(len(sessions))]
    ]


def test_edges_are_weighted_by_the_clicks_in_training():
    pairs = PairCounts(5)
    first, second = torch.tensor([0, 0, 2, 1, 4]), torch.tensor([1, 2, 1, 0, 4])
    assert pairs(first, second).tolist() == [1, 1, 1, 1, 1]  # before the counts are there
    pairs.observe(TRAIN)
    assert pairs(first, second).tolist() == [3, 1, 1, 1, 1]  # the last two were never clicked in training


def test_of_training_sessions_without_a_pair_all_edges_count_once():
    pairs = PairCounts(5)
    pairs.observe(Sessions.from_lists([[0], [1]]))
    assert pairs(torch.tensor([0]), torch.tensor([1])).tolist() == [1]


def test_global_connections_divide_the_clicks_in_training_by_those_of_the_neighbours(segments: str):
    """Of 0 -> 1 -> 0 -> 2: the state of 0 averages its successors 1 and 2 with weights 3/4 and 1/4."""
    model = SRGNNSettings(4, connections="global", edge_weight="binary").build(5)
    model.observe(TRAIN)
    states, graph = torch.randn(3, 4), batch_of([[0, 1, 0, 2]])
    conv = model.conv
    out = conv.lin_out(states)
    a_in = torch.stack([conv.lin_in(states)[1], conv.lin_in(states)[0], conv.lin_in(states)[0]]) + conv.bias_in
    a_out = torch.stack([0.75 * out[1] + 0.25 * out[2], out[0], torch.zeros(4)]) + conv.bias_out
    expected = conv.gru(torch.cat([a_in, a_out], dim=1), states)
    weight = model.pairs(*graph.x[graph.edge_index])
    torch.testing.assert_close(conv(states, graph.edge_index, weight), expected)
    before = model.encode(states, graph)
    torch.testing.assert_close(before, model.readout(expected, graph.alias_index, graph.batch, 1))
    model.observe(Sessions.from_lists([[0, 1], [0, 2], [0, 2]]))
    assert not torch.allclose(before, model.encode(states, graph))  # the counts matter


def test_full_connections_join_each_item_with_all_later_ones():
    batch, expected = batch_of(SESSIONS), set()
    for number, clicks in enumerate(SESSIONS):
        node = {int(batch.x[i]): i for i in range(int(batch.ptr[number]), int(batch.ptr[number + 1]))}
        expected |= {(node[one], node[other]) for i, one in enumerate(clicks) for other in clicks[i + 1 :]}
    found = [tuple(edge) for edge in full_connections(batch).T.tolist()]
    assert found == sorted(expected)
    listed = Batch.from_data_list([session_graph(torch.tensor(clicks)) for clicks in SESSIONS])
    assert torch.equal(full_connections(listed), full_connections(batch))


def test_full_connections_are_appended_to_those_of_the_clicks(segments: str):
    """0 -> 1 -> 2 has the appended edges 0 -> 1, 0 -> 2 and 1 -> 2."""
    conv, x = SessionGraphConv(4, appended=True), torch.randn(3, 4)
    graph = batch_of([[0, 1, 2]])
    zero = torch.zeros(4)
    into, out = conv.lin_in(x), conv.lin_out(x)
    full_into, full_out = conv.lin_appended_in(x), conv.lin_appended_out(x)
    parts = [
        torch.stack([zero, into[0], into[1]]) + conv.bias_in,
        torch.stack([out[1], out[2], zero]) + conv.bias_out,
        torch.stack([zero, full_into[0], (full_into[0] + full_into[1]) / 2]),
        torch.stack([(full_out[1] + full_out[2]) / 2, full_out[2], zero]),
    ]
    found = conv(x, graph.edge_index, graph.edge_weight, full_connections(graph))
    torch.testing.assert_close(found, conv.gru(torch.cat(parts, dim=1), x))


@pytest.mark.parametrize("connections", ["global", "full"])
def test_connections_train_all_parameters_and_are_the_same_alone(small: SessionData, connections: str):
    model = SRGNNSettings(8, connections=connections).build(small.num_items)
    model.observe(small.train)
    graphs = SessionGraphs(small.train, small.num_items)
    scores = model(graphs[:40])
    torch.testing.assert_close(scores[7:8], model(graphs[[7]]))
    scores.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_connections_are_checked():
    with pytest.raises(ArgumentError, match="connections=x: expected one of session, global, full"):
        SRGNNSettings(connections="x")
