"""Adam with a step decay of the learning rate, and a variant that updates only the rows in a sparse gradient."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Adam
from torch.optim.lr_scheduler import StepLR

from srgnn.errors import check_float, check_int


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam and its learning rate over the epochs. The defaults are those of the SR-GNN paper.

    Args:
        lr: Learning rate of the first epoch.
        weight_decay: Factor of the L2 term that is added to the gradients.
        lr_decay: Factor of the learning rate after every `lr_decay_every` epochs.
        lr_decay_every: Number of epochs with the same learning rate.

    Raises:
        ArgumentError: for a value outside its range.
    """

    lr: float = 1e-3
    weight_decay: float = 1e-5
    lr_decay: float = 0.1
    lr_decay_every: int = 3

    def __post_init__(self) -> None:
        check_float("lr", self.lr, 0, exclusive=True)
        check_float("weight_decay", self.weight_decay, 0)
        check_float("lr_decay", self.lr_decay, 0, exclusive=True)
        check_int("lr_decay_every", self.lr_decay_every, 1)

    def build(self, parameters: Iterable[Parameter]) -> OptimizerLRSchedulerConfig:
        """Builds the optimizer of these parameters and its schedule, in the form that Lightning expects."""
        optimizer = LazyAdam(parameters, lr=float(self.lr), weight_decay=float(self.weight_decay), fused=True)
        return {"optimizer": optimizer, "lr_scheduler": StepLR(optimizer, self.lr_decay_every, float(self.lr_decay))}


class LazyAdam(Adam):
    """Adam that updates only the rows of a sparse gradient; a dense gradient gets the usual step.

    Rows absent from the gradient keep their value and moments: unlike in Adam, they neither keep moving by their
    momentum nor decay, and the L2 term applies only to rows in the gradient. The bias correction counts the steps of
    the whole parameter.

    Args:
        params: The parameters, or groups of them.
        lr: Learning rate.
        betas: Decay of the running means of the gradient and of its square.
        eps: Term added to the denominator.
        weight_decay: Factor of the L2 term.
        fused: Whether dense gradients take torch's fused step.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        fused: bool | None = None,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and gradient.is_sparse:
                    self._update_rows(parameter, gradient.coalesce(), group)
                    parameter.grad = None  # Adam knows only dense gradients, and skips a parameter without one
        super().step()
        return loss

    @torch.no_grad()
    def _update_rows(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rows, grad = gradient.indices().squeeze(0), gradient.values()
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        weight = parameter[rows]
        grad = grad.add(weight, alpha=group["weight_decay"])
        average = state["exp_avg"][rows].lerp_(grad, 1 - beta1)
        square = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = average, square
        average = average / (1 - beta1 ** state["step"])
        square = square / (1 - beta2 ** state["step"])
        parameter[rows] = weight - group["lr"] * average / (square.sqrt() + group["eps"])
