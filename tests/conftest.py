"""Shared fixtures. Real data and reference outputs are in `../shared` beside the checkout, or absent."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
import torch_geometric.typing
from joint_processes import Processes
from program_server import SOURCE, Program, Server

from srgnn.data import SessionData, SyntheticLog

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=2, help="kills of each program in tests/test_kills.py")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are no part of a test's name: compressed data holds the time, and two processes must name tests alike."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"needs the real data and reference outputs in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def small() -> SessionData:
    """A synthetic log that trains in seconds."""
    return SyntheticLog(sessions=300, items_per_category=5).load()


@pytest.fixture(params=["torch-scatter", "torch"])
def segments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test once with torch-scatter and once with torch alone."""
    if request.param == "torch-scatter" and not torch_geometric.typing.WITH_TORCH_SCATTER:
        pytest.skip("torch-scatter is not installed: make scatter builds it")
    monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", request.param == "torch-scatter")
    return request.param


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


class Programs:
    """Runs the programs of `src/` in an empty folder, as a user would."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.started: list[Program] = []

    def __call__(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a program that is forked: program("train.py", "k=[5]", HOME="/x") -> the finished process."""
        return self.start(script, *arguments, **variables).finish()

    def start(self, script: str, *arguments: str, **variables: str) -> Program:
        """Starts a program that is forked, and does not wait for it."""
        if needs_fresh := [name for name in variables if name.startswith(("PYTHON", "OMP_"))]:
            raise ValueError(f"{needs_fresh} are read while Python starts: use program.fresh")
        self.started.append(self.server.start(script, arguments, self.folder, self.environment(variables)))
        return self.started[-1]

    def fresh(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a program with a Python of its own, which takes 5 s: for what happens while it starts, and for programs
        that start further processes."""
        command, environment = [sys.executable, str(SOURCE / script), *arguments], self.environment(variables)
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, timeout=200)
        streams = done.stdout.decode(), done.stderr.decode()  # text=True would replace each \r
        return subprocess.CompletedProcess(command, done.returncode, *streams)

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", **variables}


@pytest.fixture
def program(server: Server, tmp_path: Path) -> Iterator[Programs]:
    """Runs programs in an empty folder: program("train.py", "k=[5]") -> the finished process."""
    programs = Programs(server, tmp_path)
    yield programs
    for each in programs.started:
        each.kill()


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.pool.shutdown(cancel_futures=True)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
