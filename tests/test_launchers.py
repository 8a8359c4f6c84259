"""Sweeps with every launcher: the same results, the same table, also when the process of a run dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from srgnn.saving import lock_folder

ROOT = Path(__file__).resolve().parents[1]
OWN = ["dataset=clicks", "dataset.path=log.csv", "dataset.rules.test_days=1", "max_epochs=1", "refit=false", "k=[5]"]


@pytest.fixture
def log(tmp_path: Path) -> None:
    """Writes a small log."""
    clicks = [f"{s},{(s + c) % 9},{1_700_000_000 + s * 3600 + c}" for s in range(90) for c in range(3 + s % 2)]
    (tmp_path / "log.csv").write_text("\n".join(["session_id,item_id,timestamp", *clicks]) + "\n")


def results(outputs: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in outputs.glob("sweeps/*/*/result.json")}


def table(text: str) -> str:
    """The table of a sweep without its title and the seconds of its runs."""
    lines = text.partition("The sweep ")[2].splitlines()[1:]
    return "\n".join(" ".join(line[:70].split()) for line in lines if "paths.outputs" not in line)


@pytest.mark.parametrize("launcher", [["joblib", "hydra.launcher.n_jobs=2"], ["slurm_local"]], ids=lambda each: each[0])
def test_every_launcher_gives_the_same_results_and_table(program, tmp_path: Path, log, launcher: list[str]):
    """Its processes prepare the log at the same time, into the same cache."""
    pytest.importorskip("joblib" if launcher[0] == "joblib" else "submitit")
    sweep = ["-m", *OWN, "model.hidden_size=8,-1,12"]
    parallel = program.fresh("train.py", *sweep, f"launcher={launcher[0]}", *launcher[1:], "paths.outputs=parallel")
    basic = program("train.py", *sweep, "paths.outputs=basic")
    assert (parallel.returncode, basic.returncode) == (1, 1)
    assert parallel.stderr.endswith("Error: 1 of 3 runs failed; the table says why.\n")
    ours, theirs = results(tmp_path / "parallel"), results(tmp_path / "basic")
    assert ours.keys() == theirs.keys() == {"0", "1", "2"}
    assert [ours[name].get("metrics") for name in ours] == [theirs[name].get("metrics") for name in ours]
    assert "model.hidden_size=-1: expected" in ours["1"]["error"]
    assert table(parallel.stdout) == table(basic.stdout)
    assert "100%|" not in parallel.stdout + parallel.stderr  # no progress bars
    if launcher[0] == "joblib":
        assert "\n[0] Epoch  1 of 1 " in parallel.stdout
        assert "[1] Error: model.hidden_size=-1" in parallel.stderr


def test_a_sweep_ends_with_its_table_when_the_process_of_a_run_is_killed(program, tmp_path: Path):
    pytest.importorskip("joblib")
    small = ["dataset.sessions=600", "dataset.items_per_category=5", "max_epochs=6", "patience=6", "refit=false"]
    options = ["-m", *small, "model.hidden_size=8,12,16"]
    command = [sys.executable, str(ROOT / "src" / "train.py"), *options, "launcher=joblib", "hydra.launcher.n_jobs=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    sweep = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("outputs/sweeps/*/*/last.ckpt")):
        assert sweep.poll() is None
        time.sleep(0.02)
    os.kill(worker_of(sweep.pid), signal.SIGKILL)
    output, errors = sweep.communicate(timeout=100)
    assert sweep.returncode == 1
    assert "stopped without a result" in output
    assert re.search(r"Error: \d of 3 runs failed; the table says why. Continue the sweep with:", errors)
    assert "Traceback" not in errors
    continued = program("train.py", "resume=last", "launcher=basic")
    assert continued.returncode == 0, continued.stderr
    assert len(results(tmp_path / "outputs")) == 3
    assert any(each["resumed"] for each in results(tmp_path / "outputs").values())


def worker_of(parent: int) -> int:
    """A process that trains for a sweep of joblib."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    return next(int(row[0]) for row in rows if int(row[1]) == parent and "LokyProcess" in row[2])


def test_a_sweep_belongs_to_one_process_and_a_wrong_one_is_not_resumed(program, tmp_path: Path):
    wrong = program("train.py", "-m", "model.hidden=8,16")
    assert "there is no option model.hidden" in wrong.stderr
    assert "there is no unfinished run" in program("train.py", "resume=last").stderr
    (folder,) = tmp_path.glob("outputs/sweeps/*")
    lock = lock_folder(folder)  # as a sweep does that is going on
    live = program("train.py", f"resume={folder}")
    os.close(lock)
    assert live.returncode == 1
    assert live.stderr == f"Error: The sweep in {folder} is still going on: wait for its end, or stop it.\n"
    (folder / "0").mkdir()
    lock = lock_folder(folder / "0")  # as a job of SLURM does whose first process has died
    assert program("train.py", f"resume={folder}").stderr == live.stderr
    os.close(lock)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["launcher=joblib", "hydra.launcher.n_jobs=0"], "Error: hydra.launcher.n_jobs=0: expected"),
        (["launcher=slurm"], "Error: launcher=slurm: this machine has no command sbatch"),
        (
            ["launcher=slurm", "hydra.launcher.timeout_min=3"],
            "Error: hydra.launcher.timeout_min=3: expected more than 3",
        ),
    ],
)
def test_a_launcher_that_cannot_work_gives_one_sentence(program, options: list[str], sentence: str):
    pytest.importorskip("joblib")
    pytest.importorskip("submitit")
    process = program("train.py", "-m", "model.hidden_size=8,16", *options, PATH="")
    assert process.returncode == 1
    assert process.stderr.startswith(sentence)


def test_a_missing_plugin_names_its_extra(program, tmp_path: Path):
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "__init__.py").write_text("")  # hides the real plugins
    process = program.fresh("train.py", "-m", "seed=0,1", "launcher=slurm_local", PYTHONPATH=str(tmp_path))
    sentence = "Error: launcher=slurm_local needs a plugin of Hydra, which is missing: pip install 'srgnn[slurm]'.\n"
    assert process.stderr == sentence
