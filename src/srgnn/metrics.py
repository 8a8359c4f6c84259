"""Full-ranking metrics, from the rank of the target among all items, and metrics of what is recommended."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from srgnn.errors import UserError

# Training clicks of a target, from and to, whose metrics are shown side by side: none, fewer than the five clicks that
# the papers ask of an item, and more.
CLICKS = {"0": (0, 0), "1-4": (1, 4), "5-19": (5, 19), "20+": (20, None)}
COLD = "0"
GROUP = 32  # items whose maximum is taken first: two cache lines of float32


def target_ranks(scores: Tensor, target: Tensor) -> Tensor:
    """The 1-based rank of each target among all items; ties and NaN count against the target.

    Shapes: scores [B, V], target [B] -> [B]
    """
    beaten = scores < scores.gather(1, target.view(-1, 1))  # [B, V]
    return scores.size(1) - beaten.sum(dim=1)


def top_items(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` highest scores and their items, best first: `scores.topk(k)`, several times faster for many items.

    Only groups of items whose maximum is among the `k` highest maxima are searched: no other group can hold one of the
    best. Ties at the end may be broken another way.

    Shapes: scores [B, V] -> [B, k] and [B, k]
    """
    groups = scores.size(1) // GROUP
    if k == 0 or groups <= k:
        best = scores.topk(k)
        return best.values, best.indices
    within = torch.arange(GROUP, device=scores.device)
    rest = torch.arange(groups * GROUP, scores.size(1), device=scores.device)  # the items after the last whole group
    grouped = scores[:, : groups * GROUP].reshape(-1, groups, GROUP)
    group = grouped.amax(dim=2).topk(k).indices  # [B, k]
    items = (group.unsqueeze(2) * GROUP + within).flatten(1)  # [B, k * GROUP]
    items = torch.cat([items, rest.expand(len(scores), -1)], dim=1)
    best = scores.gather(1, items).topk(k)
    return best.values, items.gather(1, best.indices)


def is_finite(values: Tensor) -> bool:
    """Whether all values are finite numbers, without a copy of them."""
    return not values.numel() or bool(torch.stack(values.aminmax()).isfinite().all())  # both carry NaN on


def check_finite(scores: Tensor) -> Tensor:
    """Returns scores if all are finite numbers.

    Raises:
        UserError: if one is not: the model's training has diverged.
    """
    if not is_finite(scores):
        raise UserError("The model gives scores that are not finite numbers: train it again with a smaller lr=.", "lr")
    return scores


def rank_sums(ranks: Tensor, k: Sequence[int]) -> Tensor:
    """The sums of recall@k, mrr@k and ndcg@k over ranks [P], as fractions of one, in float64, [3, K].

    With one target per prefix, recall@k is what the papers call P@k or HR@k.
    """
    rank = ranks.double().view(-1, 1)
    hit = rank <= torch.tensor(k, device=ranks.device)  # [P, K]
    gains = torch.stack([torch.ones_like(rank), 1 / rank, 1 / torch.log2(rank + 1)])  # [3, P, 1]
    return (gains * hit).sum(dim=1)


def by_name(means: Tensor, k: Sequence[int]) -> dict[str, Tensor]:
    """The means of :func:`rank_sums`, [3, K], by their names."""
    return {
        f"{metric}@{each}": means[m, i]
        for m, metric in enumerate(("recall", "mrr", "ndcg"))
        for i, each in enumerate(k)
    }


def recommendation_metrics(recommended: Tensor, clicks: Tensor, k: int) -> dict[str, float]:
    r"""Computes coverage@k, popularity@k and novelty@k from how often each item was among the `k` best.

    - coverage: share of the items that were recommended at least once (Ge et al., 2010)
    - popularity: mean number of training clicks of a recommended item, divided by that of the most popular item
      (Ludewig and Jannach, 2018)
    - novelty: mean of :math:`-\log_2 p_i` over the recommended items, where :math:`p_i` is the item's share of the
      training clicks (Zhou et al., 2010), in bits; items without a click count as clicked once

    Args:
        recommended: Number of recommendations of every item, [V].
        clicks: Number of training clicks of every item, [V].
        k: The cut-off, for the names.
    """
    share = recommended / recommended.sum()  # [V]
    bits = clicks.sum().log2() - clicks.clamp(min=1).log2()
    return {
        f"coverage@{k}": float((recommended > 0).double().mean()),
        f"popularity@{k}": float((share * clicks).sum() / clicks.max()),
        f"novelty@{k}": float((share * bits).sum()),
    }


def rank_metrics(ranks: Tensor, k: Sequence[int]) -> dict[str, float]:
    """Computes recall@k, mrr@k and ndcg@k of ranks [P], as plain numbers."""
    k = sorted(set(k))
    return {name: float(mean) for name, mean in by_name(rank_sums(ranks, k) / ranks.numel(), k).items()}


def click_classes(target_clicks: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Each of :data:`CLICKS` that has a target, with a mask of its targets, [P].

    Args:
        target_clicks: Number of training clicks of every target, [P].
    """
    for name, (first, last) in CLICKS.items():
        mask = target_clicks >= first
        if last is not None:
            mask &= target_clicks <= last
        if mask.any():
            yield name, mask


def metrics_by_clicks(
    ranks: Tensor, target_clicks: Tensor, num_items: int, k: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Computes recall@k, mrr@k and ndcg@k by how often the target was clicked in training.

    Args:
        ranks: The rank of every target, [P].
        target_clicks: Number of training clicks of every target, [P].
        num_items: Number of candidates.
        k: Cut-offs of the metrics.

    Returns:
        The metrics for each of :data:`CLICKS`, with the number of its `prefixes`; classes without a prefix are left
        out. The class of targets without a click also has `above_chance@k`: recall@k divided by that of a random
        order, which is k / `num_items`.
    """
    found: dict[str, dict[str, float]] = {}
    for name, mask in click_classes(target_clicks):
        metrics = rank_metrics(ranks[mask], k)
        found[name] = {"prefixes": int(mask.sum()), **metrics}
        if name == COLD:
            found[name] |= {f"above_chance@{cut}": metrics[f"recall@{cut}"] * num_items / cut for cut in set(k)}
    return found
