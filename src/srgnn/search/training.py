"""The objective of a search: a training on the earlier sessions, validated on the latest ones."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import OutOfMemoryError

from srgnn.data.sessions import SessionData
from srgnn.errors import UserError
from srgnn.saving import remove
from srgnn.search.space import Value
from srgnn.search.trials import Objective, OpenTrial, TrialRecord, best_trial
from srgnn.training.callbacks import AfterEpoch
from srgnn.training.checkpoint import load_record
from srgnn.training.protocols import best_of, select
from srgnn.training.run import Run

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

log = logging.getLogger(__name__)
BuildRun = Callable[[Mapping[str, Value], Path], Run]


def validation(data: SessionData, build_run: BuildRun, build_logger: "Callable[[Path], Logger | None]") -> Objective:
    """Returns the objective whose value is the best validation mrr of a training. The test set is not read.

    A trial continues from the `last.ckpt` in its folder, if there is one.

    Args:
        data: Training sessions.
        build_run: Maps parameters and the folder of a trial to its run.
        build_logger: Maps the folder of a trial to its logger, or to None.
    """

    def objective(trial: OpenTrial) -> float:
        run = build_run(trial.parameters, trial.folder)
        last = trial.folder / "last.ckpt"
        if last.exists() and not trial.reported and load_record(last).config != dict(run.config):
            remove(last)  # of another study that had this folder
        resume = last if last.exists() else None

        def report(history: Sequence[Mapping[str, Any]]) -> None:
            trial.report({epoch["epoch"]: epoch[run.monitor] for epoch in history})

        if resume:
            epochs = load_record(resume).history
            log.info("Trial %d continues; it has %d finished epochs", trial.number, len(epochs))
            report(epochs)  # its process may have died before it did
        watch = AfterEpoch(report)
        try:
            history = select(run, data, build_logger(trial.folder), resume, [watch])
        except OutOfMemoryError as error:
            raise UserError("The device has too little memory for this trial.") from error
        finally:
            trial.is_last = watch.is_stopped
        report(history)
        value: float = best_of(run, history)[run.monitor]
        return value

    return objective


def keep_best(folder: Path, records: Sequence[TrialRecord]) -> None:
    """Deletes the checkpoints of the finished trials, except for the best one's `best.ckpt`."""
    best = best_trial(records)
    for record in records:
        if record.state in ("running", "waiting"):
            continue
        trial = folder / str(record.number)
        remove(trial / "last.ckpt")
        if record is not best:
            remove(trial / "best.ckpt")
