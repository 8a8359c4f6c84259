"""Losses over all items. Each maps scores [B, V] and targets [B] to the mean over the batch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Softmax cross entropy, -log p(target): what the authors' code trains with."""
    return F.cross_entropy(scores, target)


def binary_cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    r"""The paper's sum of binary terms over the softmax probabilities (Wu et al., 2019, eq. 10).

    .. math:: -\sum_i y_i \log p_i + (1 - y_i) \log(1 - p_i)
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
    of_target = log_p.gather(1, target.view(-1, 1)) - log_q.gather(1, target.view(-1, 1))
    return -(log_q.sum(dim=1) + of_target.squeeze(1)).mean()


LOSSES = {"cross_entropy": cross_entropy, "binary_cross_entropy": binary_cross_entropy}
