"""Programs that are killed at random moments and continued end with the result of one that was not disturbed.

`python -m pytest tests/test_kills.py --kills=25` kills each of them more often.
"""

import json
import multiprocessing
import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
LOG = "output.txt"
RUN = ["dataset.sessions=400", "dataset.items_per_category=5", "model.hidden_size=8", "patience=9", "k=[20]"]
# A server that has loaded the libraries forks each program, so that the kills do not all fall into the start.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["srgnn.cli.config", "srgnn.cli.training", "srgnn.comparison", "srgnn.cli.search", "wandb"]
)


@dataclass(frozen=True)
class Program:
    """A program that continues after a kill.

    Args:
        script: Its file in `src/`.
        arguments: The options that start it.
        resume: The option that continues it.
        nothing: Part of its message where there is nothing to continue yet.
        outcome: Reads from the folder of all outputs what must not depend on a kill.
    """

    script: str
    arguments: list[str]
    resume: str
    nothing: str
    outcome: Callable[[Path], Any]


def trained(outputs: Path) -> dict[str, Any]:
    """The metrics and the weights of all finished runs, by the number of the run in its sweep."""
    found = {}
    for path in outputs.rglob("result.json"):
        result = json.loads(path.read_text())
        if "metrics" in result:
            name = path.parent.name if path.parent.name.isdigit() else "run"
            assert name not in found
            checkpoints = {each.name: torch.load(each, weights_only=True) for each in path.parent.glob("*.ckpt")}
            weights = {each: content["state_dict"] for each, content in checkpoints.items()}
            found[name] = {"metrics": result["metrics"], "by_length": result["by_length"], "weights": weights}
    return found


def searched(outputs: Path) -> list[Any]:
    """The trials of a finished search, without their times."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    found = []
    for path in outputs.glob("searches/*/search.json"):
        storage = JournalStorage(JournalFileBackend(str(path.parent / "study.journal")))
        trials = optuna.load_study(study_name=path.parent.name, storage=storage).trials
        found.append([(t.number, t.state.name, t.value, t.params, t.intermediate_values) for t in trials])
        assert len(list(path.parent.rglob("*.ckpt"))) == 1
    assert found[1:] == found[:-1]
    return found[0]


SEARCH = ["search=optimizer", "trials=6", "startup_trials=3", "pruner.startup_trials=2"]
NOTHING = "there is no unfinished run"
PROGRAMS = {
    "run": Program("train.py", [*RUN, "max_epochs=6"], "resume=last", NOTHING, trained),
    "paper": Program("train.py", [*RUN, "max_epochs=6", "protocol=paper"], "resume=last", NOTHING, trained),
    "sweep": Program(
        "train.py", ["-m", *RUN, "max_epochs=2", "seed=0,1", "refit=true"], "resume=last", NOTHING, trained
    ),
    "search": Program(
        "tune.py", [*RUN, *SEARCH, "max_epochs=4"], "resume=last", "there is no unfinished search", searched
    ),
}


def start(script: str, arguments: list[str], folder: Path) -> None:
    """Runs a program in a folder, in this process."""
    os.chdir(folder)
    output = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.argv = [str(ROOT / "src" / script), *arguments]
    sys.path.insert(0, str(ROOT / "src"))
    torch.set_num_threads(1)
    runpy.run_path(sys.argv[0], run_name="__main__")


def run(program: Program, arguments: list[str], folder: Path, seconds: float = 100) -> int:
    """Runs a program and kills it after this time; returns its exit code, which is then -9."""
    process = FORKS.Process(target=start, args=(program.script, arguments, folder))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


@pytest.fixture(scope="module", autouse=True)
def _server() -> None:
    """Starts the server, so that the first program is measured without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "src"))  # before an installed srgnn
        process = FORKS.Process(target=time.time)
        process.start()
    process.join()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_program_continues_to_the_same_result(name: str, tmp_path: Path, request: pytest.FixtureRequest):
    program = PROGRAMS[name]
    began = time.perf_counter()
    assert run(program, [*program.arguments, "paths.outputs=whole"], tmp_path) == 0, (tmp_path / LOG).read_text()
    duration = time.perf_counter() - began
    whole = program.outcome(tmp_path / "whole")
    assert whole

    number = request.config.getoption("--kills")
    draw = random.Random(0)
    kills = again = results = 0
    while kills < number:
        outputs = f"paths.outputs=killed-{results}"
        arguments = [*program.arguments, outputs]
        while (code := run(program, arguments, tmp_path, draw.uniform(0, duration) if kills < number else 100)) != 0:
            if code == -signal.SIGKILL:
                kills += 1
                arguments = [program.resume, outputs]
            else:
                assert program.nothing in (tmp_path / LOG).read_text()
                again += 1
                arguments = [*program.arguments, outputs]
        assert same(program.outcome(tmp_path / f"killed-{results}"), whole)
        results += 1
    print(f"{name}: {duration:.1f} s, {kills} kills, {again} with nothing to continue yet, {results} results")


def same(ours: Any, theirs: Any) -> bool:
    """Whether two nested results are equal, tensors included."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    return torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
