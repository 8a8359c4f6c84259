"""Full-ranking metrics, computed from the rank of the target among all items."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from srgnn.errors import UserError


def target_ranks(scores: Tensor, target: Tensor) -> Tensor:
    """The 1-based rank of each target among all items; ties and NaN count against the target.

    Shapes: scores [B, V], target [B] -> [B]
    """
    beaten = scores < scores.gather(1, target.view(-1, 1))  # [B, V]
    return scores.size(1) - beaten.sum(dim=1)


def check_finite(scores: Tensor) -> Tensor:
    """Returns scores if all are finite numbers.

    Raises:
        UserError: if one is not: the model's training has diverged.
    """
    if scores.numel() and not torch.stack(scores.aminmax()).isfinite().all():  # both carry NaN on
        raise UserError("The model gives scores that are not finite numbers: train it again with a smaller lr=.", "lr")
    return scores


class RankMetrics(Metric):
    """recall@k, mrr@k and ndcg@k over ranks, as fractions of one.

    With one target per prefix, recall@k is what the papers call P@k or HR@k. An update takes ranks [B]; the sums
    are float64 and are added up over all processes.

    Args:
        k: Cut-offs.
        kwargs: Further arguments of :class:`torchmetrics.Metric`.
    """

    full_state_update = False
    sums: Tensor
    count: Tensor

    def __init__(self, k: Sequence[int] = (5, 10, 20), **kwargs: Any):
        super().__init__(**kwargs)
        self.k = sorted(set(k))
        self.add_state("sums", torch.zeros(3, len(self.k), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, ranks: Tensor) -> None:
        rank = ranks.double().view(-1, 1)
        hit = rank <= torch.tensor(self.k, device=ranks.device)  # [B, K]
        gains = torch.stack([torch.ones_like(rank), 1 / rank, 1 / torch.log2(rank + 1)])  # [3, B, 1]
        self.sums = self.sums + (gains * hit).sum(dim=1)
        self.count = self.count + ranks.numel()

    def compute(self) -> dict[str, Tensor]:
        means = self.sums / self.count
        return {
            f"{metric}@{k}": means[m, i]
            for m, metric in enumerate(("recall", "mrr", "ndcg"))
            for i, k in enumerate(self.k)
        }


def rank_metrics(ranks: Tensor, k: Sequence[int]) -> dict[str, float]:
    """Computes recall@k, mrr@k and ndcg@k of ranks [P], as plain numbers."""
    metrics = RankMetrics(k, sync_on_compute=False)
    metrics.update(ranks)
    return {name: float(value) for name, value in metrics.compute().items()}
