"""Losses over all items, and one over a sample of them.

Those of :data:`LOSSES` map scores [B, V] and targets [B] to the mean over the batch. The modules do the same from the
embeddings of sessions and items, so that the scores need not be held.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from srgnn.errors import check_choice, check_float, check_int


def cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Softmax cross entropy, -log p(target): what the authors' code trains with."""
    return F.cross_entropy(scores, target)


def binary_cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    r"""The paper's sum of binary terms over the softmax probabilities (Wu et al., 2019, eq. 10).

    .. math:: -\sum_i y_i \log p_i + (1 - y_i) \log(1 - p_i)
    """
    log_p = F.log_softmax(scores, dim=-1)
    # log(1 - p) from log p without cancellation: expm1 near p = 1, log1p near p = 0. The clamp keeps the gradient
    # finite where p rounds to 1.
    safe = log_p.clamp(max=-torch.finfo(log_p.dtype).eps)
    near_one = safe > -math.log(2)
    log_q = torch.where(
        near_one,
        torch.log(-torch.expm1(safe.clamp(min=-math.log(2)))),
        torch.log1p(-torch.exp(safe.clamp(max=-math.log(2)))),
    )
    of_target = log_p.gather(1, target.view(-1, 1)) - log_q.gather(1, target.view(-1, 1))
    return -(log_q.sum(dim=1) + of_target.squeeze(1)).mean()


LOSSES = {"cross_entropy": cross_entropy, "binary_cross_entropy": binary_cross_entropy}


class OfScores(Module):
    """A loss over scores as one over embeddings: the plain path, which holds all scores of the batch.

    Shapes:
        session [B, d], items [V, d], target [B] -> scalar
    """

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.loss = loss

    def forward(self, session: Tensor, items: Tensor, target: Tensor) -> Tensor:
        return self.loss(session @ items.T, target)


class FullSoftmax(Module):
    """Softmax cross entropy over all items: loss and gradients of :func:`cross_entropy`, without its buffers.

    Both gradients are made together with the loss, so that no score outlives its use.

    Args:
        method: `tiled` keeps the exponentials in one buffer of B·V, which is used again in every step, and is made for
            a CPU. `chunked` holds :data:`LOGITS_PER_CHUNK` logits at a time. `cut` is cut-cross-entropy (Wijmans et
            al., 2025) for training in bfloat16 on a GPU, where that package is installed; it counts the targets, for
            which the host waits. None takes what suits the device.

    Shapes:
        session [B, d], items [V, d], target [B] -> scalar
    """

    def __init__(self, method: str | None = None):
        super().__init__()
        if method is not None:
            check_choice("method", method, ["tiled", "chunked", "cut"])
        self.method = method
        self.buffer = torch.empty(0)

    def forward(self, session: Tensor, items: Tensor, target: Tensor) -> Tensor:
        method = self.method or _suited(session.device)
        if method == "cut":
            from cut_cross_entropy import linear_cross_entropy

            return linear_cross_entropy(session, items, target, filter_eps=None, accum_c_fp32=True)
        if method == "chunked":
            return _ChunkedSoftmax.apply(session, items, target)
        rows = items.size(0) + torch.get_num_threads() * ITEMS_PER_TILE
        needed = rows * session.size(0)
        if self.buffer.numel() < needed or self.buffer.dtype != items.dtype:
            self.buffer = items.new_empty(needed)
        return _TiledSoftmax.apply(session, items, target, self.buffer[:needed].view(rows, -1))


def _suited(device: torch.device) -> str:
    if device.type == "cpu":
        return "tiled"
    ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)  # which the package asks for
    return "cut" if ampere and _in_bfloat16(device) and find_spec("cut_cross_entropy") else "chunked"


def _autocast(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _in_bfloat16(device: torch.device) -> bool:
    return _autocast(device) and torch.get_autocast_dtype(device.type) == torch.bfloat16


ITEMS_PER_TILE = 768  # of each thread: with 512 sessions 1.5 MB of logits, which stay in its caches
SAFE_BITS = 96  # logits to base 2 below this need no shift: their sums over 2^24 items stay below float32's 2^127
LOGITS_PER_CHUNK = 2**24  # 64 MB in float32


class _TiledSoftmax(torch.autograd.Function):
    """Tiles of items, with logits laid out [items, sessions] and one part of each tile for each thread.

    The first pass makes the exponentials of a tile, their sums and the gradient of the sessions while the tile is in
    the caches; the second one multiplies them once more, for the gradient of the items. Exponentials are to base 2,
    which torch computes three times as fast.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, session: Tensor, items: Tensor, target: Tensor, buffer: Tensor) -> Tensor:
        (num_sessions, width), num_items, parts = session.shape, items.size(0), torch.get_num_threads()
        exps, logits = buffer[:num_items], buffer[num_items:]  # [V, B], and a tile that stays in the caches
        tiles = _tiles(num_items, parts)
        in_bits = session.T * math.log2(math.e)  # [d, B]
        shift = _shift(in_bits, items)

        total = session.new_zeros(parts, num_sessions)
        session_grad = session.new_zeros(parts, width, num_sessions)
        for first, last, n in tiles:
            rows, tile = items[first:last].view(n, -1, width), exps[first:last].view(n, -1, num_sessions)
            scores = logits[: last - first].view_as(tile)
            torch.bmm(rows, in_bits.expand(n, -1, -1), out=scores)
            if shift is not None:
                scores.sub_(shift)
            torch.exp2(scores, out=tile)
            total[:n] += tile.sum(dim=1)
            session_grad[:n].baddbmm_(rows.transpose(1, 2), tile)
        total = total.sum(dim=0)  # [B]
        weight = 1 / (total * num_sessions)  # from exponentials to probabilities over the batch size

        item_grad = torch.empty_like(items)
        weighted = session * weight.view(-1, 1)
        for first, last, _ in reversed(tiles):  # the last ones are still in the caches
            torch.mm(exps[first:last], weighted, out=item_grad[first:last])

        of_target = items[target]  # [B, d]
        item_grad.index_add_(0, target, session, alpha=-1 / num_sessions)
        session_grad = (session_grad.sum(dim=0) * weight).T - of_target / num_sessions
        ctx.gradients = session_grad, item_grad
        log_total = total.log() if shift is None else total.log() + shift * math.log(2)
        return (log_total - (session * of_target).sum(dim=1)).mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled(ctx, grad), None, None


def _tiles(num_items: int, parts: int) -> list[tuple[int, int, int]]:
    """(first, last, parts) of every tile; the rest of the items is one part."""
    size = parts * ITEMS_PER_TILE
    whole = num_items - num_items % size
    rest = [(whole, num_items, 1)] if whole < num_items else []
    return [(first, first + size, parts) for first in range(0, whole, size)] + rest


def _shift(in_bits: Tensor, items: Tensor) -> Tensor | None:
    """The largest logit of every session [B], or None where no exponential can leave the range of float32."""
    bound = in_bits.norm(dim=0).max() * items.norm(dim=1).max()
    if bound < SAFE_BITS:
        return None
    return torch.stack([(rows @ in_bits).amax(dim=0) for rows in items.split(ITEMS_PER_TILE)]).amax(dim=0)


class _ChunkedSoftmax(torch.autograd.Function):
    """Chunks of sessions, each against all items; products in 16 bits under autocast, sums in float32."""

    @staticmethod
    def forward(ctx: Any, session: Tensor, items: Tensor, target: Tensor) -> Tensor:
        # Not float16, in which a probability over the batch size is nothing.
        dtype = torch.bfloat16 if _in_bfloat16(session.device) else items.dtype
        session_grad, item_grad = torch.empty_like(session), torch.zeros_like(items)
        off = torch.autocast(session.device.type, enabled=False) if _autocast(session.device) else nullcontext()
        with off:
            session, weight = session.to(dtype), items.to(dtype)
            num_sessions, size = session.size(0), max(1, LOGITS_PER_CHUNK // items.size(0))
            loss = items.new_zeros(())
            for first in range(0, num_sessions, size):
                chunk = slice(first, first + size)
                logits = (session[chunk] @ weight.T).to(items.dtype)  # [b, V]
                of_target = target[chunk].view(-1, 1)
                log_total = logits.logsumexp(dim=1, keepdim=True)
                loss += (log_total - logits.gather(1, of_target)).sum() / num_sessions
                grad = logits.sub_(log_total).exp_()
                grad.scatter_add_(1, of_target, torch.full_like(of_target, -1, dtype=grad.dtype))
                grad = grad.div_(num_sessions).to(dtype)
                session_grad[chunk] = grad @ weight
                item_grad += grad.T @ session[chunk]
        ctx.gradients = session_grad, item_grad
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled(ctx, grad), None


def _scaled(ctx: Any, grad: Tensor) -> list[Tensor]:
    gradients, ctx.gradients = ctx.gradients, None  # given away, so that the lookups' gradient is added in place
    if grad.device.type == "cpu" and grad == 1:  # a look at a number on a GPU would wait for it
        return list(gradients)
    return [gradient.mul_(grad) for gradient in gradients]


class SampledSoftmax(Module):
    r"""Softmax cross entropy over the target and a sample of the other items, the same one for the whole batch.

    With negatives :math:`j` drawn with probability :math:`q_j`, :math:`K` of them with replacement:

    .. math:: -s_t + \log \big( e^{s_t} + \textstyle\sum_{j \ne t} e^{s_j - \log (K q_j)} \big)

    where draws of the target itself (accidental hits) are left out. The expectation of the sum is that of all items
    (Bengio and Senécal, 2008). The target's own score is not corrected, since it is always there (Khrylchenko et al.,
    RecSys 2025).

    Args:
        clicks: Of every item in training, [V]; None where the loss is only checked.
        negatives: How many are drawn for every batch, :math:`K`.
        power: They are drawn by clicks to this power: 0 is uniform, 1 by popularity. An item without clicks counts as
            one with one.

    Shapes:
        session [B, d], lookup: items [K] -> [K, d], target [B] -> scalar
    """

    cumulative: Tensor
    log_q: Tensor

    def __init__(self, clicks: Tensor | None, negatives: int = 8192, power: float = 0.5):
        super().__init__()
        self.negatives = check_int("sampling.negatives", negatives, 1)
        check_float("sampling.power", power, 0)
        if clicks is not None:
            q = clicks.double().clamp(min=1) ** power
            cumulative = q.cumsum(0)
            self.register_buffer("cumulative", cumulative / cumulative[-1], persistent=False)
            self.register_buffer("log_q", (q / q.sum()).log().float(), persistent=False)

    def forward(self, session: Tensor, lookup: Callable[[Tensor], Tensor], target: Tensor) -> Tensor:
        draws = torch.rand(self.negatives, dtype=torch.double, device=session.device)
        negatives = torch.searchsorted(self.cumulative, draws)  # [K]
        of_target = (session * lookup(target)).sum(dim=1)  # [B]
        correction = -(self.log_q[negatives] + math.log(self.negatives))  # [K]
        is_target = negatives == target.view(-1, 1)
        offset = correction.expand_as(is_target).masked_fill(is_target, -torch.inf)
        scores = session @ lookup(negatives).T + offset  # [B, K], in float32 also where the product is not
        scores = torch.cat([of_target.view(-1, 1).to(scores.dtype), scores], dim=1)  # the target first
        return F.cross_entropy(scores, torch.zeros_like(target))
