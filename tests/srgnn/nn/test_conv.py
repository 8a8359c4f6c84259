import pytest
import torch

from srgnn.data.graphs import session_graph
from srgnn.errors import ArgumentError
from srgnn.nn import SessionGraphConv

# 0 -> 1 -> 0 -> 1 -> 2: the edge 0 -> 1 occurs twice.
GRAPH = session_graph(torch.tensor([0, 1, 0, 1, 2]))


def dense(conv: SessionGraphConv, x: torch.Tensor, occurrence: bool) -> torch.Tensor:
    """Equations 1 to 5 with adjacency matrices, as the paper writes them."""
    a = torch.zeros(len(x), len(x))
    for (i, j), w in zip(GRAPH.edge_index.t().tolist(), GRAPH.edge_weight.tolist(), strict=True):
        a[i, j] = w if occurrence else 1
    a_in = a.t() / a.sum(0).clamp(min=1)[:, None]
    a_out = a / a.sum(1).clamp(min=1)[:, None]
    for _ in range(conv.propagation_steps):
        messages = [a_in @ conv.lin_in(x) + conv.bias_in, a_out @ conv.lin_out(x) + conv.bias_out]
        x = conv.gru(torch.cat(messages, dim=1), x)
    return x


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("edge_weight", ["binary", "occurrence"])
def test_it_computes_the_equations_of_the_paper(segments: str, steps: int, edge_weight: str):
    conv = SessionGraphConv(4, steps, edge_weight)
    torch.nn.init.normal_(conv.bias_in)
    torch.nn.init.normal_(conv.bias_out)
    x = torch.randn(3, 4)
    out = conv(x, GRAPH.edge_index, GRAPH.edge_weight)
    torch.testing.assert_close(out, dense(conv, x, edge_weight == "occurrence"))


def test_without_steps_the_states_do_not_change():
    x = torch.randn(3, 4)
    assert torch.equal(SessionGraphConv(4, 0)(x, GRAPH.edge_index, GRAPH.edge_weight), x)


def test_occurrences_count_only_where_chosen():
    x, weights = torch.randn(3, 4), GRAPH.edge_weight * torch.tensor([1.0, 5, 1])
    for edge_weight, same in (("binary", True), ("occurrence", False)):
        conv = SessionGraphConv(4, 1, edge_weight)
        a, b = conv(x, GRAPH.edge_index, GRAPH.edge_weight), conv(x, GRAPH.edge_index, weights)
        assert torch.allclose(a, b) is same


def test_direction_matters():
    conv, x = SessionGraphConv(4), torch.randn(3, 4)
    turned = conv(x, GRAPH.edge_index.flip(0), GRAPH.edge_weight)
    assert not torch.allclose(conv(x, GRAPH.edge_index, GRAPH.edge_weight), turned)


def test_message_weights_sum_to_one_in_both_directions():
    along, against = SessionGraphConv(4, edge_weight="occurrence").directions(GRAPH.edge_index, GRAPH.edge_weight, 3)
    assert along[0].tolist() == [[1, 0, 1], [0, 1, 2]]  # each of the three has one edge into it
    assert along[1].tolist() == [1, 1, 1]
    assert against[0].tolist() == [[1, 0, 2], [0, 1, 1]]  # 1 -> 0 and 1 -> 2, turned round, lead into 1
    assert against[1].tolist() == [1, 0.5, 0.5]
    assert against[2].tolist() == [0, 1, 3, 3]


def test_the_order_of_the_edges_does_not_matter():
    conv, x, order = SessionGraphConv(4), torch.randn(3, 4), torch.tensor([2, 0, 1])
    shuffled = conv(x, GRAPH.edge_index[:, order], GRAPH.edge_weight[order])
    torch.testing.assert_close(shuffled, conv(x, GRAPH.edge_index, GRAPH.edge_weight))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("hidden_size", 0), ("propagation_steps", -1), ("propagation_steps", 1.5), ("edge_weight", "x")],
)
def test_wrong_arguments_are_reported(argument: str, value):
    with pytest.raises(ArgumentError, match=f"{argument}={value}: expected"):
        SessionGraphConv(**{"hidden_size": 4, argument: value})
