"""The training benchmark runs and prints what it should; measured figures are in docs/performance.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = ["dataset=synthetic", "dataset.sessions=300", "dataset.items_per_category=5", "--rounds=2", "--steps=1"]


def train(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "train.py"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "sampled_softmax"])
def test_training_is_measured_against_the_rate_of_the_machine(tmp_path: Path, loss: str):
    process = train(tmp_path, *TINY, f"loss={loss}", "--batch-sizes", "10", "20")
    assert process.returncode == 0, process.stderr
    for text in ("Batch 10, d = 100, 100 items", "Batch 20", "GFLOP/s", "prefixes/s", "this project", "Evaluation: "):
        assert text in process.stdout
    assert ("with all scores: " in process.stdout) is (loss == "cross_entropy")  # the ratio to the plain path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--reference", "nowhere"], "--reference nowhere: expected a checkout of CRIPAC-DIG/SR-GNN"),
        (["trainer=gpu"], "trainer=gpu: torch sees no GPU here"),
        (["model.readout=x"], "model.readout=x: expected one of"),
    ],
)
def test_a_setting_that_cannot_be_measured_is_reported(tmp_path: Path, arguments: list[str], sentence: str):
    process = train(tmp_path, *TINY, *arguments)
    assert process.returncode == 1
    assert sentence in process.stderr
    assert "Traceback" not in process.stderr
