"""Functions of torch in a form that `torch.export` records for any sizes, and that ONNX has operations for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops.scan import scan  # has no public name yet; test_exporting.py runs it
from torch.overrides import TorchFunctionMode

STEPS = 32  # of a binary search where the number of keys is not known beforehand: enough for 2^32


def sorted_order(keys: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """`argsort` of non-negative integers in ascending order: ONNX has no stable one, so the keys are made distinct."""
    size = keys.size(dim)
    return (keys * size + torch.arange(size)).sort(dim=dim).indices


def pointers_of(index: Tensor, size: int, out_int32: bool = False) -> Tensor:
    """`torch._convert_indices_from_coo_to_csr`, which takes `size` for a constant: ascending [n] -> [size + 1]."""
    return index.new_zeros(size + 1).scatter_add(0, index + 1, torch.ones_like(index)).cumsum(0)


def reduced_segments(data: Tensor, reduce: str, *, offsets: Tensor, initial: float | None = None) -> Tensor:
    """`torch._segment_reduce` for sums and means, [n, ...] and [S + 1] -> [S, ...]; an empty segment gives zeros."""
    inner = offsets[1:-1]
    begins = offsets.new_zeros(data.size(0) + 1).scatter_add(0, inner, torch.ones_like(inner))
    columns = [1] * (data.dim() - 1)
    owner = begins[:-1].cumsum(0).view(-1, *columns).expand_as(data)
    total = data.new_zeros(offsets.size(0) - 1, *data.shape[1:]).scatter_add(0, owner, data)
    return total / offsets.diff().clamp(min=1).view(-1, *columns) if reduce == "mean" else total


def first_places(ordered: Tensor, values: Tensor) -> Tensor:
    """`torch.searchsorted`: where each value would be inserted into ascending keys, of which there is at least one."""
    size = ordered.size(0)
    low, high = torch.zeros_like(values), torch.full_like(values, size)
    for _ in range(size.bit_length() if isinstance(size, int) else STEPS):
        middle = (low + high) // 2
        is_less = ordered[middle.clamp(max=size - 1)] < values
        is_open = low < high
        low, high = torch.where(is_open & is_less, middle + 1, low), torch.where(is_open & ~is_less, middle, high)
    return low


def are_members(elements: Tensor, members: Tensor) -> Tensor:
    """`torch.isin` for integers below the largest one."""
    ordered = torch.cat([members, members.new_full((1,), torch.iinfo(members.dtype).max)]).sort().values
    return ordered[first_places(ordered, elements)] == elements


def gru(inputs: Tensor, hidden: Tensor, weights: Sequence[Tensor], *options: Any) -> tuple[Tensor, Tensor]:
    """`torch.gru` over inputs [T, B, d] in one direction, as a loop whose number of steps stays open."""
    states = []
    for layer in range(hidden.size(0)):
        weight_in, weight, bias_in, bias = weights[4 * layer : 4 * layer + 4]

        def step(before: Tensor, gates: Tensor, weight: Tensor = weight, bias: Tensor = bias) -> tuple[Tensor, Tensor]:
            reset_in, update_in, new_in = gates.chunk(3, dim=1)
            reset, update, new = F.linear(before, weight, bias).chunk(3, dim=1)
            new = torch.tanh(new_in + torch.sigmoid(reset_in + reset) * new)
            after = new + torch.sigmoid(update_in + update) * (before - new)
            return after, after.clone()

        last, inputs = scan(step, hidden[layer], F.linear(inputs, weight_in, bias_in))
        states.append(last)
    return inputs, torch.stack(states)


SUBSTITUTES: Mapping[Any, Callable[..., Any]] = {
    torch.argsort: sorted_order,
    torch.Tensor.argsort: sorted_order,
    torch._convert_indices_from_coo_to_csr: pointers_of,  # of torch_geometric.index.index2ptr
    torch._segment_reduce: reduced_segments,  # of torch_geometric.utils.segment
    torch.searchsorted: first_places,
    torch.isin: are_members,
    torch.gru: gru,
}


class Traceable(TorchFunctionMode):
    """Replaces functions of torch by their :data:`SUBSTITUTES`, so that the models need not know of it."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return SUBSTITUTES.get(function, function)(*args, **(kwargs or {}))
