"""A study: trials that any number of processes share, and that survive the death of any of them.

A trial is handed out once. It belongs to the folder in which it was made: the lock on its own folder there, which the
system releases with the process, tells a trial that is going on from one whose process has died. The next process
that looks for work takes up the latter first, with its number and its parameters.
"""

import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, MedianPruner
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from srgnn.errors import ArgumentError, UserError, check_int
from srgnn.saving import lock_folder
from srgnn.search.journal import FileLock
from srgnn.search.sampler import RepeatableTPE
from srgnn.search.space import Space
from srgnn.search.trials import ERROR, SECONDS, Objective, OpenTrial, TrialRecord, record_of

JOURNAL = "study.journal"
FOLDER = "folder"  # an attribute of trials
SQLITE_WAITS = 60  # seconds for another process to finish its writing


def median_pruner(startup_trials: int = 5, warmup_epochs: int = 0) -> BasePruner:
    """A pruner that ends a trial whose best epoch so far is worse than the median of the finished trials.

    Args:
        startup_trials: Number of trials that must be complete before one is ended.
        warmup_epochs: Number of epochs that every trial is trained for.

    Raises:
        ArgumentError: for a negative number.
    """
    check_int("startup_trials", startup_trials, 0)
    check_int("warmup_epochs", warmup_epochs, 0)
    return MedianPruner(startup_trials, n_warmup_steps=warmup_epochs + 1)  # epochs are counted from 1


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search.

    Args:
        folder: Folder of the study; its name is that of the study. Trials have folders of their own in it.
        space: Candidate values of the parameters.
        trials: Number of trials of the study, over all processes.
        seed: Seed of the sampler.
        startup_trials: Number of trials with random values; from then on, TPE proposes them.
        pruner: Ends trials early.
        storage: URL of a database; None is a journal in the folder.

    Raises:
        ArgumentError: for a value that is not allowed.
        UserError: if the space is empty.
    """

    folder: Path
    space: Space
    trials: int = 50
    seed: int = 0
    startup_trials: int = 10
    pruner: BasePruner = field(default_factory=median_pruner)
    storage: str | None = None

    def __post_init__(self) -> None:
        if self.storage is not None and not isinstance(self.storage, str):
            raise ArgumentError("storage", self.storage, "the URL of a database, such as sqlite:///searches.db")
        for name, minimum in (("trials", 1), ("seed", 0), ("startup_trials", 0)):
            check_int(name, getattr(self, name), minimum)
        if not self.space:
            raise UserError("The search has no parameters: name at least one with space=.", "space")


class Stopped(Exception):
    """The search was asked by a signal to end, and has ended between two trials."""


class Study:
    """The study of a search, made or joined.

    Args:
        settings: Settings of the search.

    Raises:
        UserError: if its storage cannot be opened, or its folder has no locks.
    """

    def __init__(self, settings: SearchSettings):
        self.settings, self.folder = settings, settings.folder
        self.storage = _open_storage(settings)
        name = settings.folder.name
        if settings.storage is None and (stored := optuna.get_all_study_names(self.storage)):
            (name,) = stored  # the folder may have been renamed
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=name,
            sampler=RepeatableTPE(settings.seed, settings.startup_trials),
            pruner=settings.pruner,
            direction=StudyDirection.MAXIMIZE,
            load_if_exists=True,
        )
        self.id = self.storage.get_study_id_from_name(name)
        self.place = _place(settings.folder)

    def kept(self, name: str) -> Mapping[str, Any] | None:
        """The plain values that the study keeps under a name; None if there are none."""
        return self.study.user_attrs.get(name)

    def keep(self, name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stores plain values in the study, unless it keeps some under that name. Returns those of the study."""
        while (lock := lock_folder(self.folder)) is None:  # another process is here
            time.sleep(0.01)
        try:
            if self.kept(name) is None:
                self.study.set_user_attr(name, dict(value))
        finally:
            os.close(lock)
        kept = self.kept(name)
        assert kept is not None
        return kept

    def records(self) -> list[TrialRecord]:
        """The trials of the study, by number; those that no process will take are left out."""
        trials, limit = self._trials(), self.settings.trials
        return [record_of(trial) for trial in trials if trial.number < limit or trial.state != TrialState.WAITING]

    def _trials(self) -> list[FrozenTrial]:
        return sorted(self.study.get_trials(deepcopy=False), key=lambda trial: trial.number)

    def optimize(
        self,
        objective: Objective,
        after: Callable[[TrialRecord], None],
        sentence: Callable[[UserError], str] = str,
    ) -> None:
        """Runs trials until the study has as many as it should, with other processes that do the same.

        Args:
            objective: Maps a trial to its value. A :class:`~srgnn.errors.UserError` is the failure of that trial
                alone, unless it says that a file could not be written.
            after: Called after each trial of this process.
            sentence: The text of such a failure that the study keeps.

        Raises:
            Stopped: after Ctrl-C or SIGTERM, if the objective has not raised an error of its own.
        """
        with _signals() as is_stopped:
            while (taken := self._take_next()) is not None:
                number, lock = taken
                try:
                    is_last = self._run(number, objective, sentence)
                    after(self.records()[number])
                finally:
                    os.close(lock)
                if is_last or is_stopped():
                    raise Stopped

    def _take_next(self) -> tuple[int, int] | None:
        """Takes a trial that a dead process left, or a new one: its number and the lock on its folder."""
        while True:
            trials = self._trials()
            for trial in trials[: self.settings.trials]:
                if not trial.state.is_finished() and trial.user_attrs.get(FOLDER) == self.place:
                    lock = self._take(trial.number)
                    if lock is not None:
                        return trial.number, lock
            if len(trials) >= self.settings.trials:
                return None
            # Of several processes that get here for the last trial, one makes it; the others make trials beyond the
            # number, which nobody takes.
            self.study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, user_attrs={FOLDER: self.place}))

    def _take(self, number: int) -> int | None:
        folder = self.folder / str(number)
        folder.mkdir(exist_ok=True)
        lock = lock_folder(folder)
        if lock is None:
            return None
        state = self._trials()[number].state  # it may have ended before it was locked
        if state.is_finished():
            os.close(lock)
            return None
        if state == TrialState.WAITING:
            self.storage.set_trial_state_values(self._id_of(number), TrialState.RUNNING)
        return lock

    def _id_of(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.id, number)

    def _run(self, number: int, objective: Objective, sentence: Callable[[UserError], str]) -> bool:
        """Runs a trial and stores its end. Returns whether it is the last one of this process."""
        started = time.perf_counter()
        trial = optuna.Trial(self.study, self._id_of(number))
        before = self._trials()[number].intermediate_values
        opened = OpenTrial(trial, self.settings.space, self.folder / str(number), before)
        value, state = None, TrialState.COMPLETE
        try:
            value = objective(opened)
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except UserError as error:
            if "folder" in error.arguments:  # the next trial could not be written, either
                raise
            state = TrialState.FAIL
            trial.set_user_attr(ERROR, sentence(error))
        trial.set_user_attr(SECONDS, round(time.perf_counter() - started, 3))
        self.study.tell(trial, value, state)
        return opened.is_last

    def importances(self) -> dict[str, float]:
        """The share of every parameter in what makes a trial one of the best (PED-ANOVA), the largest first.

        Empty for fewer than two complete trials, or if every parameter has one value only.
        """
        complete = [record for record in self.records() if record.state == "complete"]
        if len({record.value for record in complete}) < 2:
            return {}
        try:
            found = get_param_importances(self.study, evaluator=PedAnovaImportanceEvaluator())
        except ValueError:  # no parameter has two values
            return {}
        return {name: float(share) for name, share in found.items()}


def _open_storage(settings: SearchSettings) -> BaseStorage:
    path = settings.folder / JOURNAL
    if settings.storage is None:
        return JournalStorage(JournalFileBackend(str(path), FileLock(path)))
    options = {"connect_args": {"timeout": SQLITE_WAITS}} if settings.storage.startswith("sqlite") else {}
    try:
        return RDBStorage(settings.storage, engine_kwargs=options)
    except Exception as error:  # of many kinds, as the databases are
        shown = re.sub(r"//[^/@]*@", "//", settings.storage)  # without a password
        reason = " ".join(str(error).split()).replace(settings.storage, shown)[:300]
        raise UserError(
            f"storage={shown}: this database cannot be opened ({reason.rstrip('.')}): expected the URL of one that "
            "answers, such as sqlite:///searches.db, and an installed driver.",
            "storage",
        ) from error


def _place(folder: Path) -> str:
    """The identity of a folder, which the processes that see it share, on one host or on several."""
    path = folder / ".identity"
    with suppress(FileExistsError):
        path.symlink_to(uuid.uuid4().hex)  # unlike a file, it is made whole by the first process
    return os.readlink(path)


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Notes Ctrl-C and SIGTERM, which a training answers itself; a second signal interrupts."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def is_asked() -> bool:
        install()  # a training that ended with an error has left its own handlers
        return asked

    def install() -> None:
        if threading.current_thread() is threading.main_thread():
            for number in before:
                signal.signal(number, ask)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    install()
    try:
        yield is_asked
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
