"""Sweeps (`-m`): the lock, the processes of the runs, and the table at the end, with every launcher of Hydra."""

import multiprocessing
import os
import shlex
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from srgnn.cli import PACKAGE
from srgnn.cli.arguments import option
from srgnn.cli.errors import sentence_of
from srgnn.cli.runs import SWEEP, close_sweep, planned_runs, swept_runs, write_sweep
from srgnn.cli.tables import print_sweep, say, show_log, show_number
from srgnn.errors import UserError
from srgnn.saving import is_locked, lock_folder

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
JOBS = ".submitit"  # in the folder of the sweep: a folder for each job of submitit


def _ends_program(hook: Callable[..., None]) -> Callable[..., None]:
    """Lets an error of a callback end the program; Hydra would make it a warning and go on."""

    @wraps(hook)
    def call(*arguments: Any, **options: Any) -> None:
        try:
            hook(*arguments, **options)
        except Exception as error:
            if (sentence := sentence_of(error, "train")) is None:
                traceback.print_exc()
            sys.exit(1 if sentence is None else f"Error: {sentence}")

    return call


class Sweep(Callback):
    """Hydra callback that prepares the processes of the runs, and prints the table of all runs.

    Hydra copies it to those processes. The table reads the folders of the runs, whichever process wrote them.
    """

    @_ends_program
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        global _sweep
        self.folder = Path(config.hydra.sweep.dir)
        if any(option(text) == "hydra.sweep.subdir" for text in config.hydra.overrides.hydra):
            raise UserError("hydra.sweep.subdir: the folders of a sweep's runs are numbered; leave it out.")
        if (self.folder / SWEEP).is_file() and not config.resume:
            raise UserError(
                f"hydra.sweep.dir={self.folder}: a sweep is in this folder; continue it with resume={self.folder}, or "
                "name another."
            )
        self.launcher = str(config.hydra.runtime.choices["hydra/launcher"])
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # Hydra reports it when it makes the folder
            return
        runs = [path for path in self.folder.iterdir() if path.name.isdigit()]
        # Until the process ends: `resume=last` leaves it alone. Jobs of SLURM go on without it.
        if lock_folder(self.folder) is None or any(map(is_locked, runs)):
            sys.exit(f"Error: The sweep in {self.folder} is still going on: wait for its end, or stop it.")
        self.planned = planned_runs(config)
        self.process = os.getpid()
        self.earlier_jobs = _jobs(self.folder)
        self.has_ended = self.is_interrupted = False
        if self.launcher != "basic":
            self._prepare(config.hydra.launcher)
        if not config.resume:  # a new option that is wrong must not stay
            write_sweep(self.folder, config)
        _sweep = self

    def _prepare(self, settings: DictConfig) -> None:
        """Checks the launcher, and sets what the processes of the runs inherit."""
        if self.launcher == "joblib" and settings.n_jobs == 0:
            sys.exit("Error: hydra.launcher.n_jobs=0: expected a number of runs at once, or -1 for one per core.")
        if self.launcher == "submitit_slurm" and 60 * settings.timeout_min <= settings.signal_delay_s + 60:
            sys.exit(
                f"Error: hydra.launcher.timeout_min={settings.timeout_min}: expected more than "
                f"{settings.signal_delay_s / 60 + 1:g} minutes: SLURM tells a job of its limit "
                f"hydra.launcher.signal_delay_s={settings.signal_delay_s} seconds before, or up to a minute earlier."
            )
        if self.launcher == "submitit_slurm" and shutil.which("sbatch") is None:
            sys.exit(
                "Error: launcher=slurm: this machine has no command sbatch; start the sweep on the cluster, or choose "
                "launcher=joblib."
            )
        if self.launcher == "joblib":
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._interrupt)
        given = os.environ.get(THREADS[0], "").partition(",")[0]
        self.threads = int(given) if given.isdigit() else _share(self.launcher, settings, len(self.planned))
        for name in THREADS:
            os.environ.setdefault(name, str(self.threads))
        # submitit starts Python itself, which does not look into the folder of the program as `python train.py` does.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Waits until the runs have written their checkpoints; a second signal stops at once."""
        if self.is_interrupted:
            raise KeyboardInterrupt
        self.is_interrupted = True
        say("Stopping: the runs write their checkpoints.")
        if number == signal.SIGTERM:  # Ctrl-C reaches every process of the terminal
            for process in multiprocessing.active_children():
                process.terminate()

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        global _is_job
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        if os.getpid() == self.process:  # also with one run of joblib at a time
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            return
        import torch

        _idle.clear()
        torch.set_num_threads(self.threads)
        show_number(config.hydra.job.num)
        if not _is_job:
            show_log()
            if self.launcher == "joblib":
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                threading.Thread(target=_follow, args=[self.process], daemon=True).start()
        _is_job = True

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        _idle.set()

    @_ends_program
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self.end()

    def end(self) -> None:
        """Prints the table of all runs; ends the program with an error unless every run has its metrics."""
        self.has_ended = True
        runs = swept_runs(self.folder, self.planned)
        print_sweep(self.folder, runs)
        is_complete = all(run.result for run in runs)
        if is_complete:
            close_sweep(self.folder, runs)
        if self.is_interrupted:
            say(f"Interrupted. {self.remedy}")
            sys.exit(130)  # what shells expect after Ctrl-C
        if failed := sum(run.metrics is None for run in runs):
            remedy = "" if is_complete else f" {self.remedy}"
            sys.exit(f"Error: {failed} of {len(runs)} runs failed; the table says why.{remedy}")

    @property
    def remedy(self) -> str:
        """The command that makes the runs without a result."""
        folder = shlex.quote(os.path.relpath(self.folder))
        return f"Continue the sweep with:\n  python src/train.py resume={folder}"


_sweep: Sweep | None = None  # that of this process
_is_job = False
_idle = threading.Event()
_stopping = threading.Event()


@contextmanager
def whole_sweep() -> Iterator[None]:
    """Ends a sweep with its table, too, if the process of a run has died, at which Hydra gives up."""
    try:
        yield
    except SystemExit:
        if _sweep is not None and not _sweep.has_ended:
            if any(run.has_started for run in swept_runs(_sweep.folder, _sweep.planned)):
                say(_sweep.remedy)
            else:
                close_sweep(_sweep.folder, [])  # a wrong option: `resume=last` would repeat it
        raise
    except Exception as error:
        if _sweep is None or _sweep.has_ended:
            raise
        if _sweep.launcher.startswith("submitit"):
            _wait_for_jobs(_sweep)
        if _is_death(error):
            _sweep.end()
        with suppress(SystemExit):
            _sweep.end()
        raise


def is_job() -> bool:
    """Whether a launcher started this process for runs of a sweep, beside others."""
    return _is_job


def is_stopping() -> bool:
    """Whether this process has been stopped, and takes no further run."""
    return _stopping.is_set()


def stop() -> None:
    """Ends the program after Ctrl-C; the process of a run leaves that to the first one, which waits for all runs."""
    if not _is_job:
        sys.exit(130)  # what shells expect after Ctrl-C
    if os.environ.get("SUBMITIT_EXECUTOR") == "slurm" and shutil.which("sacct"):
        sys.exit(128 + signal.SIGTERM)  # without a result of submitit: SLURM knows whether it queues the job again
    _stopping.set()


def _follow(parent: int) -> None:
    """Stops this process once the sweep's first process has died."""
    while os.getppid() == parent:
        time.sleep(1)
    if not _idle.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
        _idle.wait(60)  # seconds for a step and a checkpoint
    os._exit(1)  # joblib would wait for further runs, and keep the locks of the last ones


def _share(launcher: str, settings: DictConfig, runs: int) -> int:
    """The number of threads for a run, so that those at the same time share the cores."""
    if launcher == "submitit_slurm":
        return int(settings.cpus_per_task or 1)
    if launcher == "joblib":
        import joblib

        at_once = min(joblib.effective_n_jobs(settings.n_jobs), max(1, runs))
        return int(max(1, joblib.cpu_count() // at_once))
    return int(settings.cpus_per_task or max(1, (os.cpu_count() or 1) // max(1, runs)))


def _jobs(folder: Path) -> set[str]:
    """The jobs of submitit in the folder of a sweep, by their ids."""
    return {path.parent.name for path in (folder / JOBS).glob("*/*_submitted.pkl")}


def _wait_for_jobs(sweep: Sweep) -> None:
    """Waits for the other jobs of submitit when one has died; Hydra waits no longer."""
    import submitit

    for name in _jobs(sweep.folder) - sweep.earlier_jobs:
        if sweep.launcher == "submitit_slurm":
            submitit.SlurmJob(sweep.folder / JOBS / "%j", name).wait()
        else:
            with suppress(ChildProcessError, ValueError):
                os.waitid(os.P_PID, int(name), os.WEXITED | os.WNOWAIT)


def _is_death(error: Exception) -> bool:
    """Whether an error says that the process of a run has died."""
    return isinstance(error, BrokenProcessPool) or type(error).__name__ == "UncompletedJobError"  # joblib's, submitit's
