import math

import pytest
import torch

from srgnn.errors import UserError
from srgnn.metrics import (
    check_finite,
    metrics_by_clicks,
    rank_metrics,
    recommendation_metrics,
    target_ranks,
    top_items,
)

NAN = float("nan")


def test_the_best_score_has_rank_one():
    assert target_ranks(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([1])).tolist() == [1]
    assert target_ranks(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([0])).tolist() == [3]


def test_ties_count_against_the_target():
    assert target_ranks(torch.zeros(1, 4), torch.tensor([2])).tolist() == [4]


@pytest.mark.parametrize("scores", [[NAN, 1.0, 0.0], [NAN] * 3])
def test_nan_counts_against_the_target(scores):
    for target in range(3):
        rank = target_ranks(torch.tensor([scores]), torch.tensor([target])).item()
        beaten = sum(s < scores[target] for s in scores)
        assert rank == 3 - beaten
    assert target_ranks(torch.tensor([scores]), torch.tensor([0])).item() == 3


def test_metrics_of_ranks_are_plain_numbers():
    assert rank_metrics(torch.tensor([2]), [1, 2]) == {
        "recall@1": 0.0,
        "recall@2": 1.0,
        "mrr@1": 0.0,
        "mrr@2": 0.5,
        "ndcg@1": 0.0,
        "ndcg@2": pytest.approx(1 / math.log2(3)),
    }


@pytest.mark.parametrize("wrong", [NAN, float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_refused(wrong: float):
    scores = torch.tensor([[1.0, 2.0], [0.5, 3.0]])
    assert check_finite(scores) is scores
    assert check_finite(scores[:0]).shape == (0, 2)
    scores[1, 0] = wrong
    with pytest.raises(UserError, match="scores that are not finite"):
        check_finite(scores)


@pytest.mark.parametrize("num_items", [5, 32, 5 * 32, 6 * 32, 1000, 1031])
def test_the_best_items_are_those_of_a_full_sort(num_items: int):
    scores = torch.randn(50, num_items)
    values, items = top_items(scores, 5)
    assert torch.equal(values, scores.sort(descending=True).values[:, :5])
    assert torch.equal(items, scores.argsort(descending=True)[:, :5])


def test_equal_scores_give_distinct_best_items():
    values, items = top_items(torch.zeros(2, 1000), 20)
    assert not values.any()
    assert all(len(set(row)) == 20 for row in items.tolist())


def test_coverage_popularity_and_novelty_on_paper():
    clicks = torch.tensor([4, 2, 1, 1, 0])  # of 8
    recommended = torch.tensor([2, 1, 0, 0, 1])
    assert recommendation_metrics(recommended, clicks, 2) == pytest.approx(
        {"coverage@2": 3 / 5, "popularity@2": (2 * 4 + 2 + 0) / 4 / 4, "novelty@2": (2 * 1 + 2 + 3) / 4}
    )


def test_metrics_by_clicks_part_the_targets_at_none_five_and_twenty():
    ranks = torch.tensor([1, 4, 2, 9, 9, 1, 3])
    clicks = torch.tensor([0, 0, 1, 4, 5, 19, 20])
    found = metrics_by_clicks(ranks, clicks, 50, [2])
    assert {name: each["prefixes"] for name, each in found.items()} == {"0": 2, "1-4": 2, "5-19": 2, "20+": 1}
    assert {name: each["recall@2"] for name, each in found.items()} == {"0": 0.5, "1-4": 0.5, "5-19": 0.5, "20+": 0}
    assert {name: each["mrr@2"] for name, each in found.items()} == {"0": 0.5, "1-4": 0.25, "5-19": 0.5, "20+": 0}
    assert found["0"]["above_chance@2"] == 12.5  # a random order has recall 2 / 50
    assert not any("above_chance@2" in found[name] for name in ("1-4", "5-19", "20+"))


def test_classes_without_a_target_are_left_out():
    assert list(metrics_by_clicks(torch.tensor([1, 2]), torch.tensor([30, 4]), 50, [2])) == ["1-4", "20+"]


def test_a_random_order_of_cold_targets_is_at_chance():
    ranks = torch.randint(1, 1001, (100_000,), generator=torch.Generator().manual_seed(0))
    found = metrics_by_clicks(ranks, torch.zeros_like(ranks), 1000, [20])
    assert found["0"]["above_chance@20"] == pytest.approx(1, abs=0.1)
