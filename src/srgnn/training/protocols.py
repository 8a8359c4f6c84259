"""Evaluation protocols: which sessions train, how the epoch is selected, when the test set is read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData, Sessions
from srgnn.errors import UserError
from srgnn.evaluation import evaluate
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord
from srgnn.training.run import Run, fit
from srgnn.training.trainer import evaluation_device


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Args:
        metrics: Test metrics by name, as fractions; empty in processes other than the first.
        checkpoint: Path of the checkpoint of the trained model.
        chosen: Under `validated`, the chosen epoch and its validation metrics.
        epochs: Under `paper`, the epoch of each metric's best test value.
    """

    metrics: dict[str, float]
    checkpoint: Path
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
        UserError: if the loss is not finite, or the checkpoint is from another protocol or other data.
    """
    run.check_cutoffs(data.num_items)
    return PROTOCOLS[run.protocol](run, data, logger, resume)


def validated(run: Run, data: SessionData, logger: Logger | None, resume: Path | None) -> Result:
    """Chooses the epoch on the latest training sessions, retrains on all of them, and reads the test set once."""
    start = _resumable(resume, data, ("select", "refit"))
    best_epoch = start.chosen if start else None
    if best_epoch is None:
        training, validation = _split(run, data)
        record = replace(run.record(data, "select"), history=start.history if start else [])
        history = fit(run, record, training, validation, run.max_epochs, logger, resume)
        best_epoch = max(history, key=lambda epoch: epoch[run.monitor])  # the first of equally good ones
        resume = None
    checkpoint = run.folder / "best.ckpt"
    if run.refit:
        fit(run, run.record(data, "refit", best_epoch), data.train, None, best_epoch["epoch"], logger, resume)
        checkpoint = run.folder / "refit.ckpt"
    return Result(_test(run, checkpoint, data, logger) or {}, checkpoint, chosen=best_epoch)


def paper(run: Run, data: SessionData, logger: Logger | None, resume: Path | None) -> Result:
    """Trains on everything and takes the best test epoch of each metric: selection on test, as in the papers."""
    start = _resumable(resume, data, ("paper",))
    record = replace(run.record(data, "paper"), history=start.history if start else [])
    history = fit(run, record, data.train, data.test, run.max_epochs, logger, resume)
    best = {name: max(history, key=lambda epoch: epoch[name]) for name in history[0] if name != "epoch"}
    return Result(
        {name: epoch[name] for name, epoch in best.items()},
        run.folder / "best.ckpt",
        epochs={name: epoch["epoch"] for name, epoch in best.items()},
    )


PROTOCOLS: dict[str, Callable[[Run, SessionData, Logger | None, Path | None], Result]] = {
    "validated": validated,
    "paper": paper,
}


def _split(run: Run, data: SessionData) -> tuple[Sessions, Sessions]:
    """The earlier training sessions, and the latest ones, which validate."""
    try:
        return data.train.split_latest(run.valid_fraction)
    except UserError as error:
        raise error.renamed({"fraction": "valid_fraction"}) from error


@rank_zero_only
def _test(run: Run, checkpoint: Path, data: SessionData, logger: Logger | None) -> dict[str, float]:
    """The test metrics of a checkpoint; only the first of several processes measures, the others get None."""
    device = evaluation_device(run.trainer)
    model = Checkpoint.load(checkpoint).build_model().to(device)
    bar = run.model_name if run.trainer.get("enable_progress_bar", True) else ""
    metrics = evaluate(model, SessionGraphs(data.test, data.num_items, device), run.k, bar)
    if logger is not None:
        logger.log_metrics({f"test/{name}": value for name, value in metrics.items()})
        logger.save()
    return metrics


def _resumable(path: Path | None, data: SessionData, stages: tuple[str, ...]) -> CheckpointRecord | None:
    """The record of the checkpoint to resume from; None without one."""
    if path is None:
        return None
    record = Checkpoint.load(path).record
    if record.stage not in stages:
        raise UserError(
            f"{path} is from stage {record.stage}, not {' or '.join(stages)}: resume it under its own protocol."
        )
    if record.vocabulary != data.vocabulary.ids or record.data.get("counts") != data.manifest.get("counts"):
        name = record.data.get("name", "without a name")
        raise UserError(f"{path} was trained on other data ({name}): resume it on the same data.")
    return record
