import math
from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch_geometric.data import Data

from srgnn.data import SessionData
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError
from srgnn.nn import LOSSES, BPRLoss, FullSoftmax, SampledSoftmax, Sampling, ScoreLoss, SRGNNSettings, build_loss
from srgnn.nn.losses import binary_cross_entropy, cross_entropy

NUM_ITEMS, WIDTH, SESSIONS = 5_000, 12, 7  # more items than a tile of two threads, and a remainder
SCORE_LOSSES = [cross_entropy, binary_cross_entropy]


def test_binary_cross_entropy_is_the_papers_sum():
    scores = torch.randn(6, 9, dtype=torch.double)
    target = torch.randint(9, (6,))
    p = scores.softmax(1)
    y = F.one_hot(target, 9)
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).sum(1).mean()
    torch.testing.assert_close(binary_cross_entropy(scores, target), expected)


@pytest.mark.parametrize("loss", SCORE_LOSSES)
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_losses_and_gradients_stay_finite(loss, scale: float):
    scores = (torch.randn(6, 9) * scale).requires_grad_()
    value = loss(scores, torch.arange(6))
    value.backward()
    assert value.isfinite()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("loss", SCORE_LOSSES)
def test_a_better_score_of_the_target_lowers_the_loss(loss):
    scores, target = torch.zeros(1, 5), torch.tensor([3])
    better = scores.index_fill(1, target, 1.0)
    assert loss(better, target) < loss(scores, target)


@dataclass
class Table:
    """The embeddings of the items, which remembers what was looked up."""

    items: Tensor
    lookups: list[Tensor] = field(default_factory=list)
    shard: None = None

    def __call__(self, ids: Tensor) -> Tensor:
        self.lookups.append(ids)
        return F.embedding(ids, self.items)


class Embeddings:
    """A model that consists only of the embeddings of one batch of sessions and of the items."""

    in_products = True

    def __init__(self, session: Tensor, items: Tensor) -> None:
        self.session, self.items, self.item_embedding = session, items, Table(items)

    def session_embedding(self, batch: Data) -> Tensor:
        return self.session

    def session_embedding_and_table(self, batch: Data) -> tuple[Tensor, Tensor]:
        return self.session, self.items


def value_of(loss, session: Tensor, items: Tensor, target: Tensor) -> Tensor:
    return loss(Embeddings(session, items), Data(y=target))


def embeddings(dtype: torch.dtype = torch.double, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    session = (torch.randn(SESSIONS, WIDTH, dtype=dtype) * scale).requires_grad_()
    items = torch.randn(NUM_ITEMS, WIDTH, dtype=dtype).requires_grad_()
    target = torch.tensor([0, 1, 1, NUM_ITEMS - 1, 1535, 1536, 4608])  # a repeated item, and items at tile edges
    return session, items, target


def gradients(value: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [value.detach(), *torch.autograd.grad(value * 3, inputs)]


@pytest.mark.parametrize(
    ("loss", "scores_loss"),
    [
        (FullSoftmax(), cross_entropy),
        (FullSoftmax("tiled"), cross_entropy),
        (FullSoftmax("chunked"), cross_entropy),
        (ScoreLoss(binary_cross_entropy), binary_cross_entropy),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("scale", [0.1, 1.0, 300.0])  # the largest one needs the shift
def test_losses_of_embeddings_equal_those_of_the_scores(loss, scores_loss, threads: int, scale: float, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    session, items, target = embeddings(scale=scale)
    ours = gradients(value_of(loss, session, items, target), session, items)
    plain = gradients(scores_loss(session @ items.T, target), session, items)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_a_smaller_batch_after_a_larger_one_uses_the_same_buffer():
    session, items, target = embeddings()
    loss = FullSoftmax()
    value_of(loss, session, items, target)
    buffer = loss.buffer
    value = value_of(loss, session[:2], items, target[:2])
    assert loss.buffer is buffer
    torch.testing.assert_close(value, F.cross_entropy(session[:2] @ items.T, target[:2]))


def test_an_unknown_method_is_reported():
    with pytest.raises(ArgumentError, match="method=x: expected one of tiled, chunked"):
        FullSoftmax("x")


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_sampled_softmax_approaches_the_full_one(power: float):
    session, items, target = embeddings(scale=0.3)
    loss = SampledSoftmax(torch.randint(1, 30, (NUM_ITEMS,)), negatives=400_000, power=power)
    sampled = gradients(value_of(loss, session, items, target), session, items)
    full = gradients(F.cross_entropy(session @ items.T, target), session, items)
    assert sampled[0].item() == pytest.approx(full[0].item(), abs=0.01)
    for one, other in zip(sampled[1:], full[1:], strict=True):
        assert (one - other).norm() < 0.1 * other.norm()


def test_the_expected_sum_over_the_sample_is_the_sum_over_all_items(monkeypatch):
    """Draws every item as often as its probability says, so that the estimate has no error."""
    clicks = torch.tensor([1, 2, 5])
    session, items = torch.randn(4, 2, dtype=torch.double), torch.randn(3, 2, dtype=torch.double)
    target = torch.tensor([0, 1, 2, 2])
    middles = (torch.arange(8, dtype=torch.double) + 0.5) / 8
    monkeypatch.setattr(torch, "rand", lambda *size, **kwargs: middles)
    loss = value_of(SampledSoftmax(clicks, negatives=8, power=1.0), session, items, target)
    torch.testing.assert_close(loss, F.cross_entropy(session @ items.T, target))


def test_negatives_are_drawn_by_clicks_to_the_power():
    model = Embeddings(torch.zeros(1, 2), torch.zeros(4, 2))
    loss = SampledSoftmax(torch.tensor([0, 1, 4, 16]), negatives=100_000, power=0.5)
    loss(model, Data(y=torch.tensor([0])))
    _, negatives = model.item_embedding.lookups
    shares = torch.bincount(negatives, minlength=4) / 100_000
    torch.testing.assert_close(shares, torch.tensor([1.0, 1, 2, 4]) / 8, atol=0.01, rtol=0)


def test_with_the_target_as_the_only_negative_there_is_nothing_to_learn():
    session, items = torch.randn(1, 2, requires_grad=True), torch.randn(1, 2, requires_grad=True)
    loss = value_of(SampledSoftmax(torch.tensor([5]), negatives=3), session, items, torch.tensor([0]))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    for grad in torch.autograd.grad(loss, [session, items]):
        assert torch.equal(grad, torch.zeros_like(grad))


def test_bpr_is_the_mean_over_pairs_of_a_target_and_another_item(monkeypatch):
    session, items, target = torch.randn(4, 2), torch.randn(3, 2), torch.tensor([0, 1, 2, 2])
    draws = [0, 2, 2, 1, 2]
    monkeypatch.setattr(torch, "rand", lambda *size, **kwargs: (torch.tensor(draws).double() + 0.5) / 3)
    model = Embeddings(session, items)
    loss = BPRLoss(torch.ones(3), negatives=5, power=0)(model, Data(y=target))
    means = []
    for embedding, item in zip(session, target.tolist(), strict=True):
        pairs = [embedding @ (items[item] - items[other]) for other in draws if other != item]
        means.append(-torch.stack(pairs).sigmoid().log().mean())
    torch.testing.assert_close(loss, torch.stack(means).mean())


def test_bpr_of_nothing_but_targets_is_zero_with_gradients_of_zero():
    session, items = torch.randn(1, 2, requires_grad=True), torch.randn(1, 2, requires_grad=True)
    loss = value_of(BPRLoss(torch.tensor([5]), negatives=3), session, items, torch.tensor([0]))
    assert loss.item() == 0
    for grad in torch.autograd.grad(loss, [session, items]):
        assert torch.equal(grad, torch.zeros_like(grad))


@pytest.mark.parametrize(("arguments", "name"), [({"negatives": 0}, "negatives"), ({"power": -1}, "power")])
def test_wrong_arguments_of_the_sampled_softmax_are_reported(arguments: dict, name: str):
    with pytest.raises(ArgumentError, match=f"^{name}="):
        Sampling(**arguments)
    with pytest.raises(ArgumentError, match=f"^{name}="):
        SampledSoftmax(torch.ones(3), **arguments)


def test_the_sampled_softmax_never_holds_all_scores():
    """The largest tensor that it creates has B times K + 1 numbers, however many items there are."""

    class Largest(TorchFunctionMode):
        numel = 0

        def __torch_function__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(tensor, Tensor):
                    self.numel = max(self.numel, math.prod(tensor.shape))
            return out

    model = Embeddings(torch.randn(8, 4), torch.randn(100_000, 4))
    loss, batch = SampledSoftmax(torch.ones(100_000), negatives=50), Data(y=torch.arange(8))
    with Largest() as largest:
        loss(model, batch)
    assert largest.numel == 8 * (50 + 1)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_maps_a_model_and_a_batch_to_a_scalar(small: SessionData, name: str):
    """The shared test of the contract: finite, a gradient for all that is trained, sparse where the loss says so."""
    clicks = torch.bincount(small.train.items, minlength=small.num_items)
    loss = build_loss(name, clicks, Sampling(negatives=10))
    model = SRGNNSettings(8).build(small.num_items)
    model.item_embedding.sparse = loss.sparse
    value = loss(model, SessionGraphs(small.train, small.num_items)[:20])
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.item_embedding.weight.grad.is_sparse is loss.sparse


def test_a_loss_is_built_by_its_name():
    loss = build_loss("sampled_softmax", torch.ones(3), Sampling(negatives=5, power=1))
    assert isinstance(loss, SampledSoftmax)
    assert loss.sampling == Sampling(negatives=5, power=1)
    with pytest.raises(
        ArgumentError, match="loss=x: expected one of cross_entropy, binary_cross_entropy, sampled_softmax"
    ):
        build_loss("x", torch.ones(3), Sampling())
