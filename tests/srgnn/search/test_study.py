"""Studies, with an objective that is a formula."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srgnn.errors import UserError
from srgnn.saving import lock_folder

optuna = pytest.importorskip("optuna")
study = pytest.importorskip("srgnn.search.study")
trials = pytest.importorskip("srgnn.search.trials")
Range, Choices = (getattr(pytest.importorskip("srgnn.search.space"), name) for name in ("Range", "Choices"))

SPACE = {"x": Range(0.0, 1.0), "n": Range(1, 8), "kind": Choices(["a", "b"])}


class Killed(BaseException):
    """Stands for the death of a process."""


def settings(folder: Path, **options) -> study.SearchSettings:
    folder.mkdir(exist_ok=True)
    return study.SearchSettings(folder, SPACE, **{"trials": 12, "startup_trials": 4, **options})


def value(parameters: dict, epoch: int) -> float:
    return -((parameters["x"] - 0.4) ** 2) - 0.01 * parameters["n"] + 0.1 * (parameters["kind"] == "b") - 1 / epoch


def objective(trial) -> float:
    for epoch in (1, 2, 3):
        trial.report({epoch: value(trial.parameters, epoch)})
    return value(trial.parameters, 3)


def run(folder: Path, objective: Callable = objective, **options) -> list:
    opened = study.Study(settings(folder, **options))
    opened.optimize(objective, lambda record: None)
    return opened.records()


def plain(records: list) -> list:
    return [(each.number, each.state, each.value, each.parameters, each.epochs) for each in records]


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_a_search_that_was_killed_has_the_trials_of_an_undisturbed_one(tmp_path: Path, storage: str | None):
    def options(name: str) -> dict:
        return {"storage": storage and f"sqlite:///{tmp_path}/{name}.db"}

    whole = run(tmp_path / "whole", **options("whole"))
    assert {each.state for each in whole} == {"complete", "pruned"}

    calls = 0

    def dying(trial) -> float:
        for epoch in (1, 2, 3):
            nonlocal calls
            calls += 1
            if calls % 4 == 0:
                raise Killed  # between two epochs, before or after the report
            trial.report({epoch: value(trial.parameters, epoch)})
        return value(trial.parameters, 3)

    deaths, killed = 0, None
    while killed is None:
        try:
            killed = run(tmp_path / "killed", dying, **options("killed"))
        except Killed:
            deaths += 1
    assert deaths > 3
    assert plain(killed) == plain(whole)


def test_every_trial_depends_on_the_seed_its_number_and_the_trials_before(tmp_path: Path):
    first, again, other = (
        [each.parameters for each in run(tmp_path / name, seed=seed, trials=6)]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_processes_share_a_study_and_none_of_its_trials(tmp_path: Path):
    code = f"""
        import sys, time
        sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(study.__file__).parents[2])!r}]
        from pathlib import Path
        from test_study import SPACE, settings, study, value
        def objective(trial):
            with open({str(tmp_path / "log")!r}, "a") as file:
                file.write(f"{{trial.number}}\\n")
            time.sleep(0.05)
            return value(trial.parameters, 1)
        study.Study(settings(Path({str(tmp_path / "s")!r}))).optimize(objective, lambda record: None)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with ThreadPoolExecutor() as pool:
        codes = [pool.submit(subprocess.run, command, capture_output=True, text=True) for _ in range(3)]
    assert [each.result().stderr for each in codes if each.result().returncode] == []
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == [*range(12)]
    assert [each.state for each in study.Study(settings(tmp_path / "s")).records()] == ["complete"] * 12


def test_a_trial_that_is_going_on_is_left_alone_and_a_dead_one_is_taken_up(tmp_path: Path):
    def die(trial) -> float:
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "s", die)
    lock = lock_folder(tmp_path / "s" / "0")  # as its process does while it lives
    records = run(tmp_path / "s", trials=3)
    assert [each.state for each in records] == ["running", "complete", "complete"]
    os.close(lock)
    assert [each.state for each in run(tmp_path / "s", trials=3)] == ["complete"] * 3


def test_the_trials_of_a_folder_that_others_do_not_see_stay_with_it(tmp_path: Path):
    storage = f"sqlite:///{tmp_path}/shared.db"

    def die(trial) -> float:
        raise Killed

    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    with pytest.raises(Killed):
        run(tmp_path / "here" / "s", die, storage=storage)
    assert [each.state for each in run(tmp_path / "there" / "s", storage=storage, trials=2)] == ["running", "complete"]
    assert [each.state for each in run(tmp_path / "here" / "s", storage=storage, trials=2)] == ["complete"] * 2


def test_a_failure_is_kept_with_its_sentence_and_the_search_goes_on(tmp_path: Path):
    def sometimes(trial) -> float:
        if trial.number % 2:
            raise UserError("lr=9: too large.", "lr")
        return 1.0

    opened = study.Study(settings(tmp_path / "s", trials=4))
    opened.optimize(sometimes, lambda record: None, lambda error: f"optimizer.{error}")
    records = opened.records()
    assert [each.state for each in records] == ["complete", "failed"] * 2
    assert records[1].error == "optimizer.lr=9: too large."
    assert trials.best_trial(records) is records[0]


def test_a_file_that_cannot_be_written_ends_the_search(tmp_path: Path):
    def full(trial) -> float:
        raise UserError("Cannot write the checkpoint.", "folder")

    with pytest.raises(UserError, match="Cannot write"):
        run(tmp_path / "s", full)


def test_a_study_ends_after_a_trial_that_says_so_and_can_be_made_longer(tmp_path: Path):
    def last(trial) -> float:
        trial.is_last = trial.number == 1
        return 1.0

    with pytest.raises(study.Stopped):
        run(tmp_path / "s", last)
    assert len(run(tmp_path / "s", trials=5)) == 5
    assert len(run(tmp_path / "s", trials=7)) == 7


def test_the_median_of_the_complete_trials_prunes_a_worse_one(tmp_path: Path):
    def by_number(trial) -> float:
        for epoch in (1, 2, 3):
            trial.report({epoch: epoch - trial.number})
        return 3.0 - trial.number

    pruned = run(tmp_path / "a", by_number, trials=4, pruner=study.median_pruner(2, warmup_epochs=1))
    assert [(each.state, len(each.epochs)) for each in pruned] == [("complete", 3)] * 2 + [("pruned", 2)] * 2
    assert trials.best_trial(pruned).number == 0
    whole = run(tmp_path / "b", by_number, trials=4, pruner=optuna.pruners.NopPruner())
    assert [each.state for each in whole] == ["complete"] * 4


def test_the_journal_survives_half_a_line(tmp_path: Path):
    run(tmp_path / "s", trials=2)
    with (tmp_path / "s" / study.JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "stud')
    assert len(run(tmp_path / "s", trials=4)) == 4
    assert len(run(tmp_path / "s", trials=4)) == 4


def test_values_are_kept_as_the_first_process_stored_them(tmp_path: Path):
    first, second = (study.Study(settings(tmp_path / "s")) for _ in range(2))
    assert first.kept("config") is None
    assert first.keep("config", {"a": 1}) == {"a": 1}
    assert second.keep("config", {"a": 2}) == {"a": 1} == second.kept("config")


def test_a_renamed_folder_is_the_same_study(tmp_path: Path):
    before = run(tmp_path / "night", trials=3)
    (tmp_path / "night").rename(tmp_path / "day")
    after = run(tmp_path / "day", trials=4)
    assert plain(after)[:3] == plain(before)
    assert len(after) == 4


def test_importances_need_two_trials_that_differ(tmp_path: Path):
    opened = study.Study(settings(tmp_path / "s", trials=1))
    opened.optimize(objective, lambda record: None)
    assert opened.importances() == {}
    opened = study.Study(settings(tmp_path / "s", trials=30, pruner=optuna.pruners.NopPruner()))
    opened.optimize(objective, lambda record: None)
    importances = opened.importances()
    assert set(importances) == set(SPACE)
    assert sum(importances.values()) == pytest.approx(1)


@pytest.mark.parametrize("url", ["nothing", "sqlite:////proc/none/x.db", "postgresql://me:secret@localhost/x"])
def test_a_database_that_cannot_be_opened_gives_one_sentence_without_a_password(tmp_path: Path, url: str):
    with pytest.raises(UserError, match="this database cannot be opened") as error:
        study.Study(settings(tmp_path / "s", storage=url))
    assert "secret" not in str(error.value)


def test_settings_are_checked(tmp_path: Path):
    for options in ({"trials": 0}, {"seed": -1}, {"startup_trials": 1.5}):
        with pytest.raises(UserError, match=f"{next(iter(options))}="):
            settings(tmp_path / "s", **options)
    with pytest.raises(UserError, match="no parameters"):
        study.SearchSettings(tmp_path, {})
    with pytest.raises(UserError, match="warmup_epochs=-1"):
        study.median_pruner(warmup_epochs=-1)
