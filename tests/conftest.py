"""Shared fixtures. Real data and reference outputs are in `../shared` beside the checkout, or absent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch_geometric.typing

from srgnn.data import SessionData, SyntheticLog

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=2, help="kills of each program in tests/test_kills.py")


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


@pytest.fixture
def program(tmp_path: Path):
    """Runs a program in an empty folder, as a user would: program("train.py", "k=[5]") -> the finished process."""

    def call(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "src" / script), *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
            capture_output=True,
            text=True,
            timeout=200,
        )

    return call


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
