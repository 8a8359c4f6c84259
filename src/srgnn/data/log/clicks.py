"""A sorted click log in memory, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srgnn.data.sessions import Ints

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Clicks:
    """A click log, session by session: session `s` is `items[ptr[s]:ptr[s + 1]]`.

    Shapes:
        - items [C]: int32 codes
        - ptr [S + 1]
        - when [S]: date of the session, which decides its order and its side of the split, in µs since 1970, UTC
        - began [S]: time of its first click, also in µs
        - row [S]: its first row in the log, which breaks ties
    """

    items: Ints
    ptr: Ints
    when: Ints
    began: Ints
    row: Ints

    @classmethod
    def concatenate(cls, parts: Sequence["Clicks"]) -> "Clicks":
        """The sessions of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        offsets = _pointers(np.array([len(part.items) for part in parts]))
        ptr = np.concatenate(
            [*(part.ptr[:-1] + first for part, first in zip(parts, offsets, strict=False)), offsets[-1:]]
        )
        whole = (np.concatenate([getattr(part, name) for part in parts]) for name in ("items", "when", "began", "row"))
        items, when, began, row = whole
        return cls(items, ptr, when, began, row)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @property
    def lengths(self) -> Ints:
        """Clicks of every session, [S]."""
        return np.diff(self.ptr)

    def keep(self, click: Mask) -> "Clicks":
        """Keeps the clicks of a mask [C]; a session may become empty."""
        return Clicks(self.items[click], _pointers(click)[self.ptr], self.when, self.began, self.row)

    def take(self, sessions: Ints) -> "Clicks":
        """Returns the sessions with these indices, in this order."""
        lengths = self.lengths[sessions]
        ptr = _pointers(lengths)
        click = np.repeat(self.ptr[:-1][sessions] - ptr[:-1], lengths)
        click += np.arange(len(click))
        return Clicks(self.items[click], ptr, self.when[sessions], self.began[sessions], self.row[sessions])

    def between(self, first: int, end: int) -> "Clicks":
        """The sessions from `first` to before `end`, as views."""
        part = slice(first, end)
        items = self.items[self.ptr[first] : self.ptr[end]]
        ptr = self.ptr[first : end + 1] - self.ptr[first]
        return Clicks(items, ptr, self.when[part], self.began[part], self.row[part])

    def at_least(self, length: int) -> "Clicks":
        """The sessions of at least `length` clicks."""
        is_long = self.lengths >= length
        return self if is_long.all() else self.take(np.flatnonzero(is_long))


def _pointers(lengths: Ints | Mask) -> Ints:
    """The start of each of several consecutive parts and the end of the last one, lengths [n] -> [n + 1]."""
    ptr = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ptr[1:])
    return ptr
