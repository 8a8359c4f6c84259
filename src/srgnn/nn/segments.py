"""Attention within segments: consecutive rows that belong to one node or one session."""

from torch import Tensor
from torch_geometric.utils import segment


def attend(logits: Tensor, values: Tensor, owner: Tensor, segments: Tensor) -> Tensor:
    r"""The mean of the values of every segment, weighted by the softmax of its logits.

    .. math:: \sum_i \frac{\exp(e_i)}{\sum_j \exp(e_j)} \mathbf{v}_i

    Sorted segments instead of scattered additions: the same result in every run, on every device.

    Args:
        logits: The logits :math:`e`, one per row, or one per number of `values`.
        values: The values :math:`\mathbf{v}`.
        owner: The segment of every row, ascending.
        segments: Pointers of the segments, of which none is empty.

    Shapes:
        logits [n, 1] or [n, d], values [n, d], owner [n], segments [S + 1] -> [S, d]
    """
    largest = segment(logits.detach(), segments, reduce="max")  # cancels: it only keeps the exponentials finite
    weight = (logits - largest.index_select(0, owner)).exp()
    total: Tensor = segment(weight * values, segments, reduce="sum") / segment(weight, segments, reduce="sum")
    return total
