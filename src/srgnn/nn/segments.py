"""Segments, the consecutive rows of one owner such as a session or a node: attention, and the places of rows."""

import torch
from torch import Tensor
from torch_geometric.utils import segment


def segment_softmax(logits: Tensor, owner: Tensor, segments: Tensor) -> Tensor:
    r"""The softmax of logits within every segment, :math:`\exp(e_i) / \sum_j \exp(e_j)`.

    Sums are over sorted segments instead of scattered: the same result in every run, on every device.

    Args:
        logits: The logits :math:`e`.
        owner: The segment of every row, ascending.
        segments: Pointers of the segments, of which none is empty.

    Shapes:
        logits [n, d], owner [n], segments [S + 1] -> [n, d]
    """
    weight = _exponentials(logits, owner, segments)
    share: Tensor = weight / segment(weight, segments, reduce="sum").index_select(0, owner)
    return share


def attend(logits: Tensor, values: Tensor, owner: Tensor, segments: Tensor) -> Tensor:
    """The mean of the values of every segment, weighted by the softmax of its logits.

    Shapes:
        logits [n, 1] or [n, d], values [n, d], owner [n], segments [S + 1] -> [S, d]; see :func:`segment_softmax`
    """
    weight = _exponentials(logits, owner, segments)
    mean: Tensor = segment(weight * values, segments, reduce="sum") / segment(weight, segments, reduce="sum")
    return mean


def to_end(owner: Tensor, segments: Tensor) -> Tensor:
    """The number of rows from each row to the last one of its segment, which is 0 rows away from itself.

    Shapes:
        owner [n], ascending, segments [S + 1] -> [n]
    """
    return segments[1:][owner] - 1 - torch.arange(owner.size(0), device=owner.device)


def descending(owner: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Orders rows by their owners, and those of each owner by their values, the largest first; equal ones as they were.

    Shapes:
        owner [n], value [n] -> the rows in that order [n], the place of each within its owner's, from 0 [n]
    """
    order = value.argsort(descending=True, stable=True)
    order = order[owner[order].int().argsort(stable=True)]  # int32 sorts faster
    length = torch.unique_consecutive(owner[order], return_counts=True)[1]
    start = (length.cumsum(0) - length).repeat_interleave(length)
    return order, torch.arange(len(order), device=order.device) - start


def _exponentials(logits: Tensor, owner: Tensor, segments: Tensor) -> Tensor:
    """The exponentials of logits, divided by the largest one of their segment, which keeps them finite."""
    # A maximum is the same in any order of the rows, and scattered it takes a twentieth of the time of torch-scatter's
    # over segments.
    lowest = logits.new_full((segments.size(0) - 1, logits.size(1)), -torch.inf)
    largest = lowest.scatter_reduce_(0, owner.view(-1, 1).expand_as(logits), logits.detach(), "amax")
    return (logits - largest.index_select(0, owner)).exp()
