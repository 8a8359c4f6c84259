"""Lightning callbacks: a graceful stop, checkpoints without a copy in memory, one line per epoch."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from srgnn import progress
from srgnn.errors import UserError
from srgnn.training.checkpoint import save, verify

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """Training stopped by a signal, once a checkpoint has been written."""

    def __init__(self, checkpoint: Path, epoch: int, step: int):
        super().__init__(f"Stopped in epoch {epoch} after step {step:,}; the checkpoint is {checkpoint}.")
        self.checkpoint = checkpoint


class StopGracefully(Callback):
    """Ends the step on Ctrl-C or SIGTERM, writes a checkpoint and raises :class:`Interrupted`; a second signal kills.

    A step of several batches is ended whole, and so is the validation after the last step of an epoch.

    Args:
        checkpoint: Path of the checkpoint to write.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, checkpoint: Path):
        self.checkpoint = checkpoint
        self.asked = False
        self.handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self._ask) for number in self.SIGNALS}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        # Not at the end of an epoch: validation comes first, and training stops after the first step of the next epoch.
        is_whole = (args[2] + 1) % trainer.accumulate_grad_batches == 0 and not trainer.is_last_batch
        if is_whole and self._is_asked(trainer):
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted(self.checkpoint, trainer.current_epoch + 1, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_asked(trainer):  # after the last step, whose epoch has its checkpoint
            raise Interrupted(self.checkpoint, trainer.current_epoch, trainer.global_step)

    def _is_asked(self, trainer: Trainer) -> bool:
        if trainer.world_size > 1:
            return trainer.strategy.reduce_boolean_decision(self.asked, all=False)
        return self.asked

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}


class AfterEpoch(Callback):
    """Hands the metrics of all evaluated epochs to a function after each of them; its errors end the training.

    Args:
        call: Receives the history of the :class:`~srgnn.training.module.NextItemModule`.
    """

    def __init__(self, call: Callable[[Sequence[Mapping[str, Any]]], None]):
        self.call = call
        self.is_stopped = False  # whether a signal came in an epoch whose metrics end the training

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stops = [callback for callback in trainer.callbacks if isinstance(callback, StopGracefully)]  # type: ignore[attr-defined]
        self.is_stopped = any(callback.asked for callback in stops)
        self.call(cast(Any, pl_module).history)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints with :func:`srgnn.training.checkpoint.save`; Lightning would copy each in memory first.

    Reading verifies their checksums.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: str | Path, *arguments: Any, **options: Any) -> dict[str, Any]:
        if Path(path).is_dir():
            raise UserError(
                f"{path} was trained with a table sharded over processes, and continues in that way alone, on any "
                "number of them: leave strategy= as it was.",
                "strategy",
            )
        verify(Path(path))
        return super().load_checkpoint(path, *arguments, **options)


class ProgressLines(Callback):
    """Logs a line every half a minute, for output that goes to a file or a pipe."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = self.logged = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        done, total = args[2] + 1, trainer.num_training_batches
        loss = trainer.callback_metrics.get("loss_step", float("nan"))
        self._log(f"Epoch {trainer.current_epoch + 1}: step {done:,} of {total:,}, loss {float(loss):.4f}")

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        share = (args[2] + 1) / trainer.num_val_batches[0]
        self._log(f"Epoch {trainer.current_epoch + 1}: {100 * share:.0f} % evaluated")

    def _log(self, line: str) -> None:
        now = time.perf_counter()
        if now - self.logged >= progress.SECONDS:
            self.logged = now
            log.info("%s, %.0f s", line, now - self.started)


class TextFirst(Callback):
    """Holds the rows of ids in the first epochs, in which the map of the items' texts is trained without them.

    Args:
        epochs: Number of these epochs.
    """

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)  # which Lightning leaves out for an epoch that is resumed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: Any = pl_module.model
        model.item_embedding.holds_all = trainer.current_epoch < self.epochs


class EpochLines(Callback):
    """Logs one line per epoch, which stays on the screen when the progress bar moves on.

    Args:
        max_epochs: Number of epochs, to show beside the current one.
        k: Cut-off of the metrics that are shown.
    """

    def __init__(self, max_epochs: int, k: int = 20):
        self.max_epochs, self.k = max_epochs, k

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()  # an epoch that is resumed in the middle has no start event

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.progress_bar_callback:
            print(file=sys.stderr)  # leaves the line of the progress bar

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        shown = "".join(
            f"  {name} {100 * value:.2f} %"
            for name, value in metrics.items()
            if name.endswith(f"@{self.k}") and "ndcg" not in name
        )
        seconds = time.perf_counter() - self.started
        line = f"Epoch {trainer.current_epoch + 1:>2} of {self.max_epochs}  loss {metrics['loss_epoch']:.4f}{shown}"
        log.info("%s  %.0f s", line, seconds)
