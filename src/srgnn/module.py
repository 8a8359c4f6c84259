import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import StepLR
from torch_geometric.data import Batch

from srgnn.errors import UserError, check_choice, check_float, check_int
from srgnn.metrics import RankMetrics, target_ranks
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.losses import LOSSES, FullSoftmax, OfScores, SampledSoftmax
from srgnn.nn.srgnn import SRGNN
from srgnn.optimizer import LazyAdam

READ_EVERY = 20  # steps between two looks at the loss, by the progress bar and the logger


class NextItemModule(LightningModule):
    """Trains a model that maps a batch of session graphs to scores [B, V], and measures it by full ranking.

    Args:
        model: The model; :class:`~srgnn.nn.SRGNN`, or one with its methods.
        loss: `cross_entropy`, `binary_cross_entropy` or `sampled_softmax`, see :mod:`srgnn.nn.losses`.
        clicks: Of every item in training, [V]: what `sampled_softmax` draws by.
        sampling: See :class:`~srgnn.nn.losses.SampledSoftmax`.
        k: The cut-offs of the metrics.
        lr, weight_decay: Of Adam; the decay is its L2 term, as in the authors' code.
        lr_decay, lr_decay_every: The learning rate is multiplied by `lr_decay` every so many epochs.
        evaluated_on: Name, in the logs, of what is evaluated after every epoch: `valid` or `test`.
        seed: Of dropout and negatives, which are a function of it and of the step.
        about: Plain values that every checkpoint carries under the key `srgnn`. Their `history` grows by the
            metrics of every epoch.

    Raises:
        OptionError: for a value outside of what is allowed.
    """

    def __init__(
        self,
        model: SRGNN,
        loss: str = "cross_entropy",
        clicks: Tensor | None = None,
        sampling: Mapping[str, Any] | None = None,
        k: Sequence[int] = (5, 10, 20),
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        lr_decay: float = 0.1,
        lr_decay_every: int = 3,
        evaluated_on: str = "valid",
        seed: int = 0,
        about: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.model: SRGNN = model
        check_choice("loss", loss, [*LOSSES, "sampled_softmax"])
        sampled = SampledSoftmax(clicks if loss == "sampled_softmax" else None, **(sampling or {}))
        self.loss = {"cross_entropy": FullSoftmax(), "sampled_softmax": sampled}.get(loss) or OfScores(LOSSES[loss])
        self.metrics = RankMetrics(k)
        self.lr = check_float("optimizer.lr", lr, 0, exclusive=True)
        self.weight_decay = check_float("optimizer.weight_decay", weight_decay, 0)
        self.lr_decay = check_float("optimizer.lr_decay", lr_decay, 0, exclusive=True)
        self.lr_decay_every = check_int("optimizer.lr_decay_every", lr_decay_every, 1)
        self.evaluated_on = evaluated_on
        self.seed = seed
        self.about = dict(about or {})

    def forward(self, batch: Batch) -> Tensor:
        return self.model(batch)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = LazyAdam(trained, lr=self.lr, weight_decay=self.weight_decay, fused=True)
        return {"optimizer": optimizer, "lr_scheduler": StepLR(optimizer, self.lr_decay_every, self.lr_decay)}

    def on_fit_start(self) -> None:
        # The gradient of a sample of the items is a handful of rows. A GPU would wait for their count, and processes
        # exchange dense gradients.
        alone_on_cpu = self.device.type == "cpu" and self.trainer.world_size == 1
        self.model.item_embedding.sparse = isinstance(self.loss, SampledSoftmax) and alone_on_cpu

    def on_train_start(self) -> None:
        self._reset_loss()

    def _reset_loss(self) -> None:
        self.loss_sum, self.loss_count = torch.zeros((), dtype=torch.double, device=self.device), 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # So that a resumed run draws what an undisturbed one does.
        torch.manual_seed((self.seed * 1_000_003 + self.trainer.global_step * 1_009 + self.global_rank) % 2**63)
        if batch.num_graphs:
            mean = self.batch_loss(batch)
        else:  # the last batch had no prefix left for this process: it adds nothing, but takes part
            parts = [p.sum() for p in self.model.parameters() if p.requires_grad]
            mean = torch.stack(parts).sum()
        loss = mean * self._share(batch)
        self.loss_sum += mean.detach() * batch.num_graphs
        self.loss_count += batch.num_graphs
        is_read = (self.trainer.global_step + 1) % READ_EVERY == 0
        if is_read or self.device.type == "cpu":  # on a GPU a look waits for all that is under way
            self._check(loss)
        if is_read or batch_idx == 0:
            self.log("loss_step", loss.detach(), prog_bar=True, batch_size=batch.num_graphs)
        if self.trainer.is_last_batch:
            of_epoch = (self.loss_sum / max(1, self.loss_count)).float()
            self._check(of_epoch)
            several = self.trainer.world_size > 1
            self.log("loss_epoch", of_epoch, on_step=False, on_epoch=True, sync_dist=several, batch_size=1)
            self._reset_loss()
        return loss

    def batch_loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch."""
        return self.loss(*self.embed(batch), batch.y)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | ItemEmbedding]:
        """What the loss compares: session embeddings [B, d] with all items [V, d], or with what looks up a sample."""
        if isinstance(self.loss, SampledSoftmax):
            return self.model.session_embedding(batch), self.model.item_embedding
        return self.model.session_embedding_and_table(batch)

    def _check(self, loss: Tensor) -> None:
        if not math.isfinite(loss.item()):
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise UserError(
                f"The loss became {loss.item()} at step {self.trainer.global_step:,} (epoch {self.current_epoch + 1}) "
                f"with learning rate {rate:g}: try a smaller one, optimizer.lr={rate / 10:g}, and look for damage in "
                "the data."
            )

    def _share(self, batch: Batch) -> float | Tensor:
        """What makes the average of the processes' mean losses the mean over the global batch."""
        if self.trainer.world_size == 1:
            return 1.0
        local = torch.tensor(float(batch.num_graphs), device=self.device)
        return local / self.trainer.strategy.reduce(local.clone(), reduce_op="mean")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if batch.num_graphs:
            self.metrics.update(target_ranks(self.model(batch), batch.y))

    def on_validation_epoch_end(self) -> None:
        metrics = self._log_metrics(self.evaluated_on)
        self.about["history"] = [*self.about.get("history", []), {"epoch": self.current_epoch + 1, **metrics}]

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _log_metrics(self, evaluated_on: str) -> dict[str, float]:
        metrics = self.metrics.compute()
        self.metrics.reset()
        for name, value in metrics.items():
            self.log(f"{evaluated_on}/{name}", value.float(), prog_bar=name.endswith(f"@{self.metrics.k[-1]}"))
        return {name: float(value) for name, value in metrics.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["srgnn"] = self.about

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.about["history"] = checkpoint["srgnn"]["history"]
