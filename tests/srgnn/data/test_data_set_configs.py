"""conf/dataset/: every file holds the arguments of one data set, and nothing else."""

from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from srgnn.cli import CONF
from srgnn.cli.config import build

NAMES = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_all_arguments_of_one_class(name: str, tmp_path: Path):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("prepare", [f"dataset={name}"])
        if OmegaConf.is_missing(config.dataset, "path"):
            config.dataset.path = str(tmp_path / "log.csv")
    data_set = build(config, "dataset")
    assert callable(data_set.load)
    assert data_set.num_items is None or isinstance(data_set.num_items, int)
    assert {*config.dataset} - {"_target_"} == {field.name for field in fields(data_set)}
    for part in (name for name, value in config.dataset.items() if isinstance(value, DictConfig)):
        assert {*config.dataset[part]} - {"_target_"} == {field.name for field in fields(getattr(data_set, part))}


@pytest.mark.parametrize("name", [name for name in NAMES if f"{name}_log" in NAMES])
def test_a_published_set_and_its_raw_log_share_their_name(name: str, tmp_path: Path):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        published, log = (compose("prepare", [f"dataset={choice}"]).dataset for choice in (name, f"{name}_log"))
    assert published._target_ == "srgnn.data.PublishedSet"
    assert log._target_ == "srgnn.data.ClickLog"
    assert published.name == log.name == name
