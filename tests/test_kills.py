"""Programs that are killed at random moments and continued end with the result of one that was not disturbed.

`python -m pytest tests/test_kills.py --kills=25` kills each of them more often.
"""

import json
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

RUN = ["dataset.sessions=400", "dataset.items_per_category=5", "model.hidden_size=8", "patience=9", "k=[20]"]


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
    return found[0] if found else []


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


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_program_continues_to_the_same_result(program, name: str, tmp_path: Path, request):
    """It is forked, so that the kills do not all fall into the start."""
    tested = PROGRAMS[name]
    began = time.perf_counter()
    undisturbed = program(tested.script, *tested.arguments, "paths.outputs=whole")
    assert undisturbed.returncode == 0, undisturbed.stderr
    duration = time.perf_counter() - began
    whole = tested.outcome(tmp_path / "whole")
    assert whole

    number = request.config.getoption("--kills")
    draw = random.Random(0)
    kills = again = results = 0
    while kills < number:
        outputs = f"paths.outputs=killed-{results}"
        arguments = [*tested.arguments, outputs]
        while True:
            process = program.start(tested.script, *arguments)
            with suppress(TimeoutError):
                process.wait(draw.uniform(0, duration) if kills < number else 100)
            code = process.kill()
            if code == 0:
                break
            if code == -signal.SIGKILL:
                kills += 1
                arguments = [tested.resume, outputs]
            else:
                assert tested.nothing in process.stderr
                if tested.outcome(tmp_path / f"killed-{results}"):  # it was killed when it had finished
                    break
                again += 1
                arguments = [*tested.arguments, outputs]
        assert same(tested.outcome(tmp_path / f"killed-{results}"), whole)
        results += 1
    print(f"{name}: {duration:.1f} s, {kills} kills, {again} with nothing to continue yet, {results} results")


def same(ours: Any, theirs: Any) -> bool:
    """Whether two nested results are equal, tensors included."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    return torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
