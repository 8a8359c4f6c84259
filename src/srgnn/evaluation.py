"""Full-ranking evaluation of anything that scores sessions: the same for models, baselines and checkpoints."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from srgnn.contracts import SessionModel
from srgnn.data.graphs import SessionGraphs, evaluation_batch_size
from srgnn.metrics import check_finite, rank_metrics, target_ranks


@dataclass(frozen=True)
class Ranking:
    """The rank of every target [P], and the best items with their scores, [P, top] each; all on the CPU."""

    ranks: Tensor
    items: Tensor
    scores: Tensor


def rank(model: SessionModel, graphs: SessionGraphs, top: int = 0, name: str = "") -> Ranking:
    """Ranks all items for every prefix in one pass: the scores of a batch are computed, read and discarded.

    Args:
        model: Maps a batch of session graphs to scores [B, V], on the device of `graphs`.
        graphs: The prefixes, with their targets.
        top: Number of best items to return beside the ranks.
        name: Label of the progress bar; without one, no bar is shown.

    Raises:
        UserError: if a score is not a finite number.
    """
    size = evaluation_batch_size(graphs.num_items, graphs.items.device)
    # Plain arrays: small long-lived tensors would fragment the heap between the large score buffers, and the memory of
    # the process would grow with every batch.
    ranks, items, scores = array("q"), array("q"), array("f")
    with torch.inference_mode():
        for first in tqdm(range(0, len(graphs), size), desc=name, leave=False, disable=not name):
            batch = graphs[first : first + size]
            batch_scores = check_finite(model(batch))  # [B, V]
            ranks.frombytes(target_ranks(batch_scores, batch.y).cpu().numpy().tobytes())
            if top:
                best = batch_scores.topk(top)
                scores.frombytes(best.values.float().cpu().numpy().tobytes())
                items.frombytes(best.indices.cpu().numpy().tobytes())
    shape = len(ranks), top
    return Ranking(
        torch.tensor(ranks, dtype=torch.long),
        torch.tensor(items, dtype=torch.long).view(shape),
        torch.tensor(scores, dtype=torch.float).view(shape),
    )


def evaluate(model: SessionModel, graphs: SessionGraphs, k: Sequence[int], name: str = "") -> dict[str, float]:
    """Computes recall@k, mrr@k and ndcg@k over all prefixes, as fractions.

    Args:
        model: Maps a batch of session graphs to scores [B, V], on the device of `graphs`.
        graphs: The prefixes, with their targets.
        k: Cut-offs of the metrics.
        name: Label of the progress bar; without one, no bar is shown.
    """
    return rank_metrics(rank(model, graphs, name=name).ranks, k)
