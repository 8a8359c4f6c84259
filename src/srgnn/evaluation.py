"""Full-ranking evaluation of anything that scores sessions: the same for models, baselines and checkpoints."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.contracts import SessionModel
from srgnn.data.graphs import SessionGraphs, evaluation_batch_size
from srgnn.errors import UserError, check_int
from srgnn.metrics import (
    check_finite,
    metrics_by_clicks,
    rank_metrics,
    recommendation_metrics,
    target_ranks,
    top_items,
)
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.ranking import rank_block, rank_tiles
from srgnn.progress import Progress

# Numbers of clicks of a prefix, from and to, whose metrics are shown side by side. Up to five clicks are the paper's
# short sessions, more are its long ones.
LENGTHS = {
    **{str(clicks): (clicks, clicks) for clicks in range(1, 6)},
    "6-10": (6, 10),
    "11+": (11, None),
    "1-5": (1, 5),
    "6+": (6, None),
}


@dataclass(frozen=True)
class Ranking:
    """The rank of every target [P], and the best items with their scores, [P, top] each; all on the CPU."""

    ranks: Tensor
    items: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Measurement:
    """The metrics and ranks of one model on the test prefixes.

    Args:
        metrics: recall@k, mrr@k and ndcg@k; coverage, popularity and novelty at one cut-off. See :mod:`srgnn.metrics`.
        by_length: The same for the prefixes of each of :data:`LENGTHS`, with their number as `prefixes`; lengths
            without a prefix are left out.
        by_clicks: recall@k, mrr@k and ndcg@k by the training clicks of the target, see
            :func:`srgnn.metrics.metrics_by_clicks`.
        ranks: The rank of every target, [P].
    """

    metrics: dict[str, float]
    by_length: dict[str, dict[str, float]]
    by_clicks: dict[str, dict[str, float]]
    ranks: Tensor


class Ranker:
    """Ranks all items for batches of sessions by a model whose weights stay as they are, in full precision.

    On a CPU, the scores of a model that multiplies with its item embeddings are never held
    (:func:`srgnn.nn.ranking.rank_tiles`), nor are those of a model that has a method `rank`.
    If its table is sharded, all of its processes must rank the same batches at the same time.

    Args:
        model: Maps a batch of session graphs to scores [B, V].
        device: The device of the model.
    """

    @torch.no_grad()
    def __init__(self, model: SessionModel, device: torch.device):
        self.model, self.device = model, device
        self.embedding: ItemEmbedding | None = getattr(model, "item_embedding", None)
        self.rank = getattr(model, "rank", None)
        self.shard = None if self.embedding is None else self.embedding.shard
        self.in_products = getattr(model, "in_products", False)
        self.in_tiles = self.in_products and device.type == "cpu"
        if self.embedding is not None and self.in_products:
            self.items = self.embedding.table()
            self.norm = self.embedding.norm(self.items)
            self.longest = self.items.norm(dim=1).max()
            if self.shard is not None:
                self.shard.sum(self.longest)  # at least that of each block, and NaN if one is

    @torch.inference_mode()
    def __call__(self, batch: Batch, top: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Ranks all items for the sessions of a batch.

        Returns:
            The rank of every target [B], the best items and their scores, [B, top] each.

        Raises:
            UserError: if a score is not a finite number.
        """
        with torch.autocast(self.device.type, enabled=False):
            if self.rank is not None:
                of_targets, best, best_scores = self.rank(batch, top)
                return of_targets, best, best_scores
            if self.in_tiles:
                session = self.model.session_embedding(batch)  # type: ignore[attr-defined]
                check_finite(session.norm(dim=1) * self.longest)  # no score is larger
                return rank_tiles(session, self.items, self.norm, batch.y, top, self.shard)
            if self.in_products:
                session = self.model.session_embedding(batch)  # type: ignore[attr-defined]
                scores = self.embedding.scores(session, self.items, self.norm)  # type: ignore[union-attr]
            else:
                scores = self.model(batch)
            if self.shard is not None:
                check_finite(self.shard.sum(scores.abs().amax(dim=1)))  # in all processes, or they would part
                return rank_block(scores, batch.y, top, self.shard)
            check_finite(scores)
        values, items = top_items(scores, top)
        return target_ranks(scores, batch.y), items, values


def rank(model: SessionModel, graphs: SessionGraphs, top: int = 0, name: str = "") -> Ranking:
    """Ranks all items for every prefix in one pass: the scores of a batch are computed, read and discarded.

    Args:
        model: Maps a batch of session graphs to scores [B, V], on the device of `graphs`.
        graphs: The prefixes, with their targets.
        top: Number of best items to return beside the ranks.
        name: Label of the progress bar; without one, no bar is shown.

    Raises:
        ArgumentError: if `top` is more than the number of items.
        UserError: if a score is not a finite number.
    """
    # Plain arrays: small long-lived tensors would fragment the heap between the large score buffers, and the memory of
    # the process would grow with every batch.
    ranks, items, scores = array("q"), array("q"), array("f")
    for _, of_targets, best, best_scores in _ranked(model, graphs, top, name):
        ranks.frombytes(of_targets.cpu().numpy().tobytes())
        scores.frombytes(best_scores.float().cpu().numpy().tobytes())
        items.frombytes(best.cpu().numpy().tobytes())
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


def measure(
    model: SessionModel, graphs: SessionGraphs, clicks: Tensor, k: Sequence[int], name: str = ""
) -> Measurement:
    """Computes all metrics over all prefixes, over those of each length, and by the clicks of the target, in one pass.

    Coverage, popularity and novelty are those of the best 20 items, or of the largest cut-off if 20 is not one.

    Args:
        model: Maps a batch of session graphs to scores [B, V], on the device of `graphs`.
        graphs: The prefixes, with their targets.
        clicks: Number of training clicks of every item, [V], on the CPU.
        k: Cut-offs of the metrics.
        name: Label of the progress bar; without one, no bar is shown.

    Raises:
        UserError: if a score is not a finite number.
    """
    cut = check_int("k", main_cutoff(k), 1, graphs.num_items)
    longest = max(first for first, _ in LENGTHS.values())  # longer prefixes are counted with these
    recommended = torch.zeros(longest + 1, graphs.num_items, dtype=torch.int32)  # by length and item
    ranks = array("q")
    for batch, of_targets, best, _ in _ranked(model, graphs, cut, name):
        ranks.frombytes(of_targets.cpu().numpy().tobytes())
        length = batch.batch[batch.alias_index].bincount(minlength=batch.num_graphs).clamp_(max=longest).cpu()
        place = (length.view(-1, 1) * graphs.num_items + best.cpu()).flatten()  # [B * cut]
        recommended.view(-1).index_add_(0, place, torch.ones_like(place, dtype=torch.int32))
    all_ranks, length = torch.tensor(ranks, dtype=torch.long), graphs.length
    by_length = {}
    for bucket, (first, last) in LENGTHS.items():
        chosen = all_ranks[(length >= first) & (length <= (last or length.max()))]
        if len(chosen):
            of_items = recommended[first : None if last is None else last + 1].sum(dim=0)
            of_ranks = rank_metrics(chosen, k)
            by_length[bucket] = {
                "prefixes": len(chosen),
                **of_ranks,
                **recommendation_metrics(of_items, clicks, cut),
            }
    metrics = rank_metrics(all_ranks, k) | recommendation_metrics(recommended.sum(dim=0), clicks, cut)
    by_clicks = metrics_by_clicks(all_ranks, clicks[graphs.targets.cpu()], graphs.num_items, k)
    return Measurement(metrics, by_length, by_clicks, all_ranks)


def main_cutoff(k: Sequence[int]) -> int:
    """The cut-off that chooses an epoch and is compared: 20, or the largest one if 20 is not among them."""
    return 20 if 20 in k else max(k)


def rank_table(graphs: SessionGraphs, ranks: Mapping[str, Tensor]) -> pl.DataFrame:
    """A table of one row per prefix: its session and number of clicks, its target, and the target's rank per model.

    Args:
        graphs: The prefixes.
        ranks: The ranks [P] by the name of the model.

    Returns:
        The columns `session` (number of the test session, from 0), `clicks`, `target` (index of the item), and one for
        each model.
    """
    columns = {"session": graphs.session, "clicks": graphs.length, "target": graphs.targets.cpu(), **ranks}
    return pl.DataFrame({name: values.int().numpy() for name, values in columns.items()})


def _ranked(
    model: SessionModel, graphs: SessionGraphs, top: int, name: str
) -> Iterator[tuple[Batch, Tensor, Tensor, Tensor]]:
    """The batches of all prefixes, with what :class:`Ranker` finds for them."""
    check_int("top", top, 0, graphs.num_items)
    if not len(graphs):
        raise UserError("There is no prefix to test: every session needs two clicks or more.")
    ranker = Ranker(model, graphs.items.device)
    holds_scores = ranker.rank is None and not ranker.in_tiles
    size = evaluation_batch_size(graphs.num_items, graphs.items.device, holds_scores)
    for first in Progress(range(0, len(graphs), size), desc=name, leave=False, disable=not name):
        batch = graphs[first : first + size]
        yield batch, *ranker(batch, top)
