import pytest
import torch
import torch_geometric.typing
from torch import Tensor
from torch.nn import Embedding, GRUCell, Linear

from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError
from srgnn.nn import FullSoftmax, SRGNNSettings
from srgnn.nn.losses import cross_entropy


@pytest.fixture
def batch(small: SessionData):
    return SessionGraphs(small.train, small.num_items)[:40]


def test_scores_are_products_with_the_item_embeddings(small: SessionData, batch):
    model = SRGNNSettings(8).build(small.num_items)
    scores = model(batch)
    assert scores.shape == (40, small.num_items)
    torch.testing.assert_close(scores, model.session_embedding(batch) @ model.item_embedding.weight.T)


def test_scores_do_not_depend_on_the_other_sessions_of_a_batch(small: SessionData, batch):
    model = SRGNNSettings(8).build(small.num_items)
    graphs = SessionGraphs(small.train, small.num_items)
    torch.testing.assert_close(model(batch)[7:8], model(graphs[[7]]))


def test_every_part_matters(small: SessionData):
    """The scores change without an edge, and with the clicks in a different order."""
    graphs = SessionGraphs(Sessions.from_lists([[1, 2, 3, 1, 4]]), small.num_items)
    model = SRGNNSettings(8).build(small.num_items)
    whole, cut = graphs[[0]], graphs[[0]]
    cut.edge_index, cut.edge_weight = cut.edge_index[:, 1:], cut.edge_weight[1:]
    assert not torch.allclose(model(whole), model(cut))
    turned = graphs[[0]]
    turned.alias_index = turned.alias_index.flip(0)[[0, 1, 3, 2]]
    assert not torch.allclose(model(whole), model(turned))


def test_both_ways_to_reduce_segments_are_equal(small: SessionData, batch, monkeypatch):
    if not torch_geometric.typing.WITH_TORCH_SCATTER:
        pytest.skip("torch-scatter is not installed: make scatter builds it")

    def gradients(with_scatter: bool) -> tuple[Tensor, list[Tensor]]:
        monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", with_scatter)
        torch.manual_seed(0)
        model = SRGNNSettings(8, propagation_steps=2).build(small.num_items)
        scores = model(batch)
        cross_entropy(scores, batch.y).backward()
        return scores, [parameter.grad for parameter in model.parameters()]

    (scores, grads), (scores_native, grads_native) = gradients(True), gradients(False)
    torch.testing.assert_close(scores, scores_native)
    for ours, theirs in zip(grads, grads_native, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_without_propagation_the_graph_layer_is_not_trained(small: SessionData, batch):
    model = SRGNNSettings(8, propagation_steps=0).build(small.num_items)
    model(batch).sum().backward()
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {
        name for name, p in model.named_parameters() if p.grad is None
    }


WRONG = [
    {"hidden_size": 0},
    {"hidden_size": "a"},
    {"propagation_steps": -1},
    {"readout": "x"},
    {"edge_weight": "x"},
    {"scale": 0},
    {"reversed_positions": -1},
    {"dropout": -0.1},
    {"dropout": 1.0},
]


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_arguments_are_reported(argument: dict):
    with pytest.raises(ArgumentError, match=f"^{next(iter(argument))}="):
        SRGNNSettings(**argument)


def test_a_model_of_no_items_is_reported():
    with pytest.raises(ArgumentError, match=r"^num_items="):
        SRGNNSettings().build(0)


def test_settings_build_the_model():
    settings = SRGNNSettings(8, 12, 0.1, "none", 2, "global", "occurrence", 3)
    assert settings.build(5).settings == settings


def test_a_seed_always_gives_the_same_weights():
    """The figures in the README depend on it: torch initialises every layer, then all parameters are drawn again."""
    torch.manual_seed(1)
    model = SRGNNSettings(16, reversed_positions=3).build(30)
    torch.manual_seed(1)
    for layer, arguments in [
        (Embedding, (30, 16)),
        (Linear, (16, 16)),
        (Linear, (16, 16)),
        (GRUCell, (32, 16)),
        (Embedding, (3, 16)),
        (Linear, (16, 16)),
        (Linear, (16, 16)),
        (Linear, (16, 1, False)),
        (Linear, (32, 16)),
    ]:
        layer(*arguments)
    for parameter in model.parameters():
        assert torch.equal(parameter, torch.empty_like(parameter).uniform_(-0.25, 0.25))  # 1 / sqrt(16)


@pytest.mark.parametrize("arguments", [{}, {"scale": 12.0, "reversed_positions": 3}])
def test_training_and_evaluation_use_the_same_scores(small: SessionData, batch, arguments: dict):
    """Compares the loss over embeddings that share a gradient with the cross entropy of the scores."""
    model = SRGNNSettings(8, **arguments).build(small.num_items).double()
    parameters = list(model.parameters())
    ours = FullSoftmax()(model, batch)
    plain = cross_entropy(model(batch), batch.y)
    torch.testing.assert_close(ours, plain)
    for one, other in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(plain, parameters), strict=True):
        torch.testing.assert_close(one, other)


def test_with_a_scale_scores_are_scaled_cosines(small: SessionData, batch):
    model = SRGNNSettings(8, scale=12).build(small.num_items)
    session = model.session_embedding(batch)
    torch.testing.assert_close(session.norm(dim=1), torch.full((40,), 12.0))
    cosine = torch.nn.functional.cosine_similarity(session[3], model.item_embedding.weight)
    torch.testing.assert_close(model(batch)[3], 12 * cosine)


def test_positions_count_from_the_last_click(small: SessionData):
    """Two sessions with the same graph and last click, but the earlier clicks in a different order."""
    one, other = (Sessions.from_lists([clicks]) for clicks in ([1, 2, 1, 3, 1, 0], [1, 3, 1, 2, 1, 0]))
    batches = [SessionGraphs(sessions, small.num_items)[[0]] for sessions in (one, other)]
    without, with_positions = (
        SRGNNSettings(8).build(small.num_items),
        SRGNNSettings(8, reversed_positions=3).build(small.num_items),
    )
    torch.testing.assert_close(without(batches[0]), without(batches[1]))
    assert not torch.allclose(with_positions(batches[0]), with_positions(batches[1]))
    position = with_positions.readout.position
    position.weight.data[2] = position.weight.data[1]  # now only the last two differ
    last = [[1, 2, 1, 3, 0, 1], [2, 1, 1, 3, 0, 1]]
    states = torch.randn(4, 8)
    read = [with_positions.readout(states, torch.tensor(clicks), torch.zeros(4).long(), 1) for clicks in last]
    torch.testing.assert_close(*read)  # clicks further away than the last position share it


def test_dropout_applies_only_in_training(small: SessionData, batch):
    model = SRGNNSettings(8, dropout=0.5).build(small.num_items)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))
