import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srgnn.nn.softmax import chunked_cross_entropy, has_bfloat16, tiled_buffer, tiled_cross_entropy

NUM_ITEMS, WIDTH, SESSIONS = 5_000, 12, 7  # more items than a tile of two threads, and a remainder


def tiled(session: Tensor, items: Tensor, target: Tensor) -> Tensor:
    return tiled_cross_entropy(session, items, target, tiled_buffer(len(session), items, items.new_empty(0)))


def embeddings(dtype: torch.dtype = torch.float, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    session = (torch.randn(SESSIONS, WIDTH, dtype=dtype) * scale).requires_grad_()
    items = torch.randn(NUM_ITEMS, WIDTH, dtype=dtype).requires_grad_()
    target = torch.tensor([0, 1, 1, NUM_ITEMS - 1, 1535, 1536, 4608])  # a repeated item, and items at tile edges
    return session, items, target


def gradients(value: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [value.detach(), *torch.autograd.grad(value * 3, inputs)]


@pytest.mark.parametrize("kernel", [tiled, chunked_cross_entropy])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("scale", [0.1, 1.0, 300.0])  # the largest one needs the shift
def test_kernels_compute_cross_entropy_and_its_gradients(kernel, threads: int, scale: float, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    session, items, target = embeddings(torch.double, scale)
    ours = gradients(kernel(session, items, target), session, items)
    plain = gradients(F.cross_entropy(session @ items.T, target), session, items)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernel", [tiled, chunked_cross_entropy])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_kernels_are_exact_in_float32(kernel, scale: float, monkeypatch):
    monkeypatch.setattr("srgnn.nn.softmax.LOGITS_PER_CHUNK", 3 * NUM_ITEMS)  # chunks of 3, 3 and 1 sessions
    session, items, target = embeddings(scale=scale)
    ours = gradients(kernel(session, items, target), session, items)
    exact = [x.double().detach().requires_grad_() for x in (session, items)]
    plain = gradients(F.cross_entropy(exact[0] @ exact[1].T, target), *exact)
    for one, other in zip(ours, plain, strict=True):
        # The logits of the larger scale are thousands, which float32 holds to about 3e-4.
        rtol = 1e-4 if scale == 1 else 1e-3
        torch.testing.assert_close(one, other.float(), rtol=rtol, atol=1e-6 * scale)


def test_a_larger_buffer_changes_nothing():
    session, items, target = embeddings()
    buffer = tiled_buffer(2 * SESSIONS, items, items.new_empty(0)).fill_(torch.nan)
    ours = gradients(tiled_cross_entropy(session, items, target, buffer), session, items)
    for one, other in zip(ours, gradients(tiled(session, items, target), session, items), strict=True):
        assert torch.equal(one, other)


def test_the_chunked_softmax_multiplies_in_16_bits_under_autocast_and_adds_up_in_32():
    session, items, target = embeddings()
    with torch.autocast("cpu", torch.bfloat16):
        ours = gradients(chunked_cross_entropy(session, items, target), session, items)
    plain = gradients(F.cross_entropy(session @ items.T, target), session, items)
    assert all(tensor.dtype == torch.float for tensor in ours)
    for one, other in zip(ours, plain, strict=True):
        assert not torch.equal(one, other)
        assert (one - other).norm() < 0.02 * other.norm()


def test_the_tiled_softmax_multiplies_in_16_bits_and_adds_up_in_32():
    session, items = torch.randn(64, 100).requires_grad_(), (torch.randn(NUM_ITEMS, 100) / 10).requires_grad_()
    target = torch.randint(NUM_ITEMS, (64,))
    buffer = tiled_buffer(64, items, torch.empty(0)).bfloat16()
    loss, *grads = gradients(tiled_cross_entropy(session, items, target, buffer), session, items)
    plain_loss, *plain_grads = gradients(F.cross_entropy(session @ items.T, target), session, items)
    assert (loss - plain_loss).abs() < 1e-4
    for one, other, bound in zip(grads, plain_grads, (5e-4, 2e-4), strict=True):
        assert one.dtype == torch.float
        assert 0 < (one - other).norm() < bound * other.norm()


@pytest.mark.parametrize("is_able", [True, False])
def test_autocast_asks_for_16_bits_where_the_cpu_has_them(is_able: bool, monkeypatch):
    monkeypatch.setattr("srgnn.nn.softmax.has_bfloat16", lambda: is_able)
    session, items, target = embeddings(scale=0.1)
    _, plain, _ = gradients(tiled(session, items, target), session, items)
    with torch.autocast("cpu", torch.bfloat16):
        _, ours, _ = gradients(tiled(session, items, target), session, items)
        assert torch.equal(ours, plain) is not is_able
        assert tiled(session.double(), items.double(), target).dtype == torch.double


def test_large_logits_stay_in_32_bits():
    session, items, target = embeddings(scale=300.0)
    buffer = tiled_buffer(SESSIONS, items, torch.empty(0))
    plain = gradients(tiled_cross_entropy(session, items, target, buffer), session, items)
    ours = gradients(tiled_cross_entropy(session, items, target, buffer.bfloat16()), session, items)
    for one, other in zip(ours, plain, strict=True):
        assert torch.equal(one, other)


def test_the_capabilities_of_this_cpu_are_known():
    assert isinstance(has_bfloat16(), bool)
