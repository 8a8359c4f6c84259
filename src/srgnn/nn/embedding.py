from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.nn import Embedding, Parameter

from srgnn.nn.sharding import LookUp, RowShard, add_rows, look_up
from srgnn.threads import run_parts

ROWS_PER_TILE = 2048  # of 100 numbers: 0.8 MB, which stays in a core's cache
SMALLEST_NORM = 1e-12  # as in torch.nn.functional.normalize


class ItemEmbedding(Embedding):
    """Item embeddings: looked up for the clicks of sessions, and multiplied by session embeddings as one table.

    `sparse = True` makes the gradient of the looked-up rows a sparse tensor. After :meth:`shard_over`, `weight` holds a
    block of the rows, and `shard` says which.

    Args:
        num_items: Number of items :math:`V`.
        hidden_size: Width :math:`d`.
        normalized: Whether rows are divided by their L2 norm wherever they are used.

    Shapes:
        items [N] -> [N, d]
    """

    # `reset_parameters` is not overridden: the constructor of Embedding calls it, and the normal numbers that torch's
    # version draws there are part of the random stream from which a seed's weights come.

    def __init__(self, num_items: int, hidden_size: int, normalized: bool = False):
        super().__init__(num_items, hidden_size)
        self.normalized = normalized
        self.shard: RowShard | None = None
        self.sources: tuple[Tensor, ...] | None = None

    def shard_over(self, mesh: DeviceMesh) -> None:
        """Keeps only the block of rows that this process holds of a table sharded over the processes of a mesh.

        Raises:
            UserError: if a process would hold no row.
        """
        self.shard = RowShard(self.num_embeddings, mesh)
        self.weight = Parameter(self.weight.detach()[self.shard.first : self.shard.last].clone())

    def table(self) -> Tensor:
        """The rows of all items, before they are normalised, [V, d]; of this block, if the table is sharded."""
        return self.weight

    def rows(self, items: Tensor) -> Tensor:
        """Rows of :meth:`table`, [N] -> [N, d], from whichever process holds them."""
        if self.shard is None:
            return super().forward(items)
        found: Tensor = LookUp.apply(self.weight, items, self.shard, self.sparse)  # type: ignore[no-untyped-call]
        return found

    def forward(self, items: Tensor) -> Tensor:
        rows = self.rows(items)
        return F.normalize(rows, eps=SMALLEST_NORM) if self.normalized else rows

    def norm(self, table: Tensor) -> Tensor | None:
        """What the scores of every item of :meth:`table` are divided by, [V, d] -> [V], or None if by nothing."""
        if not self.normalized:
            return None
        norm: Tensor = torch.linalg.vector_norm(table, dim=1)
        return norm.clamp(min=SMALLEST_NORM)

    def divided(self) -> Tensor:
        """The rows whose products with a session are the scores, [V, d]."""
        table = self.table().detach()
        norm = self.norm(table)
        return table if norm is None else table / norm.view(-1, 1)

    def scores(self, session: Tensor, table: Tensor | None = None, norm: Tensor | None = None) -> Tensor:
        """Products of session embeddings with all items, [B, d] -> [B, V], without a normalised copy of the table.

        If the table is sharded, the items are those in the block of this process.

        Args:
            session: Session embeddings.
            table, norm: The results of :meth:`table` and :meth:`norm`, for several calls with the same weights; None
                computes them.
        """
        table = self.table() if table is None else table
        with torch.autocast(session.device.type, enabled=False):  # in 16 bits many scores would be equal
            scores = session.to(table.dtype) @ table.T
        norm = self.norm(table) if norm is None else norm
        return scores if norm is None else scores / norm

    def with_table(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the looked-up rows [N, d] and the table [V, d]; their gradients share one [V, d] buffer.

        If the table is sharded, it is the block of this process.

        Separate lookups would fill, add and read two gradients of that size. The buffer is the gradient
        that the loss passes for the table, so the loss must not use it afterwards.
        """
        rows, table = _WithTable.apply(self.table(), items, self.normalized, self.shard)  # type: ignore[no-untyped-call]
        return rows, table

    def merged(self) -> "ItemEmbedding":
        """A plain table of the same rows, for a model that is trained no further.

        Its `sources` are the tensors that it was computed from, since its last bits differ between machines; None if it
        was not computed.
        """
        return self


class _WithTable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, items: Tensor, normalized: bool, shard: RowShard | None
    ) -> tuple[Tensor, Tensor]:
        ctx.normalized, ctx.shard = normalized, shard
        if not normalized:
            ctx.save_for_backward(items)
            return look_up(weight, items, shard), weight.view_as(weight)
        table, norm = torch.empty_like(weight), weight.new_empty(weight.size(0), 1)

        def normalize(rows: slice) -> None:
            torch.linalg.vector_norm(weight[rows], dim=1, keepdim=True, out=norm[rows]).clamp_(min=SMALLEST_NORM)
            torch.div(weight[rows], norm[rows], out=table[rows])

        _in_tiles(normalize, weight)
        ctx.save_for_backward(items, table, norm)
        return look_up(table, items, shard), table

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, rows_grad: Tensor, table_grad: Tensor) -> tuple[Tensor | None, ...]:
        items, *rest = ctx.saved_tensors
        # The loss hands over its gradient buffer, so it is safe to accumulate into it in place.
        gradient = add_rows(table_grad.contiguous(), rows_grad, items, ctx.shard)
        if ctx.normalized:
            table, norm = rest

            def project(rows: slice) -> None:  # out the component along the row: the norm does not affect the scores
                component = (gradient[rows] * table[rows]).sum(dim=1, keepdim=True)
                gradient[rows].addcmul_(table[rows], component, value=-1).div_(norm[rows])

            _in_tiles(project, gradient)
        return gradient, None, None, None


def _in_tiles(work: Callable[[slice], None], table: Tensor) -> None:
    """Does work on the rows of a table, tile by tile; on a GPU on all rows at once."""
    if table.device.type != "cpu":
        work(slice(None))
        return
    tiles = [slice(first, first + ROWS_PER_TILE) for first in range(0, len(table), ROWS_PER_TILE)]
    run_parts(lambda part, thread: work(tiles[part]), len(tiles))
