from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Embedding

ROWS_PER_TILE = 2048  # of 100 numbers: 0.8 MB, which stays in a core's cache
SMALLEST_NORM = 1e-12  # as in torch.nn.functional.normalize


class ItemEmbedding(Embedding):
    """Item embeddings: looked up for the clicks of sessions, and multiplied by session embeddings as one table.

    `sparse = True` makes the gradient of the looked-up rows a sparse tensor.

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

    def forward(self, items: Tensor) -> Tensor:
        rows = super().forward(items)
        return F.normalize(rows, eps=SMALLEST_NORM) if self.normalized else rows

    def scores(self, session: Tensor) -> Tensor:
        """Products of session embeddings with all items, [B, d] -> [B, V], without a normalised copy of the table."""
        with torch.autocast(session.device.type, enabled=False):  # in 16 bits many scores would be equal
            scores = session.to(self.weight.dtype) @ self.weight.T
        if not self.normalized:
            return scores
        norm: Tensor = torch.linalg.vector_norm(self.weight, dim=1)
        return scores / norm.clamp(min=SMALLEST_NORM)

    def with_table(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the looked-up rows [N, d] and the whole table [V, d]; their gradients share one [V, d] buffer.

        Separate lookups would fill, add and read two gradients of that size. The buffer is the gradient
        that the loss passes for the table, so the loss must not use it afterwards.
        """
        rows, table = _WithTable.apply(self.weight, items, self.normalized)  # type: ignore[no-untyped-call]
        return rows, table


class _WithTable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, items: Tensor, normalized: bool) -> tuple[Tensor, Tensor]:
        ctx.normalized = normalized
        if not normalized:
            ctx.save_for_backward(items)
            return weight[items], weight.view_as(weight)
        table, norm = torch.empty_like(weight), weight.new_empty(weight.size(0), 1)
        for out, rows, length in _tiles(table, weight, norm):
            torch.linalg.vector_norm(rows, dim=1, keepdim=True, out=length).clamp_(min=SMALLEST_NORM)
            torch.div(rows, length, out=out)
        ctx.save_for_backward(items, table, norm)
        return table[items], table

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, rows_grad: Tensor, table_grad: Tensor) -> tuple[Tensor | None, ...]:
        items, *rest = ctx.saved_tensors
        # The loss hands over its gradient buffer, so it is safe to accumulate into it in place.
        gradient = table_grad.contiguous().index_add_(0, items, rows_grad)
        if ctx.normalized:
            table, norm = rest
            # Project out the component along the row: the norm does not affect the scores.
            for grad, direction, length in _tiles(gradient, table, norm):
                component = (grad * direction).sum(dim=1, keepdim=True)
                grad.addcmul_(direction, component, value=-1).div_(length)
        return gradient, None, None


def _tiles(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Slices of the same rows of every tensor; on a GPU one slice of all rows."""
    size = ROWS_PER_TILE if tensors[0].device.type == "cpu" else tensors[0].size(0)
    return zip(*(torch.split(tensor, size) for tensor in tensors), strict=True)
