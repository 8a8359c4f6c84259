"""A search as the configuration describes it, in one process."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from srgnn.cli import CONF
from srgnn.cli.arguments import as_typed
from srgnn.cli.config import build_data_set, load
from srgnn.cli.errors import options_of
from srgnn.errors import UserError

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")
search = pytest.importorskip("srgnn.cli.search")
search_options = pytest.importorskip("srgnn.cli.search_options")

SMALL = ["dataset.sessions=600", "dataset.items_per_category=8", "model.hidden_size=16", "max_epochs=2"]


def composed(*overrides: str) -> DictConfig:
    """The configuration of tune.py, set as that of the running program."""
    arguments = as_typed(overrides, ["trainer", "space"])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("tune", [*arguments, "hydra.runtime.output_dir=a"], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        config.pop("hydra")
    return config


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture
def tune(caplog: pytest.LogCaptureFixture) -> Callable[..., Path]:
    """Runs a search in the folder `a`, as tune.py does."""

    def call(*overrides: str) -> Path:
        config = composed(*SMALL, *overrides)
        data_set = build_data_set(config)
        configured = search.ConfiguredSearch(config, data_set.num_items)
        with options_of(config):
            configured.open()
            configured.run(load(config, data_set))
        configured.report()
        return Path("a")

    caplog.set_level("INFO", "srgnn")
    return call


def ends(*overrides: str) -> dict:
    return {name: list(each.ends) for name, each in search_options.space_of(composed(*overrides)).items()}


def test_the_options_of_a_search_are_those_of_a_training_and_its_own():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train, tune = compose("train", ["recipe=srgnn_fast"]), compose("tune", ["recipe=srgnn_fast"])
    assert set(tune) - set(train) == {"search", "space", "pruner", "trials", "startup_trials", "study", "storage"}
    same = [name for name in train if name not in ("trainer", "logger")]
    assert {name: train[name] for name in same} == {name: tune[name] for name in same}


@pytest.mark.parametrize("name", [path.stem for path in (CONF / "search").glob("*.yaml") if path.stem != "none"])
def test_every_file_of_spaces_names_options_and_values_that_exist(name: str):
    assert search.ConfiguredSearch(composed(f"search={name}"), None).space


@pytest.mark.parametrize("model", ["srgnn", "gru4rec", "bprmf"])
def test_without_a_choice_a_search_fits_every_model(model: str):
    assert "optimizer.lr" in search.ConfiguredSearch(composed(f"model={model}"), None).space


def test_the_command_line_adds_replaces_and_removes_candidates():
    file = ends("search=srgnn")
    given = ["space.model.hidden_size={low: 10, high: 20}", "space.batch_size=null", "space.model.dropout=[0.0]"]
    changed = ends("search=srgnn", *given)
    assert changed["model.hidden_size"] == [10, 20]
    assert (
        search_options.space_of(composed("search=srgnn", *given))["model.hidden_size"].step is None
    )  # replaced as a whole
    assert changed["model.dropout"] == [0.0]
    assert set(changed) == {*file, "model.dropout"} - {"batch_size"}


def test_whole_numbers_are_fractions_for_an_option_that_has_fractions():
    dropout = search_options.space_of(composed("search=none", "space.model.dropout={low: 0, high: 1}"))["model.dropout"]
    assert isinstance(dropout.low, float)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["space.model.hiden_size=[1]"], "there is no option model.hiden_size; model has hidden_size, "),
        (["space.lr=[1]"], "there is no option lr; a search has model, optimizer, "),
        (["space.model._target_=[a]"], "there is no option model._target_"),
        (["space.model=[srgnn]"], "there is no option model; a search has"),
        (["space=5"], "space=5: expected candidates"),
        (["space.dataset.sessions=[1,2]"], "a search cannot vary dataset.sessions"),
        (["space.seed=[1,2]"], "a search cannot vary seed"),
        (["space.model.readout=hybrid"], "expected a list of values, or a range"),
        (["space.model.readout=[]"], "space.model.readout: values=[]: expected a list of at least one"),
        (["space.model.readout=[hybrid,mean]"], "model.readout=mean: expected one of local, global, hybrid, average."),
        (["space.model.hidden_size={lo: 1, high: 2}"], "expected a list of values, or a range"),
        (["space.model.hidden_size={low: 2, high: 1}"], "space.model.hidden_size: low=2: expected at most high=1"),
        (["space.model.hidden_size={low: 0, high: 9}"], "model.hidden_size=0: expected an integer of at least 1."),
        (["space.model.hidden_size={low: 8, high: 9.5}"], "model.hidden_size=9.5: expected an integer"),
        (["space.model.hidden_size=[8,b]"], "model.hidden_size=b: expected an integer"),
        (["search=srgnn", "model=gru4rec"], "model.propagation_steps; model has hidden_size, "),
        (["search=srgnn", "model=gru4rec"], "; search=optimizer fits every model."),
        (["model=stan"], "STAN has no epochs to choose from"),
        (["search=none"], "The search varies no option"),
        (["protocol=paper"], "protocol=paper: a search never reads the test set"),
        (["trainer.devices=2"], "trainer.devices=2: a search trains every trial in one process"),
        (["trials=0"], "trials=0: expected an integer of at least 1."),
        (["startup_trials=a"], "startup_trials=a: expected an integer of at least 0."),
        (["pruner.startup_trials=-1"], "pruner.startup_trials=-1: expected an integer of at least 0."),
        (["dataset=diginetica", "k=50000"], "k=50000: the data has only 43,097 items"),
    ],
)
def test_a_wrong_option_gives_one_sentence_before_data_is_loaded(overrides: list[str], sentence: str):
    config = composed(*overrides)
    with pytest.raises(UserError) as error, options_of(config):
        search.ConfiguredSearch(config, build_data_set(config).num_items)
    assert sentence in str(error.value)
    assert not list(Path("a").iterdir())


def test_a_search_writes_its_trials_and_the_command_that_trains_the_winner(tune, capsys, caplog):
    folder = tune(
        "search=none", "space.optimizer.lr=[1e-3,5e-3,1e30]", "space.model.readout=[hybrid,global]", "trials=6"
    )
    output = capsys.readouterr().out
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    failed = [row for row in rows if row["state"] == "failed"]
    complete = {int(row["trial"]): float(row["mrr@20"]) for row in rows if row["state"] == "complete"}
    assert len(rows) == 6
    assert failed
    assert {row["optimizer.lr"] for row in failed} == {"1e+30"}
    assert "try a smaller one, optimizer.lr=1e+29" in failed[0]["error"]
    assert [text.split()[1] for text in caplog.messages if text.startswith("Trial ")] == [*"012345"]
    assert f"{len(complete)} complete, {len(failed)} failed of 6 trials" in output
    for name in ("history.png", "history.svg", "importance.png", "importance.svg"):
        assert (folder / name).stat().st_size > 1000

    best = json.loads((folder / "search.json").read_text())
    row = rows[best["trial"]]
    assert best["value"] == max(complete.values())
    assert output.rstrip().endswith(best["command"])
    chosen = f"model.readout={row['model.readout']} optimizer.lr={row['optimizer.lr']}"
    assert sorted(best["command"].split()[2:]) == sorted([*SMALL, *chosen.split(), "refit=true"])
    assert [str(path) for path in folder.rglob("*.ckpt")] == [f"a/{best['trial']}/best.ckpt"]


def test_a_study_that_is_done_is_shown_again_and_may_get_more_trials(tune, capsys, caplog):
    fixed = ["search=none", "space.optimizer.lr=[1e-3,5e-3]"]
    tune(*fixed, "trials=1")
    first = Path("a/trials.csv").read_text()
    capsys.readouterr()
    tune(*fixed, "trials=1")
    assert "1 of 1 trials are done" in capsys.readouterr().out
    assert sum(text.startswith("Trial ") for text in caplog.messages) == 1
    tune(*fixed, "trials=3")
    assert sum(text.startswith("Trial ") for text in caplog.messages) == 3
    assert Path("a/trials.csv").read_text().startswith(first)
    with pytest.raises(UserError, match=r"dataset\.sessions=700: the study was made with dataset\.sessions=600"):
        tune(*fixed, "dataset.sessions=700")
    with pytest.raises(UserError, match=r"seed=1: the study was made with seed=0, .*; leave it out"):
        tune(*fixed, "seed=1")


def test_a_search_that_no_trial_survives_ends_with_an_error(tune):
    with pytest.raises(UserError, match=r"No trial has finished\. Most often: The loss became nan"):
        tune("search=none", "space.optimizer.lr=[1e30]", "trials=2", "pruner=none")
    assert Path("a/history.png").exists()


def test_an_option_that_is_wrong_for_this_data_makes_no_study(tune):
    with pytest.raises(UserError, match=r"valid_fraction=0\.9999: expected a share"):
        tune("valid_fraction=0.9999")
    assert not Path("a/study.yaml").exists()
    tune("search=optimizer", "trials=1")


KEPT = {"seed": 0, "max_epochs": 2, "space": {"lr": {"low": 1, "high": 2}}, "dataset": {"path": "a"}}


@pytest.mark.parametrize(
    ("changes", "arguments", "refused"),
    [
        ({}, ["trials=9"], None),
        ({"dataset": {"path": "b"}}, ["dataset.path=b"], None),
        ({"dataset": {"path": "b"}}, [], r"dataset\.path=b: the study was made with dataset\.path=a"),
        ({"max_epochs": 3}, ["max_epochs=3"], "max_epochs=3: the study was made with max_epochs=2"),
        ({"space": {"lr": {"low": 1, "high": 3}}}, [], r"space\.lr\.high=3: .* space\.lr\.high=2"),
        ({"space": {}}, [], r"space\.lr\.low=null: .* space\.lr\.low=1"),
    ],
)
def test_a_study_is_joined_with_its_own_options(changes: dict, arguments: list[str], refused: str | None):
    if refused is None:
        search_options.check_joined(KEPT | changes, KEPT, arguments)
        return
    with pytest.raises(UserError, match=refused):
        search_options.check_joined(KEPT | changes, KEPT, arguments)


def test_a_study_is_joined_by_its_name_or_resumed_with_its_options():
    run_dir = "hydra.run.dir=outputs/searches/b"
    assert search_options.joined(["trials=3"]) == ["trials=3"]
    assert search_options.joined(["study=b", "seed=1"]) == ["study=b", "seed=1", run_dir]
    folder = Path("outputs/searches/b")
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text("- seed=1\n- trials=3\n- study=b\n")
    assert search_options.joined(["study=b", "trials=5"]) == ["seed=1", "study=b", "trials=5", run_dir]
    assert search_options.joined(["resume=last"]) == ["seed=1", "trials=3", "study=b", run_dir]
    assert search_options.joined([f"resume={folder}"])[:3] == ["seed=1", "trials=3", "study=b"]
    (folder / "search.json").write_text("{}")  # it has finished
    for wrong in (["resume=last"], ["resume=nowhere"], ["study=../b"], ["-m", "seed=1,2"]):
        with pytest.raises(UserError):
            search_options.joined(wrong)
