from srgnn.baselines import LastItemSuccessor, Popularity
from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs

# 0 is followed by 1 twice and by 2 once; 3 is followed by nothing; the most clicked item is 0.
TRAIN = Sessions.from_lists([[0, 1], [0, 1], [0, 2], [2, 0, 3]])


def after(clicks: list[int]):
    return SessionGraphs(Sessions.from_lists([[*clicks, 0]]), 5)[[0]]


def test_popularity_counts_clicks():
    assert Popularity(TRAIN, 5)(after([3])).tolist() == [[4, 2, 2, 1, 0]]


def test_successors_are_counted_and_ties_go_by_popularity():
    scores = LastItemSuccessor(TRAIN, 5)(after([2, 0]))[0]
    assert scores.floor().tolist() == [0, 2, 1, 1, 0]
    assert scores[2] > scores[3]


def test_successors_are_counted_over_all_parts_of_the_log(monkeypatch):
    sessions = Sessions.from_lists([[], [0, 1], [], [0, 1, 0], [2], [0, 2], [2, 0, 3], []])
    whole = LastItemSuccessor(sessions, 5)
    assert (whole.successor.tolist(), whole.count.tolist()) == ([1, 2, 3, 0, 0], [2, 1, 1, 1, 1])
    for size in (1, 2, 3):
        monkeypatch.setattr("srgnn.baselines.successor.SESSIONS", size)
        for name, value in LastItemSuccessor(sessions, 5).state_dict().items():
            assert value.tolist() == whole.state_dict()[name].tolist()


def test_without_successors_the_order_is_by_popularity():
    assert LastItemSuccessor(TRAIN, 5)(after([3]))[0].argsort(descending=True, stable=True).tolist() == [0, 1, 2, 3, 4]
