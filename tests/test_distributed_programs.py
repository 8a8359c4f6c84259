"""Training over several processes: who starts them, what they leave, and how they end when one of them does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from program_server import SOURCE

from srgnn.training.checkpoint import Checkpoint

TINY = ["dataset.sessions=600", "dataset.items_per_category=5", "model.hidden_size=8"]
SECONDS = 180  # for several processes to start: on a busy machine each needs half a minute
LONG = [*TINY, "max_epochs=1000", "patience=1000", "hydra.run.dir=run"]


class Training:
    """A training that was started with a Python of its own, and its output."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.folder, self.output = folder, folder / "output.txt"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not (self.folder / name).exists():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)

    def wait_for_child(self) -> None:
        """Waits until the second process is about to start: the first one waits for it, in torch."""
        deadline = time.monotonic() + SECONDS
        while not self.children:
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)
        time.sleep(1)

    @property
    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in listed.split()]

    def end(self) -> tuple[int, str]:
        """The exit code and the output, once all processes have ended."""
        code, deadline = self.process.wait(SECONDS), time.monotonic() + 20
        while is_group_alive(self.process.pid):
            assert time.monotonic() < deadline, "a process goes on alone"
            time.sleep(0.05)
        return code, self.output.read_text()


def is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Callable[..., Training]]:
    started = []

    def start(
        *arguments: str, script: Path = SOURCE / "train.py", command: tuple[str, ...] = (sys.executable,)
    ) -> Training:
        started.append(Training([*command, str(script), *arguments], tmp_path))
        return started[-1]

    yield start
    for each in started:
        if is_group_alive(each.process.pid):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()


@pytest.mark.parametrize(
    ("killed", "options"), [("other", ["trainer=ddp"]), ("first", ["trainer=sharded", "trainer.devices=3"])]
)
def test_a_killed_process_ends_all_with_one_sentence(training: Any, killed: str, options: list[str]):
    run = training(*LONG, *options)
    run.wait_for("run/last.ckpt")
    os.kill(run.process.pid if killed == "first" else run.children[0], signal.SIGKILL)
    code, output = run.end()
    assert code == (-signal.SIGKILL if killed == "first" else 1)
    assert output.count("Error: ") == 1
    sentence = "Another process of the training" if killed == "first" else "Process 2 of 2 was ended by SIGKILL"
    assert f"Error: {sentence}" in output
    assert output.endswith("python src/train.py resume=run/last.ckpt\n")
    assert "Traceback" not in output


def test_processes_that_wait_for_the_first_one_end_with_it(training: Any):
    run = training(*LONG, "trainer=ddp")
    run.wait_for_child()
    os.kill(run.process.pid, signal.SIGKILL)
    code, output = run.end()
    assert code == -signal.SIGKILL
    assert output.endswith("Error: The first process of the training has ended.\n")
    assert output.count("Error: ") == 1


def test_ctrl_c_ends_processes_that_wait_for_each_other(training: Any):
    run = training(*LONG, "trainer=ddp")
    run.wait_for_child()
    os.killpg(run.process.pid, signal.SIGINT)
    code, output = run.end()
    assert code == 130
    assert output.endswith("Interrupted.\n")
    assert "Traceback" not in output


def test_an_error_of_one_process_ends_all(training: Any, tmp_path: Path):
    """The second process fails alone, as it may on another machine."""
    script = tmp_path / "failing.py"
    script.write_text(
        f"""
import os, sys
sys.path.insert(0, {str(SOURCE)!r})
from srgnn.errors import UserError
from srgnn.training.module import NextItemModule

def fail(module):
    raise UserError("It is raining.")

if os.environ.get("LOCAL_RANK") == "1":
    NextItemModule.on_train_start = fail
exec(open({str(SOURCE / "train.py")!r}).read())
"""
    )
    run = training(*LONG, "trainer=sharded", script=script)
    code, output = run.end()
    assert code == 1
    assert output.count("Error: ") == 1
    assert output.endswith("Error: It is raining.\n")


def test_ctrl_c_of_all_processes_writes_a_checkpoint_that_continues(training: Any, program: Any, tmp_path: Path):
    run = training(*LONG, "trainer=sharded")
    run.wait_for("run/last.ckpt")
    os.killpg(run.process.pid, signal.SIGINT)
    code, output = run.end()
    assert code == 130
    assert output.count("Stopped in epoch") == 1
    epochs = len(Checkpoint.load(tmp_path / "run" / "last.ckpt").record.history) + 1
    resumed = training("resume=last", "paths.outputs=.", f"max_epochs={epochs}", "trainer.devices=3")
    assert resumed.end()[0] == 0, resumed.output.read_text()
    options = [*TINY, f"max_epochs={epochs}", "patience=1000", "hydra.run.dir=whole"]
    assert program("train.py", *options).returncode == 0
    one, other = (Checkpoint.load(tmp_path / name / "last.ckpt").weights for name in ("run", "whole"))
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-4, msg=name)


def test_the_checkpoint_folder_of_a_run_is_used_by_the_other_programs(training: Any, program: Any, tmp_path: Path):
    run = training(*TINY, "trainer=sharded", "max_epochs=1", "hydra.run.dir=outputs/run")
    assert run.end()[0] == 0, run.output.read_text()
    assert run.output.read_text().count("Checkpoint:") == 1
    exported = program("export.py", "output=plain.ckpt")
    assert exported.returncode == 0, exported.stderr
    assert "outputs/run/best.ckpt is now in plain.ckpt" in exported.stdout
    tables = [
        program("evaluate.py", f"checkpoint={name}").stdout.partition("recall@5")[2]
        for name in ("outputs/run/best.ckpt", "plain.ckpt")
    ]
    assert tables[0] == tables[1] != ""
    best = [
        program("recommend.py", f"checkpoint={name}", "session=lamps-01,lamps-02").stdout.partition("Checkpoint:")[0]
        for name in ("last", "plain.ckpt")
    ]
    assert best[0] == best[1] != ""
    again = program("export.py", "output=plain.ckpt")
    expected = "there is such a file already; delete it, or choose another name."
    assert again.stderr == f"Error: output=plain.ckpt: {expected}\n"


def test_processes_of_torchrun_share_one_folder(training: Any, tmp_path: Path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")
    run = training(*TINY, "trainer=sharded", "max_epochs=1", "hydra.run.dir=run", command=torchrun)
    assert run.end()[0] == 0, run.output.read_text()
    assert run.output.read_text().count("Checkpoint:") == 1
    assert (tmp_path / "run" / "result.json").is_file()
    assert sorted(path.name for path in (tmp_path / "run" / ".hydra").iterdir()) == [
        "config.yaml",
        "hydra.yaml",
        "overrides.yaml",
    ]
    resumed = training("resume=run/last.ckpt", "max_epochs=2", command=torchrun)
    assert resumed.end()[0] == 0, resumed.output.read_text()
    assert len(Checkpoint.load(tmp_path / "run" / "last.ckpt").record.history) == 2
