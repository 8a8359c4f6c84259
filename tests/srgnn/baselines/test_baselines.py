import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.baselines import BASELINES
from srgnn.baselines.counted import Candidates, CountedModel
from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.metrics import target_ranks

# 0 is followed by 1 twice and by 2 once; 3 is followed by nothing; the most clicked item is 0.
TRAIN = Sessions.from_lists([[0, 1], [0, 1], [0, 2], [2, 0, 3]])


def counted(name: str, train: Sessions, num_items: int) -> CountedModel:
    model = BASELINES[name]().build(num_items)
    model.observe(train)
    return model


def after(clicks: list[int], num_items: int = 5) -> Batch:
    return SessionGraphs(Sessions.from_lists([[*clicks, 0]]), num_items)[[0]]


def order(scores: Tensor) -> list[int]:
    return scores[0].argsort(descending=True, stable=True).tolist()


def test_popularity_orders_by_clicks():
    assert order(counted("Popularity", TRAIN, 5)(after([3]))) == [0, 1, 2, 3, 4]


def test_popularity_is_below_zero_however_many_clicks_there_are():
    items = torch.zeros(2**25 + 1, dtype=torch.int32)
    items[-1] = 1
    model = counted("Popularity", Sessions(items, torch.tensor([0, len(items)])), 3)
    assert model.popularity[0] < 0
    ranks, best, _ = model.rank(after([1], num_items=3), 1)  # the next click is on item 0
    assert (ranks.tolist(), best.tolist()) == ([1], [[0]])


def test_a_chain_counts_successors_and_breaks_ties_by_popularity():
    model = counted("Markov chain", TRAIN, 5)
    assert order(model(after([2, 0]))) == [1, 2, 3, 0, 4]  # of those once after 0, 2 has more clicks than 3
    assert order(model(after([3]))) == [0, 1, 2, 3, 4]  # nothing follows 3: by popularity


def test_a_chain_knows_a_walk_whose_next_item_is_certain():
    walk = [[(start * 3**step) % 7 for step in range(5)] for start in range(1, 7)]
    model = counted("Markov chain", Sessions.from_lists(walk), 7)
    assert [order(model(after([item], 7)))[0] for item in range(1, 7)] == [item * 3 % 7 for item in range(1, 7)]


def test_session_popularity_counts_the_clicks_of_the_session_and_breaks_ties_by_popularity():
    model = counted("S-POP", TRAIN, 5)
    assert order(model(after([3, 1, 4, 3, 2]))) == [3, 1, 2, 4, 0]  # of those clicked once, 4 was never trained
    assert order(model(after([4]))) == [4, 0, 1, 2, 3]


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("top", [0, 1, 20])
def test_ranks_without_scores_equal_those_from_all_scores(small: SessionData, name: str, top: int):
    model, batch = counted(name, small.train, small.num_items), SessionGraphs(small.test, small.num_items)[:60]
    scores = model(batch)
    ranks, items, best = model.rank(batch, top)
    assert ranks.tolist() == target_ranks(scores, batch.y).tolist()
    assert torch.equal(best, scores.topk(top).values)
    assert torch.equal(best, scores.gather(1, items))
    assert all(len(set(row)) == top for row in items.tolist())


class Fixed(CountedModel):
    """Items 0 and 2 for the first session, none for the second."""

    def candidates(self, batch: Batch) -> Candidates:
        return Candidates(torch.tensor([0, 0]), torch.tensor([0, 2]), torch.tensor([1.0, 1.0]))


@pytest.mark.parametrize("target", range(5))
def test_ties_count_against_the_target_with_and_without_candidates(target: int):
    model = Fixed(5)
    model.observe(Sessions.from_lists([[0, 1, 1, 2, 2, 3, 3]]))
    batch = SessionGraphs(Sessions.from_lists([[1, target], [1, target]]), 5)[:2]
    ranks = model.rank(batch, 3)[0].tolist()
    assert ranks == target_ranks(model(batch), batch.y).tolist()
    assert ranks == [{0: 2, 1: 4, 2: 2, 3: 4, 4: 5}[target], {0: 4, 1: 3, 2: 3, 3: 3, 4: 5}[target]]
