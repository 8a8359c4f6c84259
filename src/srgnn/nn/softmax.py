"""Softmax cross entropy over all items from the embeddings of sessions and items, without holding the scores.

Shapes of every function here:
    session [B, d], items [V, d], target [B] -> mean over the batch, a scalar

Where the table is sharded over processes, each has the items of its block and the sessions and targets of the same
batch. Beside its loss, a process exchanges for every session the sum of the exponentials, the row of the target, and
the gradient: their size does not depend on the number of items.
"""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from srgnn.nn.sharding import RowShard, add_rows, look_up
from srgnn.threads import num_parts, run_parts

LOGITS_PER_TILE = 400_000  # 1.6 MB in float32, which stays in the caches of a core
SAFE_BITS = 96  # sums of exponentials from 2^-96 to 2^96 need no shift: float32 reaches from 2^-126 to 2^127
LOGITS_PER_CHUNK = 2**24  # 64 MB in float32


def tiled_cross_entropy(
    session: Tensor, items: Tensor, target: Tensor, buffer: Tensor, shard: RowShard | None = None
) -> Tensor:
    """Cross entropy in tiles of items, for a CPU.

    With a bfloat16 buffer, products and exponentials are bfloat16; sums, the loss and gradients stay float32. Sums
    beyond :data:`SAFE_BITS` need a float32 buffer.

    Args:
        buffer: Scratch memory from :func:`tiled_buffer`, whose type is that of the products. Pass the same buffer in
            every step, so that it is allocated only once.
        shard: The block of the table that `items` is; None stands for the whole table.
    """
    with torch.autocast("cpu", enabled=False):
        loss: Tensor = _TiledSoftmax.apply(session.to(items.dtype), items, target, buffer, shard)  # type: ignore[no-untyped-call]
    return loss


def tiled_buffer(num_sessions: int, items: Tensor, buffer: Tensor) -> Tensor:
    """Scratch memory for :func:`tiled_cross_entropy`: the last `buffer`, or a new one if that does not fit.

    Its type is bfloat16 if that is asked for (:func:`in_bfloat16`) and the CPU has it, else that of the items.
    """
    use_bfloat16 = items.dtype == torch.float32 and in_bfloat16(items.device) and has_bfloat16()
    dtype = torch.bfloat16 if use_bfloat16 else items.dtype
    needed = items.size(0) * num_sessions + torch.get_num_threads() * LOGITS_PER_TILE
    return buffer if buffer.numel() >= needed and buffer.dtype == dtype else items.new_empty(needed, dtype=dtype)


@cache
def has_bfloat16() -> bool:
    """Whether this CPU has instructions for products in bfloat16."""
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("arm_bf16"))


def chunked_cross_entropy(session: Tensor, items: Tensor, target: Tensor, shard: RowShard | None = None) -> Tensor:
    """Cross entropy in chunks of sessions, holding :data:`LOGITS_PER_CHUNK` logits at a time.

    Under autocast to bfloat16, products are bfloat16, and are added up in float32; else they have the table's type.

    Args:
        shard: The block of the table that `items` is; None stands for the whole table.
    """
    loss: Tensor = _ChunkedSoftmax.apply(session, items, target, shard)  # type: ignore[no-untyped-call]
    return loss


class _TiledSoftmax(torch.autograd.Function):
    """Tiles of items, with logits laid out [items, sessions]; each thread takes tiles of its own.

    The first pass computes the exponentials of a tile, their sums and the gradient of the sessions while the tile is in
    the caches; the second multiplies the exponentials once more, for the gradient of the items. Exponentials are to
    base 2, which torch computes three times as fast.
    """

    @staticmethod
    def forward(
        ctx: Any, session: Tensor, items: Tensor, target: Tensor, buffer: Tensor, shard: RowShard | None
    ) -> Tensor:
        (num_sessions, width), num_items, dtype = session.shape, items.size(0), buffer.dtype
        exps = buffer[: num_items * num_sessions].view(num_items, num_sessions)
        logits = buffer[num_items * num_sessions :]  # of one tile for each thread
        parts = _tiles_of_parts(num_items, max(1, LOGITS_PER_TILE // num_sessions))
        session_in_bits = (session.T * math.log2(math.e)).contiguous()  # [d, B], for logits to base 2
        factor = session_in_bits.to(dtype)
        total = session.new_empty(len(parts), num_sessions)
        session_grad = session.new_empty(len(parts), width, num_sessions)

        def exponentials(part: int, thread: int) -> None:
            total[part], session_grad[part] = 0, 0
            for rows in parts[part]:
                tile, weight = exps[rows], items[rows].to(dtype)
                scores = logits[thread * LOGITS_PER_TILE :][: tile.numel()].view_as(tile)
                torch.mm(weight, factor, out=scores)
                if shift is not None:
                    scores.sub_(shift)
                torch.exp2(scores, out=tile)
                total[part] += tile.sum(dim=0, dtype=session.dtype)
                session_grad[part] += weight.T @ tile

        def total_of_all() -> Tensor:
            run_parts(exponentials, len(parts))
            sums = total.sum(dim=0)  # [B]
            return sums if shard is None else shard.sum(sums)

        shift = None
        sums = total_of_all()
        if not (sums.amin() > 2.0**-SAFE_BITS and sums.amax() < 2.0**SAFE_BITS):  # nor for NaN
            if dtype != items.dtype:  # so large a number has no digits after the point in 16 bits
                buffer = torch.empty_like(buffer, dtype=items.dtype)
                return _TiledSoftmax.forward(ctx, session, items, target, buffer, shard)
            shift = _largest_logits(session_in_bits, items)
            shift = shift if shard is None else shard.maximum(shift)
            sums = total_of_all()

        session_gradient = session_grad.sum(dim=0)  # [d, B]
        if shard is not None:
            shard.sum(session_gradient)
        weight = 1 / (sums * num_sessions)  # from exponentials to probabilities over the batch size
        weighted = (session * weight.view(-1, 1)).to(dtype)
        item_grad = torch.empty_like(items)

        def gradient_of_items(part: int, thread: int) -> None:
            for rows in reversed(parts[-1 - part]):  # the last tiles are still in the caches
                item_grad[rows] = exps[rows] @ weighted

        run_parts(gradient_of_items, len(parts))
        target_rows = look_up(items, target, shard)  # [B, d]
        add_rows(item_grad, session * (-1 / num_sessions), target, shard)
        session_gradient = (session_gradient * weight).T - target_rows / num_sessions
        ctx.gradients = session_gradient, item_grad
        log_total = sums.log() if shift is None else sums.log() + shift * math.log(2)
        return (log_total - (session * target_rows).sum(dim=1)).mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled_gradients(ctx, grad), None, None, None


def _tiles_of_parts(num_items: int, largest: int) -> list[list[slice]]:
    """The rows of every tile, at most `largest` of them, in parts of about as many rows."""
    size = -(-num_items // num_parts())
    parts = []
    for first in range(0, num_items, size):
        last = min(first + size, num_items)
        step = -(-(last - first) // -(-(last - first) // largest))  # tiles of the same size
        parts.append([slice(row, min(row + step, last)) for row in range(first, last, step)])
    return parts


def _largest_logits(session_in_bits: Tensor, items: Tensor) -> Tensor:
    """The largest logit of every session, [B]."""
    tiles = torch.split(items, max(1, LOGITS_PER_TILE // session_in_bits.size(1)))
    return torch.stack([(rows @ session_in_bits).amax(dim=0) for rows in tiles]).amax(dim=0)


class _ChunkedSoftmax(torch.autograd.Function):
    """Chunks of sessions, each against all items."""

    @staticmethod
    def forward(ctx: Any, session: Tensor, items: Tensor, target: Tensor, shard: RowShard | None) -> Tensor:
        # Never float16, in which a probability divided by the batch size rounds to zero.
        dtype = torch.bfloat16 if in_bfloat16(session.device) else items.dtype
        session_grad, item_grad = torch.empty_like(session), torch.zeros_like(items)
        no_autocast = torch.autocast(session.device.type, enabled=False) if _autocast(session.device) else nullcontext()
        with no_autocast:
            session, weight = session.to(dtype), items.to(dtype)
            num_items = items.size(0) if shard is None else shard.size  # the same in all processes, as are the chunks
            num_sessions, size = session.size(0), max(1, LOGITS_PER_CHUNK // num_items)
            loss = items.new_zeros(())
            for first in range(0, num_sessions, size):
                chunk = slice(first, first + size)
                logits = (session[chunk] @ weight.T).to(items.dtype)  # [b, V]
                log_total = logits.logsumexp(dim=1, keepdim=True)
                if shard is None:
                    column, minus = target[chunk].view(-1, 1), torch.full_like(log_total, -1)
                else:
                    largest = shard.maximum(log_total.clone())
                    log_total = shard.sum((log_total - largest).exp_()).log_() + largest
                    place, is_here = shard.local(target[chunk])
                    column, minus = place.view(-1, 1), -is_here.view(-1, 1).to(log_total.dtype)
                # Every session counts in one process: in that which holds its target.
                loss += (minus * (logits.gather(1, column) - log_total)).sum() / num_sessions
                grad = logits.sub_(log_total).exp_()
                grad.scatter_add_(1, column, minus)
                grad = grad.div_(num_sessions).to(dtype)
                session_grad[chunk] = grad @ weight
                if dtype == items.dtype:
                    item_grad.addmm_(grad.T, session[chunk])  # without a second buffer of this size
                else:
                    item_grad += grad.T @ session[chunk]
            if shard is not None:
                shard.sum(loss)
                shard.sum(session_grad)
        ctx.gradients = session_grad, item_grad
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_scaled_gradients(ctx, grad), None, None


def _scaled_gradients(ctx: Any, grad: Tensor) -> list[Tensor]:
    # Handed over rather than kept: their receiver accumulates the gradient of the looked-up rows into them in place.
    gradients, ctx.gradients = ctx.gradients, None
    if grad.device.type == "cpu" and grad == 1:  # on a GPU, reading the number would wait for all queued work
        return list(gradients)
    return [gradient.mul_(grad) for gradient in gradients]


def _autocast(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def in_bfloat16(device: torch.device) -> bool:
    """Whether autocast asks for bfloat16 on this device."""
    return _autocast(device) and torch.get_autocast_dtype(device.type) == torch.bfloat16
