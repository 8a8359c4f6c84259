"""Lightning's Trainer as the runs use it, and checks of its arguments before any data is loaded."""

import inspect
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

from srgnn.errors import ArgumentError, UserError, check_float, check_int
from srgnn.nn.softmax import has_bfloat16
from srgnn.progress import shows_bars
from srgnn.training.callbacks import ProgressLines, WholeCheckpoints
from srgnn.training.module import READ_EVERY

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")  # no weights in 16 bits
GPUS = {"cuda": torch.cuda.device_count}  # not mps, which has no float64 for the sums of losses and metrics
OWN = (  # arguments that a run sets itself
    *("max_epochs", "max_steps", "max_time", "min_epochs", "min_steps", "fast_dev_run"),
    *("callbacks", "enable_checkpointing", "logger", "default_root_dir"),
    *("num_sanity_val_steps", "enable_model_summary", "plugins", "use_distributed_sampler"),
    *("val_check_interval", "check_val_every_n_epoch"),  # a run evaluates after every epoch
)

LIMITS = ("limit_train_batches", "limit_val_batches")

log = logging.getLogger(__name__)


def check_trainer(arguments: Mapping[str, Any]) -> None:
    """Checks arguments of Lightning's `Trainer` against this machine, without building one.

    Raises:
        ArgumentError: for a name that the Trainer does not have, or a value that cannot work here.
    """
    known = [name for name in inspect.signature(Trainer).parameters if name not in OWN]
    for name, value in arguments.items():
        if name not in known:
            raise ArgumentError(name, value, "an argument of Lightning's Trainer, one of " + ", ".join(known))
    for name in LIMITS:
        check_float(name, arguments.get(name, 1.0), 0, exclusive=True)
    accelerator, devices = arguments.get("accelerator", "auto"), arguments.get("devices", "auto")
    available = [name for name in ("cpu", *GPUS) if _is_available(name)]
    allowed = [*available, "auto", *(["gpu"] if _gpu(accelerator) else [])]
    if isinstance(accelerator, str) and accelerator not in allowed:
        raise ArgumentError("accelerator", accelerator, f"an accelerator of this machine, one of {', '.join(allowed)}")
    if isinstance(devices, int):
        gpu = _gpu(accelerator)
        if devices != -1:
            check_int("devices", devices, 1, GPUS[gpu]() if gpu else None)
    strategy, strategies = arguments.get("strategy", "auto"), [*StrategyRegistry.available_strategies(), "auto"]
    if isinstance(strategy, str) and strategy not in strategies:
        raise ArgumentError("strategy", strategy, "one of " + ", ".join(strategies))
    if (precision := arguments.get("precision", "32-true")) not in PRECISIONS:
        raise ArgumentError("precision", precision, "one of " + ", ".join(PRECISIONS))


def num_processes(arguments: Mapping[str, Any]) -> int:
    """The number of processes that a Trainer with these arguments runs."""
    devices, gpu = arguments.get("devices", "auto"), _gpu(arguments.get("accelerator", "auto"))
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        count = len(devices)
    elif isinstance(devices, int) and devices != -1:
        count = devices
    else:
        count = GPUS[gpu]() if gpu else 1
    return count * int(arguments.get("num_nodes", 1))


def evaluation_device(arguments: Mapping[str, Any]) -> torch.device:
    """The device on which a model trained with these arguments is tested."""
    gpu, devices = _gpu(arguments.get("accelerator", "auto")), arguments.get("devices")
    if gpu is None:
        return torch.device("cpu")
    return torch.device(gpu, devices[0] if isinstance(devices, list | tuple) else 0)


def build_trainer(
    arguments: Mapping[str, Any], callbacks: Sequence[Callback], max_epochs: int, logger: Logger | None, folder: Path
) -> Trainer:
    """Builds the Trainer of one training.

    Args:
        arguments: The user's arguments, which override defaults that do not affect results. `strategy` may be a
            function that makes one.
        callbacks: Callbacks in addition to the progress bar.
        max_epochs: Maximum number of epochs.
        logger: Logger of the metrics; None logs nothing.
        folder: The run's folder.

    Raises:
        UserError: if Lightning refuses the arguments.
    """
    if arguments.get("precision") == "bf16-mixed" and evaluation_device(arguments).type == "cpu" and not has_bfloat16():
        warn_of_float32()
        arguments = {**arguments, "precision": "32-true"}
    accelerator = arguments.get("accelerator", "auto")
    if accelerator == "auto":  # Lightning would take mps where there is one
        accelerator = _gpu(accelerator) or "cpu"
    is_shown, is_bar = arguments.get("enable_progress_bar", True), shows_bars(sys.stdout)
    progress = [TQDMProgressBar(refresh_rate=READ_EVERY) if is_bar else ProgressLines()] if is_shown else []
    strategy = arguments.get("strategy", "auto")
    if strategy == "ddp" or (strategy == "auto" and num_processes(arguments) > 1):
        # All processes count the same buffers before the first step, and none changes them.
        strategy = DDPStrategy(broadcast_buffers=False)
    try:
        return Trainer(
            **{
                "log_every_n_steps": READ_EVERY,
                **arguments,
                "accelerator": accelerator,
                "enable_progress_bar": is_shown and is_bar,
                "strategy": strategy() if callable(strategy) else strategy,  # each training needs one of its own
            },
            max_epochs=max_epochs,
            callbacks=[*progress, *callbacks],
            enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            logger=logger or False,
            default_root_dir=folder,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            plugins=[WholeCheckpoints()],
            use_distributed_sampler=False,  # PrefixBatches takes each process's share
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"Lightning refuses these arguments of its Trainer: {reason.rstrip('.')}.") from error


@cache
def warn_of_float32() -> None:
    log.warning("precision=bf16-mixed: this CPU has no instructions for bfloat16, so training stays in float32.")


def _gpu(accelerator: Any) -> str | None:
    """`cuda` if the accelerator stands for a GPU that this machine has, else None."""
    names = GPUS if accelerator in ("auto", "gpu") else [accelerator]
    return next((name for name in names if name in GPUS and _is_available(name)), None)


def _is_available(name: str) -> bool:
    return bool(AcceleratorRegistry[name]["accelerator"].is_available())
