"""Softmax cross entropy over all items from the embeddings of sessions and items, without holding the scores.

Shapes of every function here:
    session [B, d], items [V, d], target [B] -> mean over the batch, a scalar
"""

import math
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

ITEMS_PER_TILE = 768  # per thread: with 512 sessions 1.5 MB of logits, which stay in its caches
SAFE_BITS = 96  # base-2 logits below this need no shift: the sum over 2^24 items stays below float32's 2^127
LOGITS_PER_CHUNK = 2**24  # 64 MB in float32


def tiled_cross_entropy(session: Tensor, items: Tensor, target: Tensor, buffer: Tensor) -> Tensor:
    """Cross entropy in tiles of items. Meant for a CPU; stays in float32 under autocast.

    Args:
        buffer: Scratch memory of at least :func:`tiled_buffer_size` numbers. Pass the same buffer in every step, so
            that it is allocated only once.
    """
    rows = _tiled_buffer_rows(items.size(0))
    buffer = buffer[: rows * session.size(0)].view(rows, -1)
    loss: Tensor = _TiledSoftmax.apply(session, items, target, buffer)  # type: ignore[no-untyped-call]
    return loss


def tiled_buffer_size(num_sessions: int, num_items: int) -> int:
    """Number of elements that :func:`tiled_cross_entropy` needs as scratch memory."""
    return _tiled_buffer_rows(num_items) * num_sessions


def chunked_cross_entropy(session: Tensor, items: Tensor, target: Tensor) -> Tensor:
    """Cross entropy in chunks of sessions, holding :data:`LOGITS_PER_CHUNK` logits at a time.

    Under autocast the products are computed in bfloat16 and added up in float32.
    """
    loss: Tensor = _ChunkedSoftmax.apply(session, items, target)  # type: ignore[no-untyped-call]
    return loss


def fastest_method(device: torch.device) -> str:
    """The method of :class:`~srgnn.nn.losses.FullSoftmax` that suits the device, autocast and installed packages."""
    if device.type == "cpu":
        return "tiled"
    ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)  # cut-cross-entropy needs it
    return "cut" if ampere and _in_bfloat16(device) and find_spec("cut_cross_entropy") else "chunked"


class _TiledSoftmax(torch.autograd.Function):
    """Tiles of items, with logits laid out [items, sessions] and one part of each tile for each thread.

    The first pass computes the exponentials of a tile, their sums and the gradient of the sessions while the tile is in
    the caches; the second multiplies the exponentials once more, for the gradient of the items. Exponentials are to
    base 2, which torch computes three times as fast.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, session: Tensor, items: Tensor, target: Tensor, buffer: Tensor) -> Tensor:
        (num_sessions, width), num_items, parts = session.shape, items.size(0), torch.get_num_threads()
        exps, logits = buffer[:num_items], buffer[num_items:]  # [V, B], and a tile that stays in the caches
        tiles = _tiles(num_items, parts)
        session_in_bits = session.T * math.log2(math.e)  # [d, B], for logits to base 2
        shift = _shift(session_in_bits, items)

        total = session.new_zeros(parts, num_sessions)
        session_grad = session.new_zeros(parts, width, num_sessions)
        for first, last, n in tiles:
            rows, tile = items[first:last].view(n, -1, width), exps[first:last].view(n, -1, num_sessions)
            scores = logits[: last - first].view_as(tile)
            torch.bmm(rows, session_in_bits.expand(n, -1, -1), out=scores)
            if shift is not None:
                scores.sub_(shift)
            torch.exp2(scores, out=tile)
            total[:n] += tile.sum(dim=1)
            session_grad[:n].baddbmm_(rows.transpose(1, 2), tile)
        total = total.sum(dim=0)  # [B]
        weight = 1 / (total * num_sessions)  # from exponentials to probabilities over the batch size

        item_grad = torch.empty_like(items)
        weighted = session * weight.view(-1, 1)
        for first, last, _ in reversed(tiles):  # the last tiles are still in the caches
            torch.mm(exps[first:last], weighted, out=item_grad[first:last])

        target_rows = items[target]  # [B, d]
        item_grad.index_add_(0, target, session, alpha=-1 / num_sessions)
        session_grad = (session_grad.sum(dim=0) * weight).T - target_rows / num_sessions
        ctx.gradients = session_grad, item_grad
        log_total = total.log() if shift is None else total.log() + shift * math.log(2)
        return (log_total - (session * target_rows).sum(dim=1)).mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled_gradients(ctx, grad), None, None


def _tiled_buffer_rows(num_items: int) -> int:
    """Rows of the buffer: the exponentials of all items, and the logits of one tile."""
    return num_items + torch.get_num_threads() * ITEMS_PER_TILE


def _tiles(num_items: int, parts: int) -> list[tuple[int, int, int]]:
    """(first, last, parts) of every tile; the remaining items form a tile of one part."""
    size = parts * ITEMS_PER_TILE
    whole = num_items - num_items % size
    rest = [(whole, num_items, 1)] if whole < num_items else []
    return [(first, first + size, parts) for first in range(0, whole, size)] + rest


def _shift(session_in_bits: Tensor, items: Tensor) -> Tensor | None:
    """The largest logit of every session [B], or None where no exponential can leave the range of float32."""
    bound = session_in_bits.norm(dim=0).max() * items.norm(dim=1).max()
    if bound < SAFE_BITS:
        return None
    return torch.stack([(rows @ session_in_bits).amax(dim=0) for rows in torch.split(items, ITEMS_PER_TILE)]).amax(
        dim=0
    )


class _ChunkedSoftmax(torch.autograd.Function):
    """Chunks of sessions, each against all items."""

    @staticmethod
    def forward(ctx: Any, session: Tensor, items: Tensor, target: Tensor) -> Tensor:
        # Never float16, in which a probability divided by the batch size rounds to zero.
        dtype = torch.bfloat16 if _in_bfloat16(session.device) else items.dtype
        session_grad, item_grad = torch.empty_like(session), torch.zeros_like(items)
        no_autocast = torch.autocast(session.device.type, enabled=False) if _autocast(session.device) else nullcontext()
        with no_autocast:
            session, weight = session.to(dtype), items.to(dtype)
            num_sessions, size = session.size(0), max(1, LOGITS_PER_CHUNK // items.size(0))
            loss = items.new_zeros(())
            for first in range(0, num_sessions, size):
                chunk = slice(first, first + size)
                logits = (session[chunk] @ weight.T).to(items.dtype)  # [b, V]
                column = target[chunk].view(-1, 1)
                log_total = logits.logsumexp(dim=1, keepdim=True)
                loss += (log_total - logits.gather(1, column)).sum() / num_sessions
                grad = logits.sub_(log_total).exp_()
                grad.scatter_add_(1, column, torch.full_like(column, -1, dtype=grad.dtype))
                grad = grad.div_(num_sessions).to(dtype)
                session_grad[chunk] = grad @ weight
                item_grad += grad.T @ session[chunk]
        ctx.gradients = session_grad, item_grad
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled_gradients(ctx, grad), None


def _scaled_gradients(ctx: Any, grad: Tensor) -> list[Tensor]:
    # Handed over rather than kept: their receiver accumulates the gradient of the looked-up rows into them in place.
    gradients, ctx.gradients = ctx.gradients, None
    if grad.device.type == "cpu" and grad == 1:  # on a GPU, reading the number would wait for all queued work
        return list(gradients)
    return [gradient.mul_(grad) for gradient in gradients]


def _autocast(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _in_bfloat16(device: torch.device) -> bool:
    return _autocast(device) and torch.get_autocast_dtype(device.type) == torch.bfloat16
