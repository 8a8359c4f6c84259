"""A small click log that fits on paper, and helpers that turn a file and options into sessions."""

from pathlib import Path

import polars as pl
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from srgnn.cli import CONF
from srgnn.cli import config as cli
from srgnn.data import SessionData
from srgnn.data.log.columns.times import moment

DAY = 86_400
START = moment("", "2014-04-01") // 1_000_000

# Three training sessions and, a month later, a test session; (session, item, seconds since 1970).
LOG = [
    *((1, 10, START), (1, 11, START + 60), (1, 10, START + 120)),
    *((2, 11, START + 100), (2, 12, START + 160)),
    *((3, 12, START + DAY), (3, 10, START + DAY + 30)),
    *((4, 10, START + 30 * DAY), (4, 12, START + 30 * DAY + 60), (4, 11, START + 30 * DAY + 90)),
]
TRAIN, TEST = [[10, 11, 10], [11, 12], [12, 10]], [[10, 12, 11]]


def configuration(tmp_path: Path, name: str, path: Path | str | None, *options: str) -> DictConfig:
    """The configuration of conf/dataset/NAME.yaml with a user's options."""
    given = [] if path is None else [f"dataset.path='{path}'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("prepare", [f"dataset={name}", f"paths.cache={tmp_path / 'cache'}", *given, *options])


def load(tmp_path: Path, name: str, path: Path | str | None, *options: str) -> SessionData:
    """The sessions of a log, regardless of the support of its items."""
    return load_as_configured(tmp_path, name, path, "dataset.rules.min_item_support=1", *options)


def load_as_configured(tmp_path: Path, name: str, path: Path | str | None, *options: str) -> SessionData:
    """The sessions of a log under the rules of its configuration."""
    config = configuration(tmp_path, name, path, *options)
    return cli.load(config, cli.build(config, "dataset"))


def raw(data: SessionData, part: str) -> list[list]:
    """The sessions of one part, as raw ids."""
    return [[data.vocabulary.ids[i] for i in session.tolist()] for session in getattr(data, part)]


def stamp(seconds: int, form: str) -> str:
    return pl.from_epoch(pl.Series([seconds]), time_unit="s").dt.to_string(form)[0]
