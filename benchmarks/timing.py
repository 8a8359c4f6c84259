"""The training to measure, and the times of its variants."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from srgnn.nn import Sampling, SRGNNSettings
from srgnn.training.optimizer import OptimizerSettings

PARTS = ["batch", "forward", "loss", "backward", "optimizer"]


@dataclass(frozen=True)
class Setting:
    """The training to measure: model, loss, optimizer, batch size and precisions."""

    model: SRGNNSettings
    optimizer: OptimizerSettings
    loss: str
    sampling: Sampling
    batch_size: int
    seed: int
    matmul: str
    precision: str
    accelerator: str

    @property
    def device(self) -> torch.device:
        return torch.device("cuda" if self.accelerator == "gpu" else "cpu")


@dataclass
class Trained:
    """One variant of the training, step by step, and the times that it took.

    Args:
        name: Row of the table.
        step: Trains on prefixes [B], and calls its second argument with the name of each part when that part ends.
    """

    name: str
    step: Callable[[Tensor, Callable[[str], None]], Any]
    rounds: list[dict[str, float]] = field(default_factory=list)
    dtype: torch.dtype = torch.float32  # of the products, whose rate is the limit
    memory: float | None = None  # peak in GB, where it can be attributed to this variant

    def time(self, batches: list[Tensor], synchronize: Callable[[], None]) -> None:
        """Adds a round: seconds per step, and seconds of its parts, which are measured in separate steps."""
        parts = dict.fromkeys(PARTS, 0.0)
        synchronize()
        last = time.perf_counter()

        def lap(part: str) -> None:
            nonlocal last
            synchronize()
            now = time.perf_counter()
            parts[part] += now - last
            last = now

        for batch in batches:
            self.step(batch, lap)
        synchronize()
        started = time.perf_counter()
        for batch in batches:
            self.step(batch, lambda part: None)
        synchronize()
        seconds = time.perf_counter() - started
        self.rounds.append({name: value / len(batches) for name, value in {**parts, "step": seconds}.items()})

    def median(self, name: str = "step") -> float:
        return statistics.median(each[name] for each in self.rounds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        quartiles = statistics.quantiles([each["step"] for each in self.rounds], n=4)
        return (quartiles[2] - quartiles[0]) / 2 / self.median()
