"""Several processes that train together: when one of them ends too early, all end, with one sentence."""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from srgnn.errors import UserError
from srgnn.training.callbacks import Interrupted

SECONDS = 1.0  # to wait for the exit code of a process whose connection is lost
LOST = re.compile(r"gloo|NCCL|Connection (closed|reset)|Broken pipe|Socket|store", re.IGNORECASE)

_children: list[subprocess.Popen[bytes]] = []  # that Lightning started, if this is the first process


class LostProcess(UserError):
    """Another process of the training ended too early."""


class RememberProcesses(Callback):
    """Remembers the processes that Lightning has started, for :func:`ending_together`."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if started := getattr(trainer.strategy.launcher, "procs", None):
            _children[:] = started


@contextmanager
def ending_together() -> Iterator[None]:
    """Ends the training of this process when another one ends too early, and the others when this one does.

    Raises:
        LostProcess: if another process was killed, or the connection to it is lost.
        SystemExit: if another process ended after an error that it has reported.
    """

    def child_ended(number: int, frame: FrameType | None) -> None:
        _check_children()

    is_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGCHLD, child_ended) if is_main_thread else None
    try:
        yield
    except Interrupted:  # as are all others
        raise
    except BaseException as error:
        if _is_lost(error):
            deadline = time.monotonic() + SECONDS
            while _children and time.monotonic() < deadline:
                _check_children()
                time.sleep(0.05)
            _kill_children()
            raise LostProcess("Another process of the training ended, or the connection to it is lost.") from error
        _kill_children()
        raise
    finally:
        if is_main_thread:
            signal.signal(signal.SIGCHLD, before)


def _check_children() -> None:
    codes = {number: child.poll() for number, child in enumerate(_children, 2)}
    # One that was interrupted, as all are, has no error.
    failed = {number: code for number, code in codes.items() if code not in (None, 0, 128 + signal.SIGINT)}
    if not failed:
        return
    _kill_children()
    number, code = next(iter(failed.items()))
    if any(code > 0 for code in failed.values() if code):  # it has reported its error
        raise SystemExit(1)
    raise LostProcess(
        f"Process {number} of {len(_children) + 1} was ended by {signal.Signals(-(code or 0)).name}, and the training "
        "with it."
    )


def _kill_children() -> None:
    for child in _children:
        child.kill()


def _is_lost(error: BaseException) -> bool:
    """Whether an error is that of a collective operation in which another process is missing."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return False
    if isinstance(error, dist.DistBackendError | dist.DistNetworkError | dist.DistStoreError):
        return True
    return type(error) is RuntimeError and LOST.search(str(error)) is not None
