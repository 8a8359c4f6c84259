"""Several processes that train together: when one of them ends too early, all end, with one sentence."""

import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch.distributed as dist

from srgnn.errors import LostProcess
from srgnn.training.callbacks import Interrupted

SECONDS = 3.0  # that the main thread gets to raise an error itself
SECONDS_TO_END = 10.0  # that a process whose connection is lost gets to report its error, on a busy machine
LOST = re.compile(r"gloo/transport|Connection (closed|reset|refused)|Broken pipe|TCPStore|recv|sendBytes")
REASON = re.compile(r"Connection (closed|reset) by peer|Connection refused|Broken pipe|[Tt]imed out|out of memory")
FIRST = "SRGNN_FIRST_PROCESS"  # a variable: the process that has started this one, for those that Lightning starts
INTERRUPTED = 128 + signal.SIGINT  # the exit code after Ctrl-C

log = logging.getLogger(__name__)

_children: list[subprocess.Popen[bytes]] = []  # that Lightning started, if this is the first process


class _Watch(threading.Thread):
    """Watches the processes that Lightning has started, instead of Lightning, which would kill this one silently."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(0.2):
            for thread in threading.enumerate():
                # Lightning names it so; tests/test_distributed_programs.py notices if that changes.
                if thread.name == "child-process-observer" and getattr(thread, "_child_processes", None):
                    _children[:], thread._child_processes = thread._child_processes, []  # type: ignore[attr-defined]
            lost = _lost_child() or _lost_first()
            if lost is None and any(child.poll() == INTERRUPTED for child in _children):
                lost = SystemExit(INTERRUPTED)
            # The main thread raises the error, unless it waits in torch for the one that is lost.
            if lost is not None and not self.is_over.wait(SECONDS):
                if isinstance(lost, LostProcess):
                    log.error("Error: %s", lost)
                _kill_children()
                os._exit(INTERRUPTED if isinstance(lost, SystemExit) and lost.code == INTERRUPTED else 1)


@contextmanager
def ending_together() -> Iterator[None]:
    """Ends the training of this process when another one ends too early, and the others when this one does.

    Raises:
        LostProcess: if another process was killed, or the connection to it is lost.
        SystemExit: if another process ended after an error that it has reported.
    """

    def child_ended(number: int, frame: FrameType | None) -> None:
        if lost := _lost_child():
            raise lost

    is_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGCHLD, child_ended) if is_main_thread else None
    if os.environ.get("LOCAL_RANK", "0") == "0":
        os.environ[FIRST] = str(os.getpid())
    watch = _Watch()
    watch.start()

    def stop_watching() -> None:
        watch.is_over.set()
        if is_main_thread:
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)

    try:
        yield
    except Interrupted:  # as are all others
        stop_watching()
        raise
    except BaseException as error:
        stop_watching()
        lost = _lost_connection(error)
        _kill_children()
        if lost is None:
            raise
        raise lost from error
    else:
        stop_watching()


def _lost_connection(error: BaseException) -> BaseException | None:
    """What stands for the error of a collective operation in which another process is missing; None for others."""
    is_lost = isinstance(error, dist.DistBackendError | dist.DistNetworkError | dist.DistStoreError)
    if not is_lost and not (type(error) is RuntimeError and LOST.search(str(error))):
        return None
    deadline = time.monotonic() + SECONDS_TO_END
    while _children and time.monotonic() < deadline:
        if lost := _lost_child():
            return lost
        time.sleep(0.05)
    reason = REASON.search(str(error))
    shown = f" ({reason[0]})" if reason else ""
    return LostProcess(f"Another process of the training ended, or the connection to it is lost{shown}.")


def _lost_child() -> BaseException | None:
    """The error of a process that has ended too early: no sentence if that process has reported it."""
    codes = {number: child.poll() for number, child in enumerate(_children, 2)}
    # One that was interrupted, as all are, has no error.
    failed = {number: code for number, code in codes.items() if code not in (None, 0, INTERRUPTED)}
    if not failed:
        return None
    if any(code > 0 for code in failed.values() if code):
        return SystemExit(1)
    number, code = next(iter(failed.items()))
    name = signal.Signals(-(code or 0)).name
    return LostProcess(f"Process {number} of {len(_children) + 1} was ended by {name}, and the training with it.")


def _lost_first() -> BaseException | None:
    """The error of the first process, if it has started this one and is gone; one of several reports it."""
    number, first = os.environ.get("LOCAL_RANK", "0"), os.environ.get(FIRST)
    if number == "0" or first is None or int(first) in (os.getpid(), os.getppid()):
        return None
    return LostProcess("The first process of the training has ended.") if number == "1" else SystemExit(1)


def _kill_children() -> None:
    for child in _children:
        child.kill()
