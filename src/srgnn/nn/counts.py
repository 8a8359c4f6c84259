"""What models count in the training sessions: buffers for the counts, and pairs of items clicked near each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module

if TYPE_CHECKING:
    from srgnn.data.sessions import Sessions

SESSIONS = 1 << 20  # sessions that are counted at once


class Counts(Module):
    """A module with buffers that are counted from the training sessions, and kept in checkpoints.

    Their sizes depend on the sessions: before they are counted the buffers are empty, and a state dict is loaded
    whatever the sizes of its tensors are.

    Args:
        names: Names of the buffers.
    """

    def __init__(self, *names: str):
        super().__init__()
        for name in names:
            self.register_buffer(name, torch.empty(0))
        self.register_load_state_dict_pre_hook(_take_sizes)  # type: ignore[no-untyped-call]

    def observe(self, train: "Sessions") -> None:
        """Counts the buffers in the training sessions."""
        raise NotImplementedError


def _take_sizes(module: Module, state: dict[str, Any], prefix: str, *arguments: Any) -> None:
    """Gives the buffers of a module the sizes and types that they have in a state dict."""
    for name, buffer in module.named_buffers(recurse=False):
        stored = state.get(prefix + name)
        if isinstance(stored, Tensor) and (stored.shape, stored.dtype) != (buffer.shape, buffer.dtype):
            setattr(module, name, torch.empty_like(stored, device=buffer.device))


def count_pairs(train: "Sessions", num_items: int, distance: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Counts how often one item is clicked `distance` clicks after another in a session.

    Counted part by part: all pairs of a large log at once would take many times its size.

    Args:
        train: The sessions.
        num_items: Number of items :math:`V`.
        distance: Number of clicks from the first item to the second; 1 for consecutive clicks.

    Returns:
        first item [n], second item [n], number of times [n]; the pairs are distinct and in ascending order.
    """
    parts = [(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long))]
    for begin in range(0, len(train), SESSIONS):
        ptr = train.ptr[begin : begin + SESSIONS + 1]
        clicks = train.items[ptr[0] : ptr[-1]].long()
        session = torch.arange(ptr.numel() - 1).repeat_interleave(ptr.diff())
        within = session[distance:] == session[:-distance]
        key = (clicks[:-distance] * num_items + clicks[distance:])[within]
        parts.append(torch.unique(key, return_counts=True))
        if sum(key.numel() for key, _ in parts[1:]) > parts[0][0].numel():  # seldom: merging costs a sort
            parts = [_merged(parts)]
    key, count = _merged(parts)
    return key // num_items, key % num_items, count


def count_near(train: "Sessions", num_items: int, distance: int) -> tuple[Tensor, Tensor, Tensor]:
    """Counts how often two items are clicked within `distance` clicks of each other, in either order.

    Args:
        train: The sessions.
        num_items: Number of items :math:`V`.
        distance: The largest number of clicks from one item to the other.

    Returns:
        one item [n], the other item [n], number of times [n]; every pair is there in both orders, ascending.
    """
    parts = []
    for clicks in range(1, distance + 1):
        first, second, count = count_pairs(train, num_items, clicks)
        parts += [(first * num_items + second, count), (second * num_items + first, count)]
    key, count = _merged(parts)
    return key // num_items, key % num_items, count


def _merged(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The sum of several counts: distinct keys, ascending, and their numbers of times."""
    keys, counts = (torch.cat(part) for part in zip(*parts, strict=True))
    distinct, place = torch.unique(keys, return_inverse=True)
    return distinct, torch.zeros_like(distinct).index_add_(0, place, counts)
