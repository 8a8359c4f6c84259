"""The LightningModule: training steps, and validation by full ranking."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch_geometric.data import Batch

from srgnn.contracts import Loss, TrainableModel
from srgnn.errors import ArgumentError, UserError
from srgnn.evaluation import Ranker, main_cutoff
from srgnn.metrics import is_finite
from srgnn.training.checkpoint import KEY, CheckpointRecord
from srgnn.training.optimizer import OptimizerSettings
from srgnn.training.rank_metrics import RankMetrics
from srgnn.training.sharding import SHARDS, average_gradients

READ_EVERY = 20  # steps between two readings of the loss by the progress bar and the logger


class NextItemModule(LightningModule):
    """Trains a model that maps a batch of session graphs to scores [B, V], and validates it by full ranking.

    Args:
        model: The model, such as :class:`~srgnn.nn.SRGNN`.
        loss: Maps the model and a batch to the mean loss, see :mod:`srgnn.nn.losses`.
        optimizer: Settings of the optimizer.
        k: Cut-offs of the metrics.
        evaluated_on: Name, in the logs, of the sessions evaluated after every epoch: `valid` or `test`.
        seed: Seed of dropout and negatives, which depend only on it and on the step.
        record: The record of every checkpoint; its `history` grows by the metrics of every epoch.
    """

    def __init__(
        self,
        model: TrainableModel,
        loss: Loss,
        optimizer: OptimizerSettings | None = None,
        k: Sequence[int] = (5, 10, 20),
        evaluated_on: str = "valid",
        seed: int = 0,
        record: CheckpointRecord | None = None,
    ):
        super().__init__()
        self.model = model
        self.loss = loss
        self.optimizer_settings = optimizer or OptimizerSettings()
        self.metrics = RankMetrics(k)
        self.evaluated_on = evaluated_on
        self.seed = seed
        self.record = record
        self.history: list[dict[str, Any]] = list(record.history) if record else []

    def forward(self, batch: Batch) -> Tensor:
        return self.model(batch)

    def configure_model(self) -> None:
        if self.device_mesh is not None and not self.model.in_products:
            raise UserError(
                f"{type(self.model).__name__} computes more from an item than its product with the session, and needs "
                "the whole table for that: choose another strategy= than one that shards it, such as ddp.",
                "strategy",
            )
        if self.device_mesh is not None and self.model.item_embedding.shard is None:
            self.model.item_embedding.shard_over(self.device_mesh[SHARDS])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return self.optimizer_settings.build(p for p in self.model.parameters() if p.requires_grad)

    def on_fit_start(self) -> None:
        # Sparse gradients pay off where a CPU process alone has the rows: coalescing them synchronises a GPU, and
        # copies of a table exchange dense gradients.
        alone_on_cpu = self.device.type == "cpu" and self._share_of_data["num_replicas"] == 1
        is_clipped = bool(self.trainer.gradient_clip_val)  # torch clips dense gradients alone
        self.model.item_embedding.sparse = self.loss.sparse and alone_on_cpu and not is_clipped
        clipping = self.trainer.gradient_clip_algorithm if is_clipped else "value"
        if self.device_mesh is not None and clipping != "value":  # no process knows the norm of the whole gradient
            raise ArgumentError("gradient_clip_algorithm", clipping, "value, where the table is sharded")

    def on_train_start(self) -> None:
        self._reset_loss()

    def _reset_loss(self) -> None:
        self.loss_sum, self.loss_count = torch.zeros((), dtype=torch.double, device=self.device), 0

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # A loss over all items makes its gradients together with its value: those of the last step go before.
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.trainer.optimizers[0].zero_grad()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # A resumed run draws the same numbers as an uninterrupted one.
        rank = self._share_of_data["rank"]
        part = batch_idx % self.trainer.accumulate_grad_batches  # of the batches of one step, each draws its own
        number = self.seed * 1_000_003 + self.trainer.global_step * 1_009 + part * 500_009 + rank
        torch.manual_seed(number % 2**63)
        if batch.num_graphs:
            mean = self.loss(self.model, batch)
        else:  # the last batch had no prefix left for this process: it adds zero, so that every process takes part
            parts = [p.sum() for p in self.model.parameters() if p.requires_grad]
            mean = torch.stack(parts).sum()
        loss = mean * self._share(batch)
        self.loss_sum += mean.detach() * batch.num_graphs
        self.loss_count += batch.num_graphs
        is_read = (self.trainer.global_step + 1) % READ_EVERY == 0
        if is_read or self.device.type == "cpu":  # reading a value from a GPU waits for all of its queued work
            self._check(loss)
        if is_read or batch_idx == 0:
            self.log("loss_step", loss.detach(), prog_bar=True, batch_size=batch.num_graphs)
        if self.trainer.is_last_batch:
            epoch_loss = (self.loss_sum / max(1, self.loss_count)).float()
            self._check(epoch_loss)
            is_distributed = self.trainer.world_size > 1
            self.log("loss_epoch", epoch_loss, on_step=False, on_epoch=True, sync_dist=is_distributed, batch_size=1)
            self._reset_loss()
        return loss

    @property
    def _share_of_data(self) -> dict[str, int]:
        """The number of shares into which every batch is divided, and the number of that of this process."""
        return self.trainer.distributed_sampler_kwargs or {"num_replicas": 1, "rank": 0}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.device_mesh is not None:
            average_gradients(self.model, self.device_mesh)

    def on_train_epoch_end(self) -> None:
        # The last step of an epoch changes weights that no loss has seen; no checkpoint of them may be written.
        is_right = all(is_finite(parameter.detach()) for parameter in self.parameters())
        if not self.trainer.strategy.reduce_boolean_decision(is_right):
            raise self._diverged("A weight is no longer a finite number after")

    def _check(self, loss: Tensor) -> None:
        if not math.isfinite(loss.item()):
            raise self._diverged(f"The loss became {loss.item()} at")

    def _diverged(self, what: str) -> UserError:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        return UserError(
            f"{what} step {self.trainer.global_step:,} (epoch {self.current_epoch + 1}) with learning rate {rate:g}: "
            f"try a smaller one, lr={rate / 10:g}, and check the data for damage.",
            "lr",
        )

    def _share(self, batch: Batch) -> float | Tensor:
        """Weight that turns DDP's average of per-process means into the mean over the global batch."""
        if self.trainer.world_size == 1:
            return 1.0
        local = torch.tensor(float(batch.num_graphs), device=self.device)
        return local / self.trainer.strategy.reduce(local.clone(), reduce_op="mean")

    def on_validation_epoch_start(self) -> None:
        self.ranker = Ranker(self.model, self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if batch.num_graphs:
            ranks, _, _ = self.ranker(batch)
            self.metrics.update(ranks)

    def on_validation_epoch_end(self) -> None:
        del self.ranker
        metrics = self.metrics.compute()
        self.metrics.reset()
        shown = f"@{main_cutoff(self.metrics.k)}"
        for name, value in metrics.items():
            self.log(f"{self.evaluated_on}/{name}", value.float(), prog_bar=name.endswith(shown))
        values = {name: float(value) for name, value in metrics.items()}
        self.history = [*self.history, {"epoch": self.current_epoch + 1, **values}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.record is not None:
            checkpoint[KEY] = replace(self.record, history=self.history).plain()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = CheckpointRecord.from_plain(checkpoint[KEY]).history
