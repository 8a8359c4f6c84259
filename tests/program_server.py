"""Starts the programs in `src/` in a fraction of a second: a server that has loaded the libraries forks each of them.

The server is this file as a program. A fork of it ends as a Python of its own does, with all that happens then: the
text of `sys.exit`, a traceback, the callbacks of `atexit`. It differs in what an interpreter reads while it starts
(`PYTHONPATH`, the order of sets), in its libraries, which are loaded already, and in its parent process.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np
import torch

SOURCE = Path(__file__).resolve().parents[1] / "src"
# Without srgnn: each program loads what it is at that moment, in 0.2 s. And without wandb, which makes a folder when it
# is imported, and removes it when the first of the programs ends.
LIBRARIES = [
    *("torch_geometric.nn", "torchmetrics", "lightning.pytorch", "hydra", "polars", "narwhals", "pooch"),
    *("optuna.importance", "matplotlib.pyplot", "fastapi", "uvicorn", "prometheus_client"),
]


class Server:
    """The server, for the process that asks it for programs."""

    def __init__(self) -> None:
        self.requests, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self.lock = threading.Lock()
        if not self.requests.recv(1):
            raise RuntimeError("the server of programs did not start")

    def start(self, script: str, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> "Program":
        """Starts a program in a folder; `environment` replaces that of the server."""
        request = {"script": script, "arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        output, errors = TemporaryFile(), TemporaryFile()  # noqa: SIM115
        answers, theirs = socket.socketpair()
        with self.lock, theirs:
            socket.send_fds(self.requests, [b"+"], [theirs.fileno(), output.fileno(), errors.fileno()])
            answers.sendall(json.dumps(request).encode() + b"\n")
            pid = int(answers.recv(20))
        return Program([script, *arguments], folder, pid, answers, (output, errors))

    def close(self) -> None:
        self.requests.close()
        self.process.wait()


class Program:
    """A program that was started; like `subprocess.Popen`, but output and errors can be read at any time."""

    def __init__(
        self, arguments: list[str], folder: Path, pid: int, answers: socket.socket, files: tuple[BinaryIO, BinaryIO]
    ) -> None:
        self.arguments, self.folder, self.pid, self.answers, self.files = arguments, folder, pid, answers, files
        self.returncode: int | None = None

    @property
    def stdout(self) -> str:
        return self._read(0)

    @property
    def stderr(self) -> str:
        return self._read(1)

    def _read(self, number: int) -> str:
        file = self.files[number].fileno()  # its position is shared with the program
        return os.pread(file, os.fstat(file).st_size, 0).decode()

    def wait(self, seconds: float | None = 200) -> int:
        """Waits for the end and returns the exit code, negative for a signal.

        Raises:
            TimeoutError: if it takes longer.
        """
        if self.returncode is None:
            self.answers.settimeout(seconds)
            self.returncode = int(self.answers.recv(20))
            self.answers.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        with suppress(TimeoutError, BlockingIOError):
            self.wait(0)
        return self.returncode

    def wait_for(self, pattern: str, seconds: float = 120) -> None:
        """Waits until it has made a file, with this pattern of a name in its folder."""
        deadline = time.monotonic() + seconds
        while not any(self.folder.glob(pattern)):
            if self.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.arguments} made no {pattern}:\n{self.stdout}\n{self.stderr}")
            time.sleep(0.01)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> int:
        """Kills it, if it still runs, and returns the exit code."""
        self.send_signal(signal.SIGKILL)
        return self.wait()

    def finish(self, seconds: float = 200) -> subprocess.CompletedProcess[str]:
        """Waits for the end, and kills it after this time.

        Raises:
            TimeoutError: if it was killed.
        """
        try:
            code = self.wait(seconds)
        except TimeoutError:
            self.kill()
            text = f"{self.arguments} did not end within {seconds} s:\n{self.stdout}\n{self.stderr}"
            raise TimeoutError(text) from None
        return subprocess.CompletedProcess(self.arguments, code, self.stdout, self.stderr)


def serve(requests: socket.socket) -> None:
    """Forks a process per request; returns in each of these, with its arguments, folder, environment and streams."""
    for signal_number in (signal.SIGINT, signal.SIGCHLD):  # Ctrl-C is for the others; nobody waits for the watchers
        signal.signal(signal_number, signal.SIG_IGN)
    requests.sendall(b"+")
    while True:
        message, files, *_ = socket.recv_fds(requests, 1, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
    requests.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    answers, output, errors = files
    if program := os.fork():  # this process watches the program
        os.write(answers, str(program).encode())
        status = os.waitpid(program, 0)[1]
        with suppress(BrokenPipeError):
            os.write(answers, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(answers) as lines:
        request = json.loads(lines.readline())
    for stream, file in enumerate((output, errors), start=1):
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    script = Path(SOURCE, request["script"]).resolve()
    torch.seed()  # as a Python of its own: else a program that sets no seed would repeat that of another
    np.random.seed()
    sys.path[0], sys.argv = str(script.parent), [str(script), *request["arguments"]]


if __name__ == "__main__":
    sys.path[0] = str(SOURCE)
    for library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    gc.freeze()  # else collections would copy the pages that all programs share
    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_path(sys.argv[0], run_name="__main__")
