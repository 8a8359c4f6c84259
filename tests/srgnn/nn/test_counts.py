import torch

from srgnn.data import Sessions
from srgnn.nn.counts import Counts, count_near, count_pairs

SESSIONS = Sessions.from_lists([[], [0, 1], [], [0, 1, 0], [2], [0, 2], [2, 0, 3], []])


def pairs(distance: int = 1) -> dict[tuple[int, int], int]:
    first, second, count = (part.tolist() for part in count_pairs(SESSIONS, 5, distance))
    return dict(zip(zip(first, second, strict=True), count, strict=True))


def test_pairs_are_counted_within_sessions():
    assert pairs() == {(0, 1): 2, (0, 2): 1, (0, 3): 1, (1, 0): 1, (2, 0): 1}
    assert pairs(distance=2) == {(0, 0): 1, (2, 3): 1}
    assert pairs(distance=3) == {}


def test_pairs_are_counted_over_all_parts_of_a_log(monkeypatch):
    whole = pairs()
    for size in (1, 2, 3):
        monkeypatch.setattr("srgnn.nn.counts.SESSIONS", size)
        assert pairs() == whole


def test_counts_are_loaded_whatever_their_size():
    filled, empty = Counts("items"), Counts("items")
    filled.items = torch.arange(3)
    for assign in (True, False):
        empty.load_state_dict(filled.state_dict(), assign=assign)
        assert empty.items.tolist() == [0, 1, 2]


def test_counts_keep_their_type_though_there_are_none():
    filled, empty = Counts("items"), Counts("items")
    filled.items = torch.empty(0, dtype=torch.long)
    empty.load_state_dict(filled.state_dict())
    assert empty.items.dtype == torch.long


def test_near_pairs_are_counted_in_both_orders():
    first, second, count = (part.tolist() for part in count_near(SESSIONS, 5, 2))
    found = dict(zip(zip(first, second, strict=True), count, strict=True))
    # Consecutive pairs, and 0 twice in [0, 1, 0], 2 and 3 in [2, 0, 3].
    expected = {(0, 1): 3, (0, 2): 2, (0, 3): 1, (0, 0): 2, (2, 3): 1}
    assert found == expected | {(other, one): count for (one, other), count in expected.items()}
    assert list(found) == sorted(found)
