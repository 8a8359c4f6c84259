import math

import pytest
import torch

from srgnn.training.rank_metrics import RankMetrics


def test_metrics_on_paper():
    metrics = RankMetrics([1, 5])
    metrics.update(torch.tensor([1, 2]))
    metrics.update(torch.tensor([6, 5]))
    got = {name: value.item() for name, value in metrics.compute().items()}
    assert got == pytest.approx(
        {
            "recall@1": 1 / 4,
            "recall@5": 3 / 4,
            "mrr@1": 1 / 4,
            "mrr@5": (1 + 1 / 2 + 1 / 5) / 4,
            "ndcg@1": 1 / 4,
            "ndcg@5": (1 + 1 / math.log2(3) + 1 / math.log2(6)) / 4,
        }
    )


def test_how_the_prefixes_are_batched_does_not_matter():
    ranks = torch.randint(1, 30, (100,))
    whole, parts = RankMetrics([20]), RankMetrics([20])
    whole.update(ranks)
    for part in ranks.split(7):
        parts.update(part)
    assert whole.compute()["mrr@20"].item() == pytest.approx(parts.compute()["mrr@20"].item(), abs=1e-12)
