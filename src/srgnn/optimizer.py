from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam


class LazyAdam(Adam):
    """Adam that updates only the rows of a sparse gradient; a dense gradient gets the usual step.

    A row that no gradient names keeps its value and its moments: unlike in Adam it neither moves on by its momentum
    nor decays, and the L2 term counts when it is named. The bias correction counts the steps of the parameter.
    Arguments are those of :class:`~torch.optim.Adam`.
    """

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
                    parameter.grad = None  # nothing is left for Adam, which knows dense gradients
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
