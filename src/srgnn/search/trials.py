"""The trials of a study: one that a process has taken, and what the study knows of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from srgnn.search.space import Space, Value

ERROR, SECONDS = "error", "seconds"  # attributes of trials
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class TrialRecord:
    """A trial of a study.

    Args:
        number: Its number, from 0.
        state: `complete`, `pruned`, `failed`, `running` or `waiting`.
        value: Value of a complete trial, or of the last epoch of a pruned one.
        parameters: Its parameters by name.
        epochs: Value of every epoch, by its number from 1.
        seconds: Duration; of the last part, if it was continued.
        error: The reason of a failure.
    """

    number: int
    state: str
    value: float | None
    parameters: Mapping[str, Value]
    epochs: Mapping[int, float]
    seconds: float | None = None
    error: str | None = None


def best_trial(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The first of the complete trials with the largest value; None if no trial is complete."""
    complete = [record for record in records if record.state == "complete" and record.value is not None]
    return max(complete, key=lambda record: (record.value, -record.number), default=None)


class OpenTrial:
    """A trial that this process has taken.

    Args:
        trial: The trial of Optuna.
        space: Candidate values of the parameters.
        folder: Folder of the trial.
        reported: Numbers of the epochs that were reported before its process died.
    """

    def __init__(self, trial: optuna.Trial, space: Space, folder: Path, reported: Iterable[int] = ()):
        self.trial, self.folder, self.number = trial, folder, trial.number
        self.parameters = {name: candidates.suggest(trial, name) for name, candidates in space.items()}
        self.reported = set(reported)
        self.is_last = False  # set to end the search after this trial

    def report(self, epochs: Mapping[int, float]) -> None:
        """Stores the values of epochs, each of them once.

        Raises:
            optuna.TrialPruned: if the trial is not worth its further epochs.
        """
        for epoch, value in epochs.items():
            if epoch not in self.reported:
                self.trial.report(value, epoch)
                self.reported.add(epoch)
        if self.reported and self.trial.should_prune():
            raise optuna.TrialPruned


Objective = Callable[[OpenTrial], float]


def record_of(trial: FrozenTrial) -> TrialRecord:
    """What a study knows of a trial."""
    return TrialRecord(
        trial.number,
        STATES[trial.state],
        trial.value,
        trial.params,
        dict(sorted(trial.intermediate_values.items())),
        trial.user_attrs.get(SECONDS),
        trial.user_attrs.get(ERROR),
    )
