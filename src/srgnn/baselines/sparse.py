"""Sparse matrices as packed arrays: the sessions of every item, rows of a matrix, sums by key."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.index import index2ptr
from torch_geometric.utils import segment

from srgnn.data.sessions import Sessions, pointers
from srgnn.nn.segments import to_end

# Entries that are expanded at once. Some ten arrays of them take 20 MB, which caches hold in part: four times as many
# took a fifth more time on Yoochoose 1/64.
ENTRIES = 1 << 18
LATEST = 500  # clicks of a session that count: pairs grow by their square; 146 are the most on Yoochoose 1/64
KEYS = 1 << 31  # keys below are int32, which PyTorch sorts several times faster than int64


@dataclass(frozen=True)
class SessionItems:
    """The distinct items of every session, and the sessions of every item: one sparse matrix, by row and by column.

    Shapes:
        session `s` has the entries ptr[s] to ptr[s + 1] of item [n], position [n] and clicks [n];
        item `i` is in the sessions item_ptr[i] to item_ptr[i + 1] of session [n], oldest first, and entry [n] is the
        place of the pair in the first three

    Args:
        ptr: The first entry of every session, and the number of entries.
        item: The items of a session by their last clicks in it.
        position: The place of an item's last click in its session, from 0.
        clicks: Number of clicks of the item in the session.
        item_ptr: The first session of every item, and the number of entries.
        session: The sessions of an item.
        entry: The entry of each of these.
    """

    ptr: Tensor
    item: Tensor
    position: Tensor
    clicks: Tensor
    item_ptr: Tensor
    session: Tensor
    entry: Tensor

    @classmethod
    def of(cls, sessions: Sessions, num_items: int) -> "SessionItems":
        """Finds the distinct items of sessions by one sort of the clicks by item, in which sessions stay in order.

        Of a longer session, the latest :data:`LATEST` clicks count.
        """
        if (sessions.lengths > LATEST).any():
            is_late = to_end(sessions.owner, sessions.ptr) < LATEST
            sessions = Sessions(sessions.items[is_late], pointers(sessions.lengths.clamp(max=LATEST)))
        owner = sessions.owner.int()
        item, order = sessions.items.int().sort(stable=True)
        session = owner[order]
        last = torch.ones(len(item), dtype=torch.bool)  # of several clicks of an item in a session
        last[:-1] = (item[1:] != item[:-1]) | (session[1:] != session[:-1])
        click, clicks = order[last], last.nonzero().view(-1)
        clicks = clicks.diff(prepend=clicks.new_full((1,), -1))
        kept = torch.zeros(len(item), dtype=torch.long)
        kept[click] = 1
        entry = (kept.cumsum(0) - 1)[click]
        click_of_entry = kept.nonzero().view(-1)
        return cls(
            ptr=pointers(kept)[sessions.ptr],
            item=sessions.items[click_of_entry].int(),
            position=(click_of_entry - sessions.ptr[owner[click_of_entry]]).int(),
            clicks=torch.empty_like(clicks).scatter_(0, entry, clicks).int(),
            item_ptr=index2ptr(item[last].long(), num_items),
            session=session[last],
            entry=entry,
        )


def rows_of(ptr: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of rows of a sparse matrix: for each entry its place in `rows` and its number, ptr [R + 1]."""
    start, length = ptr[rows], ptr[rows + 1] - ptr[rows]
    place = torch.arange(len(rows), device=rows.device).repeat_interleave(length)
    return place, torch.arange(len(place), device=rows.device) + (start - pointers(length)[:-1])[place]


def grouped(key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Groups entries by their keys, which are below :data:`KEYS`; entries of equal key stay in order.

    Returns:
        The distinct keys, ascending [K], the entries in the order of their keys [n], and where each key starts [K + 1].
    """
    ordered, order = key.int().sort(stable=True)
    starts = torch.ones(len(key), dtype=torch.bool, device=key.device)
    starts[1:] = ordered[1:] != ordered[:-1]
    start = starts.nonzero().view(-1)
    return ordered[start].long(), order, torch.cat([start, start.new_full((1,), len(key))])


def sums_by(key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct keys, ascending, and the sums of their values; keys are below :data:`KEYS`."""
    distinct, order, ptr = grouped(key)
    return distinct, segment(value[order], ptr, reduce="sum")


def parts(cost: Tensor, width: int) -> Iterator[tuple[int, int]]:
    """Splits rows into consecutive ranges of at most :data:`ENTRIES` entries, but for a row that has more itself.

    Args:
        cost: Number of entries of every row.
        width: Number of keys of every row; those of a range are below :data:`KEYS`.
    """
    total, begin = pointers(cost).cpu(), 0
    while begin < len(cost):
        end = int(torch.searchsorted(total, total[begin] + ENTRIES, right=True)) - 1
        end = min(max(end, begin + 1), begin + max(1, KEYS // width))
        yield begin, end
        begin = end
