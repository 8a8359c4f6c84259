"""A table whose rows are sharded over several processes, each of which holds a block of them."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from srgnn.errors import UserError


@dataclass(frozen=True)
class RowShard:
    """The block of rows that this process holds of a table, as `Shard(0)` of a DTensor cuts it.

    Args:
        num_rows: Number of rows of the whole table, :math:`V`.
        mesh: The processes that share it, in one dimension. Each of them must make the same calls in the same order.

    Raises:
        UserError: if a process would hold no row.
    """

    num_rows: int
    mesh: DeviceMesh

    def __post_init__(self) -> None:
        if self.size * (self.mesh.size() - 1) >= self.num_rows:
            raise UserError(
                f"{self.num_rows:,} items are too few to be sharded over {self.mesh.size()} processes: use fewer.",
                "devices",
            )

    @property
    def size(self) -> int:
        """Number of rows of every process but the last, which may hold fewer."""
        return -(-self.num_rows // self.mesh.size())

    @property
    def first(self) -> int:
        """The first row that this process holds."""
        return self.size * self.mesh.get_local_rank()

    @property
    def last(self) -> int:
        """The row after the last one that this process holds."""
        return min(self.first + self.size, self.num_rows)

    def __len__(self) -> int:
        return self.last - self.first

    def local(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The places of rows in the block of this process, and whether they are there; places elsewhere mean nothing.

        Shapes:
            rows [N] -> [N] and [N]
        """
        return (rows - self.first).clamp(0, len(self) - 1), (rows >= self.first) & (rows < self.last)

    def look_up(self, block: Tensor, rows: Tensor) -> Tensor:
        """The rows of the table, from whichever process holds them; `block` is that of this process.

        Shapes:
            block [V / P, d], rows [N] -> [N, d]
        """
        place, is_here = self.local(rows)
        return self.sum(torch.where(is_here.view(-1, 1), block[place], 0))

    def sum(self, values: Tensor) -> Tensor:
        """Adds up the values of all processes, in place."""
        dist.all_reduce(values, dist.ReduceOp.SUM, self.mesh.get_group())
        return values

    def maximum(self, values: Tensor) -> Tensor:
        """The largest of the values of all processes, in place."""
        dist.all_reduce(values, dist.ReduceOp.MAX, self.mesh.get_group())
        return values

    def gather(self, values: Tensor) -> list[Tensor]:
        """The values of every process, which have the same shape."""
        parts = [torch.empty_like(values) for _ in range(self.mesh.size())]
        dist.all_gather(parts, values.contiguous(), self.mesh.get_group())
        return parts


class LookUp(torch.autograd.Function):
    """:meth:`RowShard.look_up` with a gradient: each process keeps that of its own rows, dense or sparse.

    It relies on all processes computing the same from the rows, so that no gradient has to be exchanged.
    """

    @staticmethod
    def forward(ctx: Any, block: Tensor, rows: Tensor, shard: RowShard, sparse: bool) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape, ctx.shard, ctx.sparse = block.shape, shard, sparse
        return shard.look_up(block, rows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (rows,) = ctx.saved_tensors
        if ctx.sparse:
            place, is_here = ctx.shard.local(rows)
            gradient = torch.sparse_coo_tensor(
                place[is_here].view(1, -1), grad[is_here], ctx.shape, check_invariants=False
            )
        else:
            gradient = add_rows(grad.new_zeros(ctx.shape), grad, rows, ctx.shard)
        return gradient, None, None, None


class Sum(torch.autograd.Function):
    """:meth:`RowShard.sum` with a gradient: each process keeps that of its own values, as in :class:`LookUp`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, shard: RowShard) -> Tensor:
        return shard.sum(values.clone())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad, None


def add_rows(block: Tensor, values: Tensor, rows: Tensor, shard: RowShard | None) -> Tensor:
    """Adds values [N, d] to rows [N] of a table in place, or to those that are in the block of this process."""
    if shard is None:
        return block.index_add_(0, rows, values)
    place, is_here = shard.local(rows)
    return block.index_add_(0, place, torch.where(is_here.view(-1, 1), values, 0))


def look_up(block: Tensor, rows: Tensor, shard: RowShard | None) -> Tensor:
    """Rows [N] of a table, [N, d], whether or not it is sharded."""
    return block[rows] if shard is None else shard.look_up(block, rows)
