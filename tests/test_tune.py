"""The program tune.py, run as a user would; test_kills.py kills it."""

import json
import shlex
import signal
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")
journal = pytest.importorskip("optuna.storages.journal")

SMALL = ["dataset.sessions=600", "dataset.items_per_category=8", "model.hidden_size=16", "max_epochs=2"]
SEARCH = [*SMALL, "search=optimizer", "startup_trials=3", "pruner.startup_trials=2"]


def trials(folder: Path) -> list[tuple]:
    """The trials of a study, without their times."""
    storage = journal.JournalStorage(journal.JournalFileBackend(str(folder / "study.journal")))
    found = optuna.load_study(study_name=folder.name, storage=storage).get_trials()
    return [(t.number, t.state.name, t.value, t.params, t.intermediate_values) for t in found]


def test_the_command_of_the_winner_trains_and_tests_it(program, tmp_path: Path):
    process = program("tune.py", *SEARCH, "trials=2", "study=a")
    assert process.returncode == 0, process.stderr
    folder = tmp_path / "outputs" / "searches" / "a"
    assert sum(line.startswith("Trial ") for line in process.stdout.splitlines()) == 2
    assert "Epoch" not in process.stdout
    assert "The best trials of outputs/searches/a on validation" in process.stdout
    best = json.loads((folder / "search.json").read_text())
    command = process.stdout.splitlines()[-1]
    assert command.strip() == best["command"]
    trained = program("train.py", *shlex.split(command)[2:])
    assert trained.returncode == 0, trained.stderr
    assert f"mrr@20 {100 * best['value']:.2f} % there); the model was then retrained" in trained.stdout


def test_a_stopped_search_says_how_to_continue_and_two_processes_share_the_rest(program, tmp_path: Path):
    stopped = program.start("tune.py", *SEARCH, "max_epochs=6", "trials=4", "study=s")
    stopped.wait_for("outputs/searches/s/0/last.ckpt")
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait() == 130, stopped.stderr
    assert stopped.stdout.endswith("Continue with:\n  python src/tune.py resume=outputs/searches/s\n")
    processes = [program.start("tune.py", "study=s") for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0], [process.stderr for process in processes]
    folder = tmp_path / "outputs" / "searches" / "s"
    found = [each for each in trials(folder) if each[0] < 4]  # further ones wait for nobody
    assert [number for number, *_ in found] == [0, 1, 2, 3]
    assert {state for _, state, *_ in found} <= {"COMPLETE", "PRUNED"}
    lines = [line for each in (stopped, *processes) for line in each.stdout.splitlines() if line.startswith("Trial ")]
    ended = [int(line.split()[1]) for line in lines if " continues" not in line]
    assert sorted(ended) == [0, 1, 2, 3]


def test_wrong_input_gives_one_sentence(program, tmp_path: Path):
    process = program("tune.py", "space.model.hidden_size=50,100")
    assert process.stderr == ("Error: space.model.hidden_size=50,100: give a list, space.model.hidden_size=[50,100].\n")
    assert not (tmp_path / "outputs").exists()


def test_without_optuna_a_search_names_the_extra_and_a_training_needs_none(program, tmp_path: Path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "optuna.py").write_text("raise ModuleNotFoundError('no optuna', name='optuna')\n")
    process = program.fresh("tune.py", PYTHONPATH=str(tmp_path / "hidden"))
    assert process.stderr == "Error: A search needs Optuna: pip install 'srgnn[tune]'.\n"
    assert program.fresh("train.py", "--help", PYTHONPATH=str(tmp_path / "hidden")).returncode == 0
