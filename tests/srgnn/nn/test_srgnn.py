from pathlib import Path

import numpy as np
import pytest
import torch
import torch_geometric.typing
from torch import Tensor

from srgnn.data import SessionData, Sessions
from srgnn.data.benchmarks import read_pickle, sessions_of_prefixes
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import OptionError, UserError
from srgnn.module import NextItemModule
from srgnn.nn import LOSSES, SRGNN
from srgnn.nn.losses import FullSoftmax

REFERENCE = [("hybrid_step1", 1, "hybrid"), ("hybrid_step2", 2, "hybrid"), ("nonhybrid_step1", 1, "global")]


@pytest.fixture
def batch(small: SessionData):
    return SessionGraphs(small.train, small.num_items)[:40]


def test_scores_are_products_with_the_item_embeddings(small: SessionData, batch):
    model = SRGNN(small.num_items, 8)
    scores = model(batch)
    assert scores.shape == (40, small.num_items)
    torch.testing.assert_close(scores, model.session_embedding(batch) @ model.item_embedding.weight.T)


def test_scores_do_not_depend_on_the_other_sessions_of_a_batch(small: SessionData, batch):
    model = SRGNN(small.num_items, 8)
    graphs = SessionGraphs(small.train, small.num_items)
    torch.testing.assert_close(model(batch)[7:8], model(graphs[[7]]))


def test_every_part_matters(small: SessionData):
    """Without an edge, with another order of clicks or another weight of the graph the scores change."""
    graphs = SessionGraphs(Sessions.from_lists([[1, 2, 3, 1, 4]]), small.num_items)
    model = SRGNN(small.num_items, 8)
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
        model = SRGNN(small.num_items, 8, 2)
        scores = model(batch)
        LOSSES["cross_entropy"](scores, batch.y).backward()
        return scores, [parameter.grad for parameter in model.parameters()]

    (scores, grads), (scores_native, grads_native) = gradients(True), gradients(False)
    torch.testing.assert_close(scores, scores_native)
    for ours, theirs in zip(grads, grads_native, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_without_propagation_nothing_of_the_graph_is_trained(small: SessionData, batch):
    model = SRGNN(small.num_items, 8, propagation_steps=0)
    model(batch).sum().backward()
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {
        name for name, p in model.named_parameters() if p.grad is None
    }


@pytest.mark.parametrize(
    "option",
    [
        {"hidden_size": 0},
        {"hidden_size": "a"},
        {"num_items": 0},
        {"readout": "x"},
        {"scale": 0},
        {"dropout": 1.0},
        {"reversed_positions": -1},
    ],
)
def test_wrong_options_are_named(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        SRGNN(**{"num_items": 3, **option})


def test_a_state_dict_that_is_not_the_authors_is_named():
    with pytest.raises(UserError, match=r"missing: .*gnn\.w_hh.*unknown: foo"):
        SRGNN.from_reference_state_dict({"embedding.weight": torch.zeros(3, 2), "foo": torch.zeros(1)})


def reference_graphs(path: Path) -> SessionGraphs:
    sessions = sessions_of_prefixes(*read_pickle(path))
    return SessionGraphs(Sessions.from_lists([[item - 1 for item in session] for session in sessions]), 309)


@pytest.mark.parametrize("options", [{}, {"scale": 12.0, "reversed_positions": 3}])
def test_what_trains_is_what_scores(small: SessionData, batch, options: dict):
    """The loss over embeddings that share a gradient, against cross entropy of the scores."""
    model = SRGNN(small.num_items, 8, **options).double()
    parameters = list(model.parameters())
    ours = FullSoftmax()(*model.session_embedding_and_table(batch), batch.y)
    plain = LOSSES["cross_entropy"](model(batch), batch.y)
    torch.testing.assert_close(ours, plain)
    for one, other in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(plain, parameters), strict=True):
        torch.testing.assert_close(one, other)


def test_with_a_scale_scores_are_cosines_times_it(small: SessionData, batch):
    model = SRGNN(small.num_items, 8, scale=12)
    session = model.session_embedding(batch)
    torch.testing.assert_close(session.norm(dim=1), torch.full((40,), 12.0))
    cosine = torch.nn.functional.cosine_similarity(session[3], model.item_embedding.weight)
    torch.testing.assert_close(model(batch)[3], 12 * cosine)


def test_positions_count_from_the_last_click(small: SessionData):
    """Two sessions of the same graph and the same last click, whose earlier clicks come in another order."""
    one, other = (Sessions.from_lists([clicks]) for clicks in ([1, 2, 1, 3, 1, 0], [1, 3, 1, 2, 1, 0]))
    batches = [SessionGraphs(sessions, small.num_items)[[0]] for sessions in (one, other)]
    without, with_positions = SRGNN(small.num_items, 8), SRGNN(small.num_items, 8, reversed_positions=3)
    torch.testing.assert_close(without(batches[0]), without(batches[1]))
    assert not torch.allclose(with_positions(batches[0]), with_positions(batches[1]))
    position = with_positions.readout.position
    position.weight.data[2] = position.weight.data[1]  # now only the last two differ
    last = [[1, 2, 1, 3, 0, 1], [2, 1, 1, 3, 0, 1]]
    states = torch.randn(4, 8)
    read = [with_positions.readout(states, torch.tensor(clicks), torch.zeros(4).long(), 1) for clicks in last]
    torch.testing.assert_close(*read)  # clicks further away than the last position share it


def test_dropout_is_for_training(small: SessionData, batch):
    model = SRGNN(small.num_items, 8, dropout=0.5)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize(("name", "steps", "readout"), REFERENCE)
def test_it_trains_as_the_authors_code_does(shared: Path, name: str, steps: int, readout: str):
    """The losses and final weights of their run, with the fused loss, the shared gradient and our optimizer."""
    golden = np.load(shared / "golden" / f"{name}.npz")

    def state(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): torch.tensor(golden[key]) for key in golden.files if key.startswith(prefix)}

    module = NextItemModule(SRGNN.from_reference_state_dict(state("init."), steps, readout))
    optimizer = module.configure_optimizers()["optimizer"]
    train = reference_graphs(shared / "golden" / "diginetica-sample" / "train.txt")
    losses = []
    for start in [*range(0, len(train), 50)] * 2:
        loss = module.batch_loss(train[start : start + 50])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, golden["losses"], rtol=0, atol=1e-5)
    final = SRGNN.from_reference_state_dict(state("final."), steps, readout)
    for (key, ours), theirs in zip(module.model.named_parameters(), final.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=key)


@pytest.mark.parametrize(("name", "steps", "readout"), REFERENCE)
def test_it_computes_what_the_authors_code_computes(shared: Path, segments: str, name: str, steps: int, readout: str):
    golden = np.load(shared / "golden" / f"{name}.npz")

    def reference(prefix: str) -> SRGNN:
        state = {key.removeprefix(prefix): torch.tensor(golden[key]) for key in golden.files if key.startswith(prefix)}
        return SRGNN.from_reference_state_dict(state, steps, readout)

    model = reference("init.")
    train = reference_graphs(shared / "golden" / "diginetica-sample" / "train.txt")
    test = reference_graphs(shared / "golden" / "diginetica-sample" / "test.txt")
    torch.testing.assert_close(model(train[:50]), torch.tensor(golden["first_batch_scores"]), rtol=0, atol=1e-5)

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    losses = []
    for start in [*range(0, len(train), 50)] * 2:
        batch = train[start : start + 50]
        loss = LOSSES["cross_entropy"](model(batch), batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, golden["losses"], rtol=0, atol=1e-5)
    for (key, ours), theirs in zip(model.named_parameters(), reference("final.").parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=key)

    batch = test[:]
    scores = model(batch)
    ranks = (scores > scores.gather(1, batch.y[:, None])).sum(1) + 1  # ties in favour, as in the reference
    assert ranks.tolist() == golden["test_ranks"].tolist()
