"""Training losses over all items, or over a sample of them.

Each maps a model and a batch to the mean over the batch (:class:`~srgnn.contracts.Loss`). :data:`LOSSES` holds those
that can be chosen by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch

from srgnn.errors import UserError, check_choice, check_float, check_int
from srgnn.nn.softmax import chunked_cross_entropy, tiled_buffer, tiled_cross_entropy

if TYPE_CHECKING:
    from srgnn.contracts import Loss, TrainableModel


def cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Softmax cross entropy, -log p(target), as in the authors' code.

    Shapes:
        scores [B, V], target [B] -> scalar
    """
    return F.cross_entropy(scores, target)


def binary_cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    r"""The paper's sum of binary terms over the softmax probabilities (Wu et al., 2019, eq. 10).

    .. math:: -\sum_i y_i \log p_i + (1 - y_i) \log(1 - p_i)

    Shapes:
        scores [B, V], target [B] -> scalar
    """
    log_p = F.log_softmax(scores, dim=-1)
    # log(1 - p) from log p without cancellation: expm1 near p = 1, log1p near p = 0. The clamp keeps the gradient
    # finite where p rounds to 1.
    safe = log_p.clamp(max=-torch.finfo(log_p.dtype).eps)
    near_one = safe > -math.log(2)
    log_q = torch.where(
        near_one,
        torch.log(-torch.expm1(safe.clamp(min=-math.log(2)))),
        torch.log1p(-torch.exp(safe.clamp(max=-math.log(2)))),
    )
    target_term = log_p.gather(1, target.view(-1, 1)) - log_q.gather(1, target.view(-1, 1))
    return -(log_q.sum(dim=1) + target_term.squeeze(1)).mean()


class ScoreLoss(Module):
    """A loss made from a function of all scores: the plain path, which holds the scores [B, V] of the batch.

    Args:
        function: Maps scores [B, V] and targets [B] to a scalar, such as :func:`binary_cross_entropy`.
    """

    sparse: bool = False

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, model: TrainableModel, batch: Batch) -> Tensor:
        if model.item_embedding.shard is not None:
            raise UserError(
                "This loss needs the scores of all items, which no process of a sharded table has: use "
                "loss=cross_entropy.",
                "loss",
            )
        with torch.autocast("cpu", enabled=False):  # as in the full softmax
            if not model.in_products:
                return self.function(model(batch), batch.y)
            session, table = model.session_embedding_and_table(batch)
        return self.function(session @ table.T, batch.y)


class FullSoftmax(Module):
    """Softmax cross entropy over all items: the loss and gradients of :func:`cross_entropy` without its buffers.

    The gradients are computed together with the loss, so no score outlives its use.

    Args:
        method: `tiled` keeps the exponentials in one buffer of B·V numbers, reused in every step, and is meant for a
            CPU. `chunked` holds :data:`~srgnn.nn.softmax.LOGITS_PER_CHUNK` logits at a time. None, the default, takes
            tiles on a CPU and chunks elsewhere.

    Raises:
        ArgumentError: for an unknown method.
    """

    sparse: bool = False

    def __init__(self, method: str | None = None):
        super().__init__()
        if method is not None:
            check_choice("method", method, ["tiled", "chunked"])
        self.method = method
        self.buffer = torch.empty(0)

    def forward(self, model: TrainableModel, batch: Batch) -> Tensor:
        # On a CPU, autocast is for the softmax alone: the narrow products of an encoder lose more by the conversions.
        with torch.autocast("cpu", enabled=False):
            if not model.in_products:
                return cross_entropy(model(batch), batch.y)
            session, items = model.session_embedding_and_table(batch)
        shard = model.item_embedding.shard
        if (self.method or ("tiled" if session.device.type == "cpu" else "chunked")) == "chunked":
            return chunked_cross_entropy(session, items, batch.y, shard)
        self.buffer = tiled_buffer(session.size(0), items, self.buffer)
        return tiled_cross_entropy(session, items, batch.y, self.buffer, shard)


@dataclass(frozen=True)
class Sampling:
    """Size and distribution of the sample of a :class:`SampledLoss`.

    Args:
        negatives: Number of items drawn for every batch.
        power: Items are drawn in proportion to their clicks raised to this power: 0 is uniform, 1 by popularity.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    negatives: int = 8192
    power: float = 0.5

    def __post_init__(self) -> None:
        check_int("negatives", self.negatives, 1)
        check_float("power", self.power, 0)


class SampledLoss(Module):
    """The base of losses over the target and a sample of the other items, the same one for the whole batch.

    Args:
        clicks: Number of clicks of every item in training, [V]. An item without clicks counts as clicked once.
        negatives: Number of items drawn for every batch, with replacement.
        power: Items are drawn in proportion to their clicks raised to this power: 0 is uniform, 1 by popularity.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    sparse: bool = True
    cumulative: Tensor
    log_q: Tensor

    def __init__(self, clicks: Tensor, negatives: int = 8192, power: float = 0.5):
        super().__init__()
        self.sampling = Sampling(negatives, power)
        q = clicks.double().clamp(min=1) ** power
        cumulative = q.cumsum(0)
        self.register_buffer("cumulative", cumulative / cumulative[-1], persistent=False)
        self.register_buffer("log_q", (q / q.sum()).log().float(), persistent=False)

    def score(self, model: TrainableModel, batch: Batch) -> SampledScores:
        """Draws the negatives of a batch, and scores them and the targets."""
        target = batch.y
        if model.in_products:
            with torch.autocast("cpu", enabled=False):  # as in the full softmax
                session = model.session_embedding(batch)
            negatives = self.draw()
            target_score = (session * model.item_embedding(target)).sum(dim=1)  # [B]
            scores = session @ model.item_embedding(negatives).T  # [B, K]
        else:  # those of all targets, of which each session needs its own
            negatives = self.draw()
            with torch.autocast("cpu", enabled=False):
                scores = model.scores_of(batch, torch.cat([target, negatives]))  # [B, B + K]
            target_score, scores = scores.diagonal(), scores[:, len(target) :]
        return SampledScores(target_score, scores, negatives, negatives == target.view(-1, 1))

    def draw(self) -> Tensor:
        """Draws the negatives of a batch, [K]."""
        draws = torch.rand(self.sampling.negatives, dtype=torch.double, device=self.cumulative.device)
        return torch.searchsorted(self.cumulative, draws)


@dataclass(frozen=True)
class SampledScores:
    """The scores of the targets and of K negatives, which are items drawn for the whole batch.

    Shapes:
        target_score [B], scores [B, K], negatives [K]; is_target [B, K], whether a draw is the target of a session,
        an accidental hit
    """

    target_score: Tensor
    scores: Tensor
    negatives: Tensor
    is_target: Tensor


class SampledSoftmax(SampledLoss):
    r"""Softmax cross entropy over the target and a sample of the other items, see :class:`SampledLoss`.

    With :math:`K` negatives :math:`j`, drawn with replacement with probability :math:`q_j`:

    .. math:: -s_t + \log \big( e^{s_t} + \textstyle\sum_{j \ne t} e^{s_j - \log (K q_j)} \big)

    where draws of the target itself (accidental hits) are left out. The expectation of the sum is the sum over all
    items (Bengio and Senécal, 2008). The target's own score is not corrected, since it is always included (Khrylchenko
    et al., RecSys 2025).
    """

    def forward(self, model: TrainableModel, batch: Batch) -> Tensor:
        sample = self.score(model, batch)
        correction = -(self.log_q[sample.negatives] + math.log(self.sampling.negatives))  # [K]
        offset = correction.expand_as(sample.is_target).masked_fill(sample.is_target, -torch.inf)
        # The offset is float32, and so is the sum, even where autocast computes the product in 16 bits.
        scores = sample.scores + offset
        scores = torch.cat([sample.target_score.view(-1, 1).to(offset.dtype), scores], dim=1)  # the target first
        return F.cross_entropy(scores, torch.zeros_like(batch.y))


class BPRLoss(SampledLoss):
    r"""Bayesian personalised ranking (Rendle et al., UAI 2009): pairs of the target and an item of a sample.

    With the negatives :math:`j` of a batch, see :class:`SampledLoss`:

    .. math:: \mathrm{mean}_{j \ne t} \, -\log \sigma(s_t - s_j)

    where draws of the target itself (accidental hits) are left out. The paper draws one negative for each pair of
    session and item, uniformly.
    """

    def forward(self, model: TrainableModel, batch: Batch) -> Tensor:
        sample = self.score(model, batch)
        dtype = torch.promote_types(sample.scores.dtype, torch.float32)  # autocast computes the products in 16 bits
        difference = sample.scores.to(dtype) - sample.target_score.to(dtype).view(-1, 1)  # [B, K]
        pairs = F.softplus(difference).masked_fill(sample.is_target, 0)  # -log sigmoid(-x) = softplus(x)
        return (pairs.sum(dim=1) / (~sample.is_target).sum(dim=1).clamp(min=1)).mean()


LOSSES: dict[str, Callable[[Tensor, Sampling], Loss]] = {
    "cross_entropy": lambda clicks, sampling: FullSoftmax(),
    "binary_cross_entropy": lambda clicks, sampling: ScoreLoss(binary_cross_entropy),
    "sampled_softmax": lambda clicks, sampling: SampledSoftmax(clicks, sampling.negatives, sampling.power),
    "bpr": lambda clicks, sampling: BPRLoss(clicks, sampling.negatives, sampling.power),
}


def build_loss(loss: str, clicks: Tensor, sampling: Sampling) -> Loss:
    """Builds the loss of a given name.

    Args:
        loss: A name of :data:`LOSSES`.
        clicks: Number of clicks of every item in training, [V]; only `sampled_softmax` and `bpr` read them.
        sampling: The sample that those two draw.

    Raises:
        ArgumentError: for an unknown name.
    """
    check_choice("loss", loss, LOSSES)
    return LOSSES[loss](clicks, sampling)
