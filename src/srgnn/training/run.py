"""Settings of a training run, and a single training under them."""

import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch import Tensor

from srgnn.contracts import ModelSettings, TrainableModel
from srgnn.data.datamodule import ORDERS, SessionDataModule
from srgnn.data.sessions import SessionData, Sessions
from srgnn.errors import ArgumentError, UserError, check_bool, check_choice, check_float, check_int
from srgnn.evaluation import main_cutoff
from srgnn.models import MODELS
from srgnn.nn import LOSSES, Sampling, SRGNNSettings, build_loss
from srgnn.training.callbacks import EpochLines, StopGracefully, TextFirst
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord, load_record
from srgnn.training.loggers import BeginStage
from srgnn.training.module import NextItemModule
from srgnn.training.new_items import check_same_model, take_over
from srgnn.training.optimizer import OptimizerSettings
from srgnn.training.trainer import build_trainer, check_trainer

LIBRARIES = ("torch", "torch-geometric", "lightning")  # a checkpoint records their versions
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """Settings of a training run, in plain values; :func:`srgnn.training.protocols.train` starts it.

    Args:
        folder: Folder of the checkpoints, one for each run.
        model: Settings of the model, one of :data:`srgnn.models.MODELS`.
        protocol: `validated` or `paper`, see :mod:`srgnn.training.protocols`.
        refit: Whether `validated` retrains on all training sessions for the chosen number of epochs.
        valid_fraction: Share of the training sessions, the latest ones, to validate on.
        max_epochs: Maximum number of epochs of one training.
        patience: Number of epochs without a better mrr after which a training ends.
        loss: Name of the loss, see :data:`srgnn.nn.losses.LOSSES`.
        sampling: Sample of the losses `sampled_softmax` and `bpr`.
        optimizer: Learning rate, weight decay and schedule.
        k: Cut-offs of the metrics; the epoch is chosen by mrr@20, or at the largest cut-off if 20 is not one.
        batch_size: Prefixes per step, over all processes.
        order: Order of the prefixes, see :class:`~srgnn.data.datamodule.SessionDataModule`.
        seed: Seed of the weights, the order, dropout and negatives.
        trainer: Arguments of Lightning's `Trainer`.
        text_first: Number of epochs at the beginning in which the rows of ids are held while the map of the texts is
            trained, for a model with `text=added`.
        init_from: A checkpoint of the same model, whose weights the training begins with, see
            :func:`srgnn.training.new_items.take_over`; None begins with fresh ones.
        config: Configuration to keep in the checkpoints.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    folder: Path
    model: ModelSettings = field(default_factory=SRGNNSettings)
    protocol: str = "validated"
    refit: bool = True
    valid_fraction: float = 0.1
    max_epochs: int = 10
    patience: int = 3
    loss: str = "cross_entropy"
    sampling: Sampling = field(default_factory=Sampling)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    k: Sequence[int] = (5, 10, 20)
    batch_size: int = 100
    order: str = "shuffled"
    seed: int = 0
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"accelerator": "cpu", "devices": 1})
    text_first: int = 0
    init_from: Path | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        for name, kinds in (("model", MODELS.values()), ("sampling", [Sampling]), ("optimizer", [OptimizerSettings])):
            if type(value := getattr(self, name)) not in kinds:
                raise ArgumentError(name, value, " or ".join(kind.__name__ for kind in kinds))
        check_choice("protocol", self.protocol, ["validated", "paper"])
        check_float("valid_fraction", self.valid_fraction, 0, exclusive=True)
        for name in ("max_epochs", "patience", "batch_size"):
            check_int(name, getattr(self, name), 1)
        if check_int("text_first", self.text_first, 0) and getattr(self.model, "text", None) != "added":
            raise ArgumentError("text_first", self.text_first, "0 for a model without text=added")
        if self.text_first and self.init_from is not None:
            raise ArgumentError("text_first", self.text_first, "0 with init_from, whose rows of ids are trained")
        if self.text_first >= self.max_epochs:
            raise ArgumentError("text_first", self.text_first, f"fewer epochs than max_epochs, {self.max_epochs}")
        check_int("seed", self.seed, 0, 2**32 - 1)  # the range of NumPy's seeds
        check_bool("refit", self.refit)
        check_choice("loss", self.loss, LOSSES)
        check_choice("order", self.order, ORDERS)
        if not isinstance(self.k, list | tuple) or not self.k:
            raise ArgumentError("k", self.k, "a list of at least one cut-off")
        self.check_cutoffs(None)
        check_trainer(self.trainer)
        if self.init_from is not None:
            object.__setattr__(self, "init_from", Path(self.init_from))
            check_same_model(self.model, load_record(self.init_from), self.init_from)

    def check_cutoffs(self, num_items: int | None) -> None:
        """Checks the cut-offs of the metrics against the number of items, if it is known.

        Raises:
            UserError: for a cut-off outside 1 to `num_items`.
        """
        for k in self.k:
            check_int("k", k, 1)
            if num_items is not None and k > num_items:
                smaller = min(5, num_items)
                raise UserError(
                    f"k={k}: the data has only {num_items:,} items, and a cut-off cannot be larger: give smaller ones, "
                    f"such as k=[{smaller}].",
                    "k",
                )

    @property
    def model_name(self) -> str:
        """The name of the model in tables and checkpoints."""
        return next(name for name, kind in MODELS.items() if type(self.model) is kind)

    @property
    def monitor(self) -> str:
        """The metric that chooses the epoch."""
        return f"mrr@{main_cutoff(self.k)}"

    def record(self, data: SessionData, stage: str, chosen: dict[str, Any] | None = None) -> CheckpointRecord:
        """The record of the checkpoints of a stage, before its first epoch."""
        return CheckpointRecord(
            model={"num_items": data.num_items, **asdict(self.model)},
            vocabulary=data.vocabulary.ids,
            titles=data.vocabulary.titles,
            data=dict(data.manifest),
            config=dict(self.config),
            stage=stage,
            versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
            chosen=chosen,
            architecture=self.model_name,
            clicks=data.train_clicks.tolist(),
            init_from="" if self.init_from is None else str(self.init_from),
        )


def fit(
    run: Run,
    record: CheckpointRecord,
    train: Sessions,
    evaluation: Sessions | None,
    max_epochs: int,
    logger: Logger | None = None,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
    vectors: Tensor | None = None,
) -> list[dict[str, Any]]:
    """Trains once from the initial weights, and leaves `last.ckpt` and the best or last epoch in the run's folder.

    Args:
        run: Settings of the run.
        record: The record of the checkpoints; its `history` holds the epochs before a resumed one.
        train: Sessions to train on.
        evaluation: Sessions to evaluate on after every epoch, which decides `best.ckpt`; without them, the last
            epoch is kept under the name of the stage.
        max_epochs: Maximum number of epochs; `run.patience` may end the training earlier.
        logger: Logger of the metrics; None logs nothing.
        resume: Checkpoint of this stage to resume from; None starts from the beginning.
        callbacks: Further callbacks of Lightning.
        vectors: The vectors of the items' texts, see :attr:`~srgnn.data.sessions.SessionData.vectors`.

    Returns:
        The metrics of every epoch, including those of `record.history`.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
        UserError: if the loss is not finite, or a checkpoint cannot be written.
    """
    if evaluation is not None and len(record.history) > max_epochs:
        done = len(record.history)
        raise ArgumentError("max_epochs", max_epochs, f"at least the {done} epochs that are done")
    if _is_over(record.history, run):  # the run was stopped after this stage had ended
        return record.history
    evaluated_on = "test" if record.stage == "paper" else "valid"
    last = run.folder / "last.ckpt"
    keep: dict[str, Any] = {
        "dirpath": run.folder,
        "enable_version_counter": False,
        "save_on_train_epoch_end": True,
    }
    monitor = None if evaluation is None else f"{evaluated_on}/{run.monitor}"
    callbacks = [
        *callbacks,
        EpochLines(max_epochs, main_cutoff(run.k)),
        BeginStage(record.stage),
        StopGracefully(last),
        ModelCheckpoint(filename="best" if monitor else record.stage, monitor=monitor, mode="max", **keep),
        ModelCheckpoint(filename=last.stem, every_n_epochs=1, **keep),
    ]
    if run.text_first:
        callbacks.append(TextFirst(run.text_first))
    if monitor:
        callbacks.append(EarlyStopping(monitor, mode="max", patience=run.patience))

    num_items = record.model["num_items"]
    seed_everything(run.seed, verbose=False)
    model = cast(TrainableModel, run.model.build(num_items))
    clicks = torch.bincount(train.items, minlength=num_items)
    model.observe(train)
    model.read_texts(vectors, clicks)
    if run.init_from is not None:  # a resumed run, too: its checkpoints do not say which items are cold
        take_over(model, record.vocabulary, Checkpoint.load(run.init_from))
    loss = build_loss(run.loss, clicks, run.sampling)
    module = NextItemModule(model, loss, run.optimizer, run.k, evaluated_on, run.seed, record)
    datamodule = SessionDataModule(train, evaluation, num_items, run.batch_size, run.seed, run.order, model.in_products)
    trainer = build_trainer(run.trainer, callbacks, max_epochs, logger, run.folder)
    try:
        trainer.fit(module, datamodule, ckpt_path=resume, weights_only=True)
    finally:  # Lightning keeps the module, but its memory is wanted for the next training and for the test
        for optimizer in trainer.optimizers:
            optimizer.state.clear()
            optimizer.param_groups.clear()
        del module.model, module.loss
    return module.history


def compared(run: Run, history: Sequence[Mapping[str, Any]]) -> list[float]:
    """The metric of every epoch that chooses one, in float32, as `best.ckpt` and early stopping compare it."""
    return torch.tensor([epoch[run.monitor] for epoch in history], dtype=torch.float).tolist()


def _is_over(history: Sequence[Mapping[str, Any]], run: Run) -> bool:
    scores = compared(run, history)
    return bool(scores) and len(scores) - 1 - scores.index(max(scores)) >= run.patience
