from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from srgnn.cli import CONF
from srgnn.cli.config import build, data_set_of
from srgnn.data import ClickLog, DuckDB, PublishedSet, SyntheticLog
from srgnn.errors import UserError
from srgnn.nn import SRGNNSettings

PATHS = {"data": "here", "cache": "there"}
ENGINE = {"_target_": "srgnn.data.DuckDB", "threads": 1}


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides, "~logger"])


@pytest.mark.parametrize("path", sorted((CONF / "model").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_models_file_is_the_arguments_of_one_constructor(path: Path):
    chosen, own = config(f"model={path.stem}"), OmegaConf.load(path)
    settings = build(chosen, "model")
    assert set(chosen.model) - {"_target_"} == set(vars(settings))
    if "defaults" not in own:  # no variant of another file: every option is there, with its comment
        assert set(own) == set(chosen.model)
    if "_target_" in own:  # the constructor's values
        assert settings == type(settings)()


@pytest.mark.parametrize("dataset", ["synthetic", "diginetica"])
def test_a_recipe_has_its_own_rate_whatever_the_data(dataset: str):
    chosen = config("recipe=srgnn_fast", f"dataset={dataset}")
    assert (chosen.optimizer.lr, chosen.batch_size, chosen.order) == (2e-3, 512, "time")
    assert config(f"dataset={dataset}", "recipe=srgnn_fast") == chosen  # the order of the options does not matter
    assert config("recipe=srgnn_fast", f"dataset={dataset}", "optimizer.lr=1").optimizer.lr == 1


def test_values_that_fit_a_data_set_give_way_to_a_recipe_and_to_options():
    assert config().optimizer.lr == 4e-3
    assert config("dataset=diginetica").optimizer.lr == 1e-3
    assert (config().refit, config("dataset=diginetica").refit, config("refit=true").refit) == (False, True, True)


def test_a_recipe_changes_what_it_names_and_nothing_else():
    plain, fast = (build(config(*chosen), "model") for chosen in ([], ["recipe=srgnn_fast"]))
    assert plain == SRGNNSettings()
    assert fast == SRGNNSettings(scale=12, reversed_positions=50, dropout=0.1)


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("local", {"readout": "local"}),
        ("global", {"readout": "global"}),
        ("average", {"readout": "average"}),
        ("ngc", {"connections": "global"}),
        ("fc", {"connections": "full"}),
        ("no_graph", {"propagation_steps": 0}),
    ],
)
def test_a_variant_of_the_paper_changes_one_option(variant: str, options: dict):
    assert build(config(f"model=srgnn_{variant}"), "model") == SRGNNSettings(**options)


def test_a_wrong_value_is_reported_under_its_option():
    with pytest.raises(UserError, match=r"^dataset\.sessions=5: expected an integer of at least 100\."):
        build(config("dataset.sessions=5"), "dataset")
    with pytest.raises(UserError, match=r"^optimizer=adam: expected options such as optimizer\."):
        build(config("optimizer=adam"), "optimizer")


@pytest.mark.parametrize(
    ("overrides", "group", "sentence"),
    [
        (
            ["dataset=clicks", "dataset.path=x", "dataset.rules.order=foo"],
            "dataset",
            "dataset.rules.order=foo: expected one of",
        ),
        (["dataset=clicks", "dataset.path=x", "dataset.rules=null"], "dataset", "dataset.rules=null: expected"),
        (["+model.foo=1"], "model", "model.foo: there is no option foo; model has hidden_size, "),
        (["model._target_=foo.bar"], "model", "model._target_=foo.bar: expected a class that can be imported"),
    ],
)
def test_an_error_is_traced_to_its_part(overrides: list[str], group: str, sentence: str):
    with pytest.raises(UserError) as error:
        build(config(*overrides), group)
    assert str(error.value).startswith(sentence)


def test_the_data_set_of_a_checkpoint_is_found_in_its_configuration():
    trained = OmegaConf.to_container(config("dataset.sessions=300"), resolve=True)
    values = data_set_of(trained, PATHS, ENGINE)
    assert build(OmegaConf.create({"dataset": values}), "dataset") == SyntheticLog(sessions=300)


@pytest.mark.parametrize("path", [None, "log.csv"])
def test_a_checkpoint_of_the_first_version_finds_its_log_or_published_set(path: str | None):
    published = OmegaConf.to_container(config("dataset=diginetica").dataset, resolve=True)
    values = OmegaConf.to_container(config("dataset=diginetica_log", "dataset.path=log.csv").dataset, resolve=True)
    for name in ("columns", "items", "rules"):
        values[name].pop("_target_")
    del values["engine"]
    old = {**values, "_convert_": "all", "path": path, "published": published}
    data_set = build(OmegaConf.create({"dataset": data_set_of({"dataset": old}, PATHS, ENGINE)}), "dataset")
    assert data_set.cache == "there"
    if path is None:
        assert isinstance(data_set, PublishedSet)
        assert (data_set.name, data_set.data) == ("diginetica", "here")
    else:
        assert isinstance(data_set, ClickLog)
        assert data_set.engine == DuckDB(threads=1)
        assert (data_set.path, data_set.columns.time, data_set.rules.duplicates) == ("log.csv", "eventdate", "keep")
