"""Evaluation protocols: which sessions train, how the epoch is selected, when the test set is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger

from srgnn.contracts import Model
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData, Sessions
from srgnn.errors import UserError
from srgnn.evaluation import Measurement, measure
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord, load_record
from srgnn.training.loggers import CSVLog
from srgnn.training.processes import ending_together
from srgnn.training.run import Run, compared, fit
from srgnn.training.sharding import load_model
from srgnn.training.trainer import evaluation_device


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Args:
        metrics: Test metrics by name, as fractions; empty in processes other than the first.
        checkpoint: Path of the checkpoint of the trained model.
        test: The test of that checkpoint; None in processes other than the first.
        chosen: Under `validated`, the chosen epoch and its validation metrics.
        epochs: Under `paper`, the epoch of each metric's best test value.
    """

    metrics: dict[str, float]
    checkpoint: Path
    test: Measurement | None = None
    chosen: dict[str, Any] | None = None
    epochs: dict[str, int] | None = None


def train(run: Run, data: SessionData, logger: Logger | None = None, resume: Path | None = None) -> Result:
    """Trains under the protocol of the run, from the beginning or from a checkpoint.

    Args:
        run: Settings of the run.
        data: Training and test sessions.
        logger: Logger of the metrics; None logs nothing.
        resume: Checkpoint of this run to resume from; None starts from the beginning.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
        LostProcess: if another process of the training ended too early.
        UserError: if the loss is not finite, or the checkpoint is from another protocol or other data.
    """
    run.check_cutoffs(data.num_items)
    with ending_together():
        return (PROTOCOLS[run.protocol] if run.model.has_weights else counted)(run, data, logger, resume)


def validated(run: Run, data: SessionData, logger: Logger | None, resume: Path | None) -> Result:
    """Chooses the epoch on the latest training sessions, retrains on all of them, and reads the test set once."""
    start = _resumable(resume, data, ("select", "refit"))
    best_epoch = start.chosen if start else None
    if best_epoch is None:
        best_epoch = best_of(run, select(run, data, logger, resume))
        resume = None
    checkpoint = run.folder / "best.ckpt"
    if run.refit:
        record, epochs = run.record(data, "refit", best_epoch), best_epoch["epoch"]
        fit(run, record, data.train, None, epochs, logger, resume, vectors=data.vectors)
        checkpoint = run.folder / "refit.ckpt"
    test = _test(run, checkpoint, data, logger)
    return Result(test.metrics if test else {}, checkpoint, test, chosen=best_epoch)


def select(
    run: Run,
    data: SessionData,
    logger: Logger | None = None,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> list[dict[str, Any]]:
    """Trains on the earlier training sessions, and validates on the latest ones after every epoch.

    The test set is not read.

    Args:
        run: Settings of the run.
        data: Training sessions.
        logger: Logger of the metrics; None logs nothing.
        resume: Checkpoint of this stage to resume from; None starts from the beginning.
        callbacks: Further callbacks of Lightning.

    Returns:
        The validation metrics of every epoch, with `epoch` counted from 1.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is written.
        UserError: if the loss is not finite, or the checkpoint is from another protocol or other data.
    """
    if not run.model.has_weights:
        raise UserError(f"{run.model_name} has no epochs to choose from: choose a model with weights.")
    start = _resumable(resume, data, ("select",))
    training, validation = split_validation(run, data)
    record = replace(run.record(data, "select"), history=start.history if start else [])
    return fit(run, record, training, validation, run.max_epochs, logger, resume, callbacks, data.vectors)


def best_of(run: Run, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The epoch that is chosen: the first with the best value of :attr:`Run.monitor`."""
    scores = compared(run, history)
    return dict(history[scores.index(max(scores))])


def paper(run: Run, data: SessionData, logger: Logger | None, resume: Path | None) -> Result:
    """Trains on everything and takes the best test epoch of each metric: selection on test, as in the papers."""
    start = _resumable(resume, data, ("paper",))
    record = replace(run.record(data, "paper"), history=start.history if start else [])
    history = fit(run, record, data.train, data.test, run.max_epochs, logger, resume, vectors=data.vectors)
    best = {name: max(history, key=lambda epoch: epoch[name]) for name in history[0] if name != "epoch"}
    checkpoint = run.folder / "best.ckpt"
    test = _test(run, checkpoint, data, None)
    return Result(
        test.metrics | {name: epoch[name] for name, epoch in best.items()} if test else {},
        checkpoint,
        test,
        epochs={name: epoch["epoch"] for name, epoch in best.items()},
    )


def counted(run: Run, data: SessionData, logger: Logger | None, resume: Path | None) -> Result:
    """Counts all training sessions with a model that has no weights, and reads the test set once."""
    if resume is not None:
        raise UserError(f"{run.model_name} has no epochs to resume: start it without resume=.")
    model = run.model.build(data.num_items)
    model.observe(data.train)
    checkpoint = run.folder / "counted.ckpt"
    Checkpoint(run.record(data, "counted"), model.state_dict()).save(checkpoint)
    test = _test(run, checkpoint, data, logger)
    return Result(test.metrics if test else {}, checkpoint, test)


PROTOCOLS: dict[str, Callable[[Run, SessionData, Logger | None, Path | None], Result]] = {
    "validated": validated,
    "paper": paper,
}


def split_validation(run: Run, data: SessionData) -> tuple[Sessions, Sessions]:
    """The earlier training sessions, and the latest ones, which validate.

    Raises:
        UserError: if one of the parts is empty.
    """
    try:
        return data.train.split_latest(run.valid_fraction)
    except UserError as error:
        raise error.renamed({"fraction": "valid_fraction"}) from error


def _test(run: Run, checkpoint: Path, data: SessionData, logger: Logger | None) -> Measurement | None:
    """The test of a checkpoint, for the first process; the others take part only where they hold parts of the table."""
    device = evaluation_device(run.trainer)
    is_first = not dist.is_initialized() or dist.get_rank() == 0
    model: Model
    if checkpoint.is_dir():
        if device.type == "cuda":
            device = torch.device("cuda", torch.cuda.current_device())
        model = load_model(checkpoint, device)
    elif is_first:
        model = Checkpoint.load(checkpoint).build_model().to(device)
    else:
        return None
    bar = run.model_name if is_first and run.trainer.get("enable_progress_bar", True) else ""
    test = measure(model, SessionGraphs(data.test, data.num_items, device), data.train_clicks, run.k, bar)
    if not is_first:
        return None
    if isinstance(logger, CSVLog):
        logger.begin("test")
    if logger is not None:
        logger.log_metrics({f"test/{name}": value for name, value in test.metrics.items()})
        logger.save()
    return test


def _resumable(path: Path | None, data: SessionData, stages: tuple[str, ...]) -> CheckpointRecord | None:
    """The record of the checkpoint to resume from; None without one."""
    if path is None:
        return None
    record = load_record(path)
    if record.stage not in stages:
        raise UserError(
            f"{path} is from stage {record.stage}, not {' or '.join(stages)}: resume it under its own protocol."
        )
    check_data(record, path, data)
    return record


def check_data(record: CheckpointRecord, path: Path, data: SessionData) -> None:
    """Checks that data is what a checkpoint was trained on.

    Args:
        record: The record of the checkpoint.
        path: Its path.
        data: The data.

    Raises:
        UserError: if it is other data.
    """
    if record.vocabulary != data.vocabulary.ids or record.data.get("counts") != data.manifest.get("counts"):
        name = record.data.get("name", "without a name")
        raise UserError(f"{path} was trained on other data ({name}): resume it on the same data.")
    if _vectors_of(record.data) != _vectors_of(data.manifest):
        raise UserError(f"{path} was trained with other vectors of the items' texts: resume it with the same file.")


def _vectors_of(manifest: Mapping[str, Any]) -> list[str]:
    """The hashes of the files of the items' vectors that a manifest names."""
    return list(manifest.get("vectors", {}).get("sources", {}).values())
