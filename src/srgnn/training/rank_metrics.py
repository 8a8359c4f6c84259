"""Metrics of ranks that are added up over batches and processes. Importing torchmetrics takes seconds."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from srgnn.metrics import by_name, rank_sums


class RankMetrics(Metric):
    """recall@k, mrr@k and ndcg@k over ranks, as fractions of one.

    An update takes ranks [B]; the sums are float64 and are added up over all processes.

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
        self.sums = self.sums + rank_sums(ranks, self.k)
        self.count = self.count + ranks.numel()

    def compute(self) -> dict[str, Tensor]:
        return by_name(self.sums / self.count, self.k)
