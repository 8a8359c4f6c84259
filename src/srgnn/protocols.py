"""How a number comes about: what is trained on, how the epoch is chosen, when the test set is read.

Above the layers that know Lightning, so that a notebook runs the same protocol as `python src/train.py`.
"""

import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch_geometric.data import Batch
from tqdm.auto import tqdm

from srgnn.baselines import BASELINES
from srgnn.data.datamodule import ORDERS, SessionDataModule, evaluation_batch
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData, Sessions
from srgnn.errors import OptionError, UserError, check_bool, check_choice, check_float, check_int
from srgnn.metrics import evaluate
from srgnn.module import READ_EVERY, NextItemModule
from srgnn.nn.srgnn import SRGNN
from srgnn.recommender import load_checkpoint, model_of


@dataclass(frozen=True)
class Run:
    """Everything that a training run is told, in plain values.

    Args:
        model: Arguments of :class:`~srgnn.nn.SRGNN` but `num_items`.
        folder: Where checkpoints go.
        protocol: `validated` (see :meth:`validated`) or `paper` (see :meth:`paper`).
        refit: Under `validated`, train anew on all training sessions for the chosen number of epochs.
        valid_fraction: Share of the training sessions, the latest ones, that validate.
        max_epochs, patience: Training ends after `max_epochs`, or `patience` epochs without a better mrr.
        loss, sampling, k, optimizer: See :class:`~srgnn.module.NextItemModule`.
        batch_size, order, seed: See :class:`~srgnn.data.datamodule.SessionDataModule`.
        trainer: Arguments of Lightning's `Trainer`.
        config: What the checkpoints keep as the configuration.

    Raises:
        OptionError: for a value outside of what is allowed.
    """

    model: Mapping[str, Any]
    folder: Path
    protocol: str = "validated"
    refit: bool = False
    valid_fraction: float = 0.1
    max_epochs: int = 10
    patience: int = 3
    loss: str = "cross_entropy"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    k: Sequence[int] = (5, 10, 20)
    batch_size: int = 100
    order: str = "shuffled"
    seed: int = 0
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"accelerator": "cpu", "devices": 1})
    config: Mapping[str, Any] = field(default_factory=dict)

    def check(self, num_items: int | None) -> None:
        """Raises for wrong values, before any data is loaded; builds the model without memory for it.

        `num_items` is None where only the data will tell it.
        """
        check_choice("protocol", self.protocol, ["validated", "paper"])
        check_float("valid_fraction", self.valid_fraction, 0, exclusive=True)
        for name, minimum in (("max_epochs", 1), ("patience", 1), ("batch_size", 1), ("seed", 0)):
            check_int(name, getattr(self, name), minimum)
        check_bool("refit", self.refit)
        check_choice("order", self.order, ORDERS)
        if not self.k:
            raise OptionError("k", list(self.k), "at least one cut-off")
        for k in self.k:
            check_int("k", k, 1, num_items)
        with torch.device("meta"):
            try:
                model = SRGNN(num_items or max(self.k), **self.model)
            except OptionError as error:
                raise error.within("model") from error
            NextItemModule(model, self.loss, None, self.sampling, self.k, **self.optimizer)

    @property
    def monitor(self) -> str:
        """The metric that chooses the epoch."""
        return f"mrr@{20 if 20 in self.k else max(self.k)}"

    def start(self, data: SessionData, logger: Logger | None = None, resume: Path | None = None) -> dict[str, Any]:
        """Trains under the protocol, from the beginning or from a checkpoint of it.

        Returns:
            `metrics` (fractions), `checkpoint`, and the epochs that the protocol chose.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
            UserError: when the loss is not finite, or the checkpoint is of another protocol or other data.
        """
        self.check(data.num_items)
        return (self.paper if self.protocol == "paper" else self.validated)(data, logger, resume)

    def validated(self, data: SessionData, logger: Logger | None, resume: Path | None) -> dict[str, Any]:
        """Chooses the epoch on the latest training sessions, trains anew on all of them, reads test once."""
        before = read_about(resume, data, stages=["select", "refit"])
        chosen = before.get("chosen")
        if chosen is None:
            train, valid = data.train.split_latest(self.valid_fraction)
            select = _Stage(self, data, "select", logger)
            history = select.fit(train, valid, self.max_epochs, resume, before.get("history", []))
            chosen = max(history, key=lambda epoch: epoch[self.monitor])  # the first of equals
            resume = None
        final = _Stage(self, data, "refit" if self.refit else "select", logger, chosen)
        if self.refit:
            final.fit(data.train, None, chosen["epoch"], resume)
        checkpoint = self.folder / ("refit.ckpt" if self.refit else "best.ckpt")
        metrics = final.test(checkpoint, data.test)
        return {"checkpoint": str(checkpoint), "metrics": metrics, "chosen": chosen}

    def paper(self, data: SessionData, logger: Logger | None, resume: Path | None) -> dict[str, Any]:
        """Trains on everything and takes the best test epoch of each metric: selection on test, as in the papers."""
        before = read_about(resume, data, stages=["paper"])
        stage = _Stage(self, data, "paper", logger)
        history = stage.fit(data.train, data.test, self.max_epochs, resume, before.get("history", []))
        names = [name for name in history[0] if name != "epoch"]
        best = {name: max(history, key=lambda epoch: epoch[name]) for name in names}
        return {
            "checkpoint": str(self.folder / "best.ckpt"),
            "metrics": {name: best[name][name] for name in names},
            "epochs": {name: best[name]["epoch"] for name in names},
        }


class _Stage:
    """One training from the initial weights: `select`, `refit` or `paper`."""

    def __init__(self, run: Run, data: SessionData, name: str, logger: Logger | None, chosen: dict | None = None):
        self.run, self.data, self.name, self.logger = run, data, name, logger
        self.about = {
            "model": {"num_items": data.num_items, **run.model},
            "vocabulary": data.vocabulary.ids,
            "titles": data.vocabulary.titles,
            "data": dict(data.manifest),
            "config": dict(run.config),
            "stage": name,
            "history": [],
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("torch", "torch-geometric", "lightning")},
        } | ({"chosen": chosen} if chosen else {})

    def fit(
        self,
        train: Sessions,
        evaluation: Sessions | None,
        max_epochs: int,
        resume: Path | None,
        history: Sequence[dict[str, Any]] = (),
    ) -> list[dict[str, Any]]:
        """Trains, and returns the metrics of every epoch, those of `history` before a resumed one included."""
        if self._is_flat(history):  # the run was stopped after this stage had ended
            return list(history)
        last = self.run.folder / "last.ckpt"
        monitor = None if evaluation is None else f"{self._evaluated_on}/{self.run.monitor}"
        keep: dict[str, Any] = {
            "dirpath": self.run.folder,
            "enable_version_counter": False,
            "save_on_train_epoch_end": True,
        }
        callbacks: list[Callback] = [
            EpochLines(max_epochs),
            StopGracefully(last),
            ModelCheckpoint(filename="best" if monitor else self.name, monitor=monitor, mode="max", **keep),
            ModelCheckpoint(filename=last.stem, every_n_epochs=1, **keep),
        ]
        if monitor:
            callbacks.append(EarlyStopping(monitor, mode="max", patience=self.run.patience))
        run = self.run
        seed_everything(run.seed, verbose=False)
        clicks = torch.bincount(train.items, minlength=self.data.num_items)
        module = self._module(SRGNN(self.data.num_items, **run.model), clicks)
        datamodule = SessionDataModule(train, evaluation, self.data.num_items, run.batch_size, run.seed, run.order)
        trainer = self._trainer(callbacks, max_epochs)
        trainer.fit(module, datamodule, ckpt_path=resume, weights_only=True)
        return module.about["history"]

    def test(self, checkpoint: Path, sessions: Sessions) -> dict[str, float]:
        """The metrics of a checkpoint on the test sessions."""
        module = self._module(model_of(load_checkpoint(checkpoint)))
        trainer = self._trainer([])
        trainer.test(module, SessionDataModule(self.data.train, sessions, self.data.num_items), verbose=False)
        results = trainer.callback_metrics
        return {name.removeprefix("test/"): float(value) for name, value in results.items() if name.startswith("test/")}

    def _is_flat(self, history: Sequence[dict[str, Any]]) -> bool:
        scores = [epoch[self.run.monitor] for epoch in history]
        return bool(scores) and len(scores) - 1 - scores.index(max(scores)) >= self.run.patience

    @property
    def _evaluated_on(self) -> str:
        return "test" if self.name == "paper" else "valid"

    def _module(self, model: SRGNN, clicks: Tensor | None = None) -> NextItemModule:
        run = self.run
        told = {**run.optimizer, "evaluated_on": self._evaluated_on, "seed": run.seed, "about": self.about}
        return NextItemModule(model, run.loss, clicks, run.sampling, run.k, **told)

    def _trainer(self, callbacks: list[Callback], max_epochs: int | None = None) -> Trainer:
        bar = [TQDMProgressBar(refresh_rate=READ_EVERY)] if self.run.trainer.get("enable_progress_bar", True) else []
        return Trainer(
            **{"log_every_n_steps": READ_EVERY, **self.run.trainer},
            max_epochs=max_epochs,
            callbacks=[*bar, *callbacks],
            enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            logger=self.logger or False,
            default_root_dir=self.run.folder,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            plugins=[StreamedCheckpoints()],
            use_distributed_sampler=False,  # PrefixBatches takes each process's share
        )


def read_about(checkpoint: Path | None, data: SessionData, stages: Sequence[str]) -> dict[str, Any]:
    """What a checkpoint says about itself, once it is sure that training can go on from it; {} for None.

    Raises:
        UserError: when the checkpoint is of another protocol or other data.
    """
    if checkpoint is None:
        return {}
    about = load_checkpoint(checkpoint)["srgnn"]
    if about["stage"] not in stages:
        raise UserError(f"{checkpoint} is of stage {about['stage']}, not of {' or '.join(stages)}: keep its protocol.")
    if about["vocabulary"] != data.vocabulary.ids or about["data"]["counts"] != data.manifest["counts"]:
        raise UserError(f"{checkpoint} was trained on other data ({about['data']['name']}): resume it on the same.")
    return about


def compare(models: Mapping[str, Callable[[Batch], Tensor]], data: SessionData, k: Sequence[int]) -> dict[str, dict]:
    """The test metrics of models and of every simple baseline."""
    compared = dict(models)
    compared.update({name: baseline(data.train, data.num_items) for name, baseline in BASELINES.items()})
    graphs = SessionGraphs(data.test, data.num_items)
    return {name: evaluate(model, in_batches(graphs, name), k) for name, model in compared.items()}


def in_batches(graphs: SessionGraphs, name: str) -> Iterator[Batch]:
    """All prefixes in batches for an evaluation, in order, with a progress bar of that name."""
    size = evaluation_batch(graphs.num_items)
    for i in tqdm(range(0, len(graphs), size), desc=name, leave=False):
        yield graphs[i : i + size]


class Interrupted(Exception):
    """Training was stopped by a signal, after a checkpoint was written."""

    def __init__(self, checkpoint: Path, epoch: int, step: int):
        super().__init__(f"Stopped in epoch {epoch} after step {step:,}; the checkpoint is {checkpoint}.")
        self.checkpoint = checkpoint


class StopGracefully(Callback):
    """On Ctrl-C or SIGTERM: ends the step, writes a checkpoint, raises :class:`Interrupted`. A second signal kills."""

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
        asked = self.asked
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        # Not at the end of an epoch: its validation comes first, and the next epoch's first step stops.
        if asked and not trainer.is_last_batch:
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted(self.checkpoint, trainer.current_epoch + 1, trainer.global_step)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}


class StreamedCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint to its file as it is, where Lightning makes a copy of it in memory first.

    Under a temporary name beside it, so that what was written is whole.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
        except Exception as error:
            temporary.unlink(missing_ok=True)
            cause = error if isinstance(error, OSError) else error.__context__
            if isinstance(cause, OSError):  # torch hides a full disk behind an error of its own
                raise OSError(cause.errno, cause.strerror, str(path)) from error
            raise
        temporary.replace(path)


class EpochLines(Callback):
    """Prints one line per epoch, which stays where the progress bar goes on and in logs."""

    def __init__(self, max_epochs: int):
        self.max_epochs = max_epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()  # a resumed epoch does not start

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        print(file=sys.stderr)  # leaves the line of the progress bar

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        shown = "".join(
            f"  {name} {100 * value:.2f} %"
            for name, value in metrics.items()
            if name.endswith("@20") and "ndcg" not in name
        )
        seconds = time.perf_counter() - self.started
        line = f"Epoch {trainer.current_epoch + 1:>2} of {self.max_epochs}  loss {metrics['loss_epoch']:.4f}{shown}"
        bar = trainer.progress_bar_callback
        (bar.print if bar else trainer.print)(f"{line}  {seconds:.0f} s")
