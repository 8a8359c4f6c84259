import numpy as np
import pytest
import torch

from srgnn.baselines import sparse
from srgnn.baselines.sparse import SessionItems, grouped, parts, rows_of, sums_by
from srgnn.data import Sessions

SESSIONS = Sessions.from_lists([[2, 0, 2], [1], [0, 3, 0, 1]])


def test_items_of_sessions_and_sessions_of_items_are_one_matrix():
    of = SessionItems.of(SESSIONS, 5)
    assert of.ptr.tolist() == [0, 2, 3, 6]
    assert of.item.tolist() == [0, 2, 1, 3, 0, 1]  # by their last clicks
    assert of.position.tolist() == [1, 2, 0, 1, 2, 3]
    assert of.clicks.tolist() == [1, 2, 1, 1, 2, 1]
    assert of.item_ptr.tolist() == [0, 2, 4, 5, 6, 6]
    assert of.session.tolist() == [0, 2, 1, 2, 0, 2]
    assert of.item[of.entry].tolist() == [0, 0, 1, 1, 2, 3]


def test_a_later_part_of_the_sessions_is_counted_from_its_own_start():
    _, latest = SESSIONS.split_latest(0.3)
    of = SessionItems.of(latest, 5)
    assert of.ptr.tolist() == [0, 3]
    assert of.item.tolist() == [3, 0, 1]
    assert SessionItems.of(Sessions.from_lists([]), 2).item_ptr.tolist() == [0, 0, 0]


def test_rows_of_a_matrix_are_expanded():
    place, entry = rows_of(torch.tensor([0, 2, 2, 5]), torch.tensor([2, 1, 0, 2]))
    assert place.tolist() == [0, 0, 0, 2, 2, 3, 3, 3]
    assert entry.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]


def test_entries_are_summed_by_their_keys():
    distinct, order, ptr = grouped(torch.tensor([3, 1, 3, 0]))
    assert (distinct.tolist(), order.tolist(), ptr.tolist()) == ([0, 1, 3], [3, 1, 0, 2], [0, 1, 2, 4])
    key, total = sums_by(torch.tensor([3, 1, 3, 0]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert (key.tolist(), total.tolist()) == ([0, 1, 3], [4.0, 2.0, 4.0])
    key, total = sums_by(torch.tensor([], dtype=torch.long), torch.tensor([]))
    assert (key.tolist(), total.tolist()) == ([], [])


@pytest.mark.parametrize("entries", [1, 5, 100])
def test_parts_cover_all_rows_within_their_limits(entries: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sparse, "ENTRIES", entries)
    monkeypatch.setattr(sparse, "KEYS", 40)
    cost = torch.tensor(np.random.default_rng(0).integers(0, 4, 50))
    ranges = list(parts(cost, 10))
    assert [row for begin, end in ranges for row in range(begin, end)] == list(range(50))
    assert all(end - begin <= 4 for begin, end in ranges)
    assert all(cost[begin:end].sum() <= entries or end - begin == 1 for begin, end in ranges)
    assert list(parts(cost[:0], 10)) == []
