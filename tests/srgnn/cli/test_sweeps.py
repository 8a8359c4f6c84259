import os
import shutil
import signal
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from srgnn.cli import CONF
from srgnn.cli.resuming import resumed
from srgnn.cli.sweeps import THREADS, Sweep
from srgnn.errors import for_hydra


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Starts a sweep of three runs in this process, without the runs."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in ("PYTHONPATH", *THREADS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def start(*arguments: str) -> Sweep:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", [*arguments, f"hydra.sweep.dir={tmp_path}"], return_hydra_config=True)
            config.hydra.overrides.task.append("seed=0,1,2")
            sweep = Sweep()
            sweep.on_multirun_start(config)
        return sweep

    yield start
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("jobs", "threads"), [(1, 8), (2, 4), (3, 2), (8, 2)])
def test_runs_at_the_same_time_share_eight_cores(started, monkeypatch, jobs: int, threads: int):
    joblib = pytest.importorskip("joblib")
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    assert started("launcher=joblib", f"hydra.launcher.n_jobs={jobs}").threads == threads
    assert [os.environ[name] for name in THREADS] == [str(threads)] * len(THREADS)


def test_a_job_of_a_cluster_has_a_thread_for_each_of_its_cores(started, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert started("launcher=slurm", "hydra.launcher.cpus_per_task=3").threads == 3


@pytest.mark.parametrize("given", ["5", "5,2"])
def test_given_threads_are_those_of_each_run(started, monkeypatch, given: str):
    pytest.importorskip("joblib")
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert started("launcher=joblib").threads == 5


def test_a_folder_holds_one_sweep(started, capsys, tmp_path: Path):
    (tmp_path / "sweep.yaml").write_text("- seed=5,6\n")
    with pytest.raises(SystemExit) as stop:
        started()
    assert "a sweep is in this folder; continue it with resume=" in str(stop.value.code)
    assert started(f"resume={for_hydra(str(tmp_path))}").planned[0] == ["seed=0"]
    assert (tmp_path / "sweep.yaml").read_text() == "- seed=5,6\n"


def test_an_error_of_a_callback_ends_the_program(started, monkeypatch, capsys):
    monkeypatch.setattr("srgnn.cli.sweeps.write_sweep", lambda *arguments: 1 / 0)
    with pytest.raises(SystemExit) as stop:
        started()
    assert stop.value.code == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_sweep_resumes_with_its_options_and_its_launcher(started, tmp_path: Path):
    pytest.importorskip("joblib")
    sweep = started("launcher=joblib", "hydra.launcher.n_jobs=2", "max_epochs=3")
    assert sweep.planned == [["launcher=joblib", "max_epochs=3", f"seed={seed}"] for seed in (0, 1, 2)]
    folder = for_hydra(str(tmp_path))
    end = (f"resume={folder}", f"hydra.sweep.dir={folder}")
    stored = ["launcher=joblib", "max_epochs=3", "seed=0,1,2", "hydra.launcher.n_jobs=2"]
    assert resumed([f"resume={tmp_path}"]) == ["-m", *stored, *end]
    changed = resumed(["launcher=basic", f"resume={tmp_path}", "max_epochs=4"])
    assert changed == ["-m", "seed=0,1,2", "launcher=basic", "max_epochs=4", *end]
