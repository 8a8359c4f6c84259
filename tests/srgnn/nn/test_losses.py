import math
import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srgnn.errors import OptionError
from srgnn.nn import LOSSES
from srgnn.nn.losses import FullSoftmax, OfScores, SampledSoftmax

NUM_ITEMS, WIDTH, SESSIONS = 5_000, 12, 7  # more items than a tile of two threads, and a rest


def test_binary_cross_entropy_is_the_papers_sum():
    scores = torch.randn(6, 9, dtype=torch.double)
    target = torch.randint(9, (6,))
    p = scores.softmax(1)
    y = F.one_hot(target, 9)
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).sum(1).mean()
    torch.testing.assert_close(LOSSES["binary_cross_entropy"](scores, target), expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_losses_and_gradients_stay_finite(loss: str, scale: float):
    scores = (torch.randn(6, 9) * scale).requires_grad_()
    value = LOSSES[loss](scores, torch.arange(6))
    value.backward()
    assert value.isfinite()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_better_score_of_the_target_lowers_the_loss(loss: str):
    scores, target = torch.zeros(1, 5), torch.tensor([3])
    better = scores.index_fill(1, target, 1.0)
    assert LOSSES[loss](better, target) < LOSSES[loss](scores, target)


def embeddings(dtype: torch.dtype = torch.double, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    session = (torch.randn(SESSIONS, WIDTH, dtype=dtype) * scale).requires_grad_()
    items = torch.randn(NUM_ITEMS, WIDTH, dtype=dtype).requires_grad_()
    return session, items, torch.tensor([0, 1, 1, NUM_ITEMS - 1, 1535, 1536, 4608])  # one twice, and edges of tiles


def gradients(value: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [value.detach(), *torch.autograd.grad(value * 3, inputs)]


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("scale", [0.1, 1.0, 300.0])  # the largest one needs the shift
def test_losses_of_embeddings_are_those_of_the_scores(name: str, threads: int, scale: float, monkeypatch):
    loss = FullSoftmax() if name == "cross_entropy" else OfScores(LOSSES[name])
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    session, items, target = embeddings(scale=scale)
    ours = gradients(loss(session, items, target), session, items)
    plain = gradients(LOSSES[name](session @ items.T, target), session, items)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["tiled", "chunked"])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_every_method_of_the_full_softmax_is_exact_in_float32(method: str, scale: float, monkeypatch):
    monkeypatch.setattr("srgnn.nn.losses.LOGITS_PER_CHUNK", 3 * NUM_ITEMS)  # chunks of 3, 3 and 1 sessions
    session, items, target = embeddings(torch.float, scale)
    ours = gradients(FullSoftmax(method)(session, items, target), session, items)
    exact = [x.double().detach().requires_grad_() for x in (session, items)]
    plain = gradients(F.cross_entropy(exact[0] @ exact[1].T, target), *exact)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-4, atol=1e-6 * scale)


def test_a_smaller_batch_after_a_larger_one_uses_the_same_buffer():
    session, items, target = embeddings()
    loss = FullSoftmax()
    loss(session, items, target)
    buffer = loss.buffer
    value = loss(session[:2], items, target[:2])
    assert loss.buffer is buffer
    torch.testing.assert_close(value, F.cross_entropy(session[:2] @ items.T, target[:2]))


def test_the_chunked_softmax_computes_in_16_bits_under_autocast_and_adds_up_in_32():
    session, items, target = embeddings(torch.float)
    with torch.autocast("cpu", torch.bfloat16):
        ours = gradients(FullSoftmax("chunked")(session, items, target), session, items)
    plain = gradients(F.cross_entropy(session @ items.T, target), session, items)
    assert all(tensor.dtype == torch.float for tensor in ours)
    for one, other in zip(ours, plain, strict=True):
        assert not torch.equal(one, other)
        assert (one - other).norm() < 0.02 * other.norm()


def test_the_tiled_softmax_keeps_32_bits_under_autocast():
    session, items, target = embeddings(torch.float)
    plain = FullSoftmax()(session, items, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(FullSoftmax()(session, items, target), plain)


def test_cut_cross_entropy_gets_embeddings_and_no_filter(monkeypatch):
    """A stand-in: the package needs a GPU. What it is called with is in its documentation."""

    def linear_cross_entropy(e: Tensor, c: Tensor, targets: Tensor, filter_eps: float | None, accum_c_fp32: bool):
        assert filter_eps is None
        assert accum_c_fp32  # the gradient of the items adds up in 32 bits
        return F.cross_entropy(e @ c.T, targets)

    module = ModuleType("cut_cross_entropy")
    module.linear_cross_entropy = linear_cross_entropy
    monkeypatch.setitem(sys.modules, "cut_cross_entropy", module)
    session, items, target = embeddings()
    value = FullSoftmax("cut")(session, items, target)
    torch.testing.assert_close(value, F.cross_entropy(session @ items.T, target))


def rows_of(items: Tensor):
    return lambda ids: items[ids]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_sampled_softmax_comes_to_the_full_one(power: float):
    session, items, target = embeddings(scale=0.3)
    loss = SampledSoftmax(torch.randint(1, 30, (NUM_ITEMS,)), negatives=400_000, power=power)
    sampled = gradients(loss(session, rows_of(items), target), session, items)
    full = gradients(F.cross_entropy(session @ items.T, target), session, items)
    assert sampled[0].item() == pytest.approx(full[0].item(), abs=0.01)
    for one, other in zip(sampled[1:], full[1:], strict=True):
        assert (one - other).norm() < 0.1 * other.norm()


def test_the_expected_sum_of_the_sample_is_that_of_all_items(monkeypatch):
    """Every item drawn as often as its probability says: then the estimate has no error."""
    clicks = torch.tensor([1, 2, 5])
    session, items = torch.randn(4, 2, dtype=torch.double), torch.randn(3, 2, dtype=torch.double)
    target = torch.tensor([0, 1, 2, 2])
    middles = (torch.arange(8, dtype=torch.double) + 0.5) / 8
    monkeypatch.setattr(torch, "rand", lambda *size, **kwargs: middles)
    loss = SampledSoftmax(clicks, negatives=8, power=1.0)(session, rows_of(items), target)
    torch.testing.assert_close(loss, F.cross_entropy(session @ items.T, target))


def test_negatives_are_drawn_by_clicks_to_the_power():
    drawn = []

    def lookup(ids: Tensor) -> Tensor:
        drawn.append(ids)
        return torch.zeros(ids.numel(), 2)

    SampledSoftmax(torch.tensor([0, 1, 4, 16]), negatives=100_000, power=0.5)(
        torch.zeros(1, 2), lookup, torch.tensor([0])
    )
    shares = torch.bincount(drawn[1], minlength=4) / 100_000
    torch.testing.assert_close(shares, torch.tensor([1.0, 1, 2, 4]) / 8, atol=0.01, rtol=0)


def test_with_the_target_as_the_only_negative_there_is_nothing_to_learn():
    session, items = torch.randn(1, 2, requires_grad=True), torch.randn(1, 2, requires_grad=True)
    loss = SampledSoftmax(torch.tensor([5]), negatives=3)(session, rows_of(items), torch.tensor([0]))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    for grad in torch.autograd.grad(loss, [session, items]):
        assert torch.equal(grad, torch.zeros_like(grad))


@pytest.mark.parametrize(("options", "name"), [({"negatives": 0}, "negatives"), ({"power": -1}, "power")])
def test_wrong_options_are_named(options: dict, name: str):
    with pytest.raises(OptionError, match=f"sampling.{name}"):
        SampledSoftmax(torch.ones(3), **options)


def test_nothing_of_the_order_of_all_scores_is_held_by_the_sampled_softmax():
    """The largest tensor that it makes is B times K, however many items there are."""

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(tensor, Tensor):
                    self.numel = max(self.numel, math.prod(tensor.shape))
            return out

    session, items, target = torch.randn(8, 4), torch.randn(100_000, 4), torch.arange(8)
    loss = SampledSoftmax(torch.ones(100_000), negatives=50)
    with Largest() as largest:
        loss(session, lambda ids: F.embedding(ids, items), target)
    assert largest.numel == 8 * (50 + 1)
