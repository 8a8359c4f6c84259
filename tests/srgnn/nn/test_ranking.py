import pytest
import torch

from srgnn.metrics import target_ranks, top_items
from srgnn.nn.ranking import best_products, rank_tiles


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(5_000, 13), (20_011, 64), (20_011, 1), (5_000, 3), (30, 5), (768, 8), (1, 1)])
@pytest.mark.parametrize("normalized", [False, True])
def test_ranks_and_best_items_are_those_of_all_scores(sizes: tuple[int, int], normalized: bool, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    num_items, num_sessions = sizes
    session, items = torch.randn(num_sessions, 10), torch.randn(num_items, 10)
    target, top = torch.randint(num_items, (num_sessions,)), min(20, num_items)
    norm = items.norm(dim=1) if normalized else None
    ranks, best, best_scores = rank_tiles(session, items, norm, target, top)
    scores = session @ items.T if norm is None else session @ items.T / norm
    assert torch.equal(ranks, target_ranks(scores, target))
    torch.testing.assert_close(best_scores, top_items(scores, top)[0])
    torch.testing.assert_close(scores.gather(1, best), best_scores)
    assert all(len(row.unique()) == top for row in best)
    assert torch.equal(rank_tiles(session, items, norm, target)[0], ranks)
    for columns in (None, items.T.contiguous()):
        best, best_scores = best_products(session, items, norm, top, columns)
        torch.testing.assert_close(best_scores, top_items(scores, top)[0])
        torch.testing.assert_close(scores.gather(1, best), best_scores)
        assert all(len(row.unique()) == top for row in best)


@pytest.mark.parametrize("width", [10, 100])
@pytest.mark.parametrize("num_sessions", [1, 2, 3])
def test_ties_count_against_the_target(num_sessions: int, width: int):
    session, items = torch.randn(num_sessions, width), torch.randn(1_000, width)
    twins = torch.cat([items, items])
    target = torch.randint(1_000, (num_sessions,))
    for of_target in (target, target + 1_000):
        ranks = rank_tiles(session, twins, None, of_target)[0]
        assert ranks.tolist() == [2 * rank for rank in rank_tiles(session, items, None, target)[0].tolist()]


def test_large_catalogues_are_searched_in_larger_groups(monkeypatch):
    monkeypatch.setattr("srgnn.nn.ranking.GROUPS", 100)
    session, items = torch.randn(9, 10), torch.randn(30_000, 10)  # groups of 300
    _, best, _ = rank_tiles(session, items, None, torch.zeros(9, dtype=torch.long), 20)
    assert torch.equal(best, (session @ items.T).topk(20).indices)
