from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Embedding

ROWS_PER_TILE = 2048  # of 100 numbers: 0.8 MB, which stays in a core's cache
SMALLEST_NORM = 1e-12  # as in torch.nn.functional.normalize


class ItemEmbedding(Embedding):
    """The embeddings of the items: looked up for the clicks, and multiplied with the sessions as a table.

    Args:
        num_items, hidden_size: :math:`V` and :math:`d`.
        normalized: Rows are divided by their L2 norm wherever they are used.

    `sparse = True` makes the gradient of what is looked up a sparse one.

    Shapes:
        items [N] -> [N, d]
    """

    def __init__(self, num_items: int, hidden_size: int, normalized: bool = False):
        super().__init__(num_items, hidden_size)
        self.normalized = normalized

    def forward(self, items: Tensor) -> Tensor:
        rows = super().forward(items)
        return F.normalize(rows, eps=SMALLEST_NORM) if self.normalized else rows

    def scores(self, session: Tensor) -> Tensor:
        """Products of session embeddings with all items, [B, d] -> [B, V], without a second table."""
        with torch.autocast(session.device.type, enabled=False):  # in 16 bits many scores would be equal
            scores = session.to(self.weight.dtype) @ self.weight.T
        if not self.normalized:
            return scores
        return scores / torch.linalg.vector_norm(self.weight, dim=1).clamp(min=SMALLEST_NORM)

    def with_table(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Some of them and all of them, [N, d] and [V, d]; the gradient of the first is added to the second's in place.

        Two gradients of V·d would be filled, added and read otherwise.
        """
        return _WithTable.apply(self.weight, items, self.normalized)


class _WithTable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, items: Tensor, normalized: bool) -> tuple[Tensor, Tensor]:
        ctx.normalized = normalized
        if not normalized:
            ctx.save_for_backward(items)
            return weight[items], weight.view_as(weight)
        table, norm = torch.empty_like(weight), weight.new_empty(weight.size(0), 1)
        for out, row, length in _tiles(table, weight, norm):
            torch.linalg.vector_norm(row, dim=1, keepdim=True, out=length).clamp_(min=SMALLEST_NORM)
            torch.div(row, length, out=out)
        ctx.save_for_backward(items, table, norm)
        return table[items], table

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_rows: Tensor, of_table: Tensor) -> tuple[Tensor | None, ...]:
        items, *rest = ctx.saved_tensors
        # A loss gives its gradient away, so that nobody else reads what is added to here.
        gradient = of_table.contiguous().index_add_(0, items, of_rows)
        if ctx.normalized:
            table, norm = rest
            for grad, direction, length in _tiles(gradient, table, norm):  # what changes the norm changes nothing
                along = (grad * direction).sum(dim=1, keepdim=True)
                grad.addcmul_(direction, along, value=-1).div_(length)
        return gradient, None, None


def _tiles(*tensors: Tensor) -> zip:
    size = ROWS_PER_TILE if tensors[0].device.type == "cpu" else tensors[0].size(0)
    return zip(*(tensor.split(size) for tensor in tensors), strict=True)
