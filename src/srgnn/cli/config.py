"""Turns a Hydra configuration into plain values and objects: nothing below this module knows Hydra."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from srgnn.cli import CONF
from srgnn.cli.arguments import as_typed
from srgnn.cli.errors import (
    check_arguments,
    one_sentence,
    options_of,
    published_sentence,
    raw_log_exists,
    referred,
    with_options,
)
from srgnn.cli.tables import show_log
from srgnn.errors import UserError
from srgnn.saving import write_error

if TYPE_CHECKING:  # torch takes a second to load, and --help needs none
    from srgnn.contracts import DataSet
    from srgnn.data import SessionData

logger = logging.getLogger(__name__)


def program(name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Turns a function of a configuration into a command-line program, that prints errors as one sentence.

    Args:
        name: Name of its configuration, `conf/NAME.yaml`.
    """

    def decorate(task: Callable[[DictConfig], None]) -> Callable[[], None]:
        has_folder = False

        def guarded(config: DictConfig) -> None:
            nonlocal has_folder
            has_folder = True
            with one_sentence(name):  # inside, too: Hydra prints a line of its own before it lets an error out
                task(config)

        main = hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(guarded)

        def run() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
            show_log()
            sys.argv[1:] = as_typed(sys.argv[1:])
            if "SRGNN_DATA" in os.environ:
                os.environ["SRGNN_DATA"] = os.path.expanduser(os.environ["SRGNN_DATA"])
            with one_sentence(name):
                check_arguments(name, sys.argv[1:])
                try:
                    main()
                except OSError as error:
                    # A missing choice is an OSError, too, and so is a closed pipe behind `--help`.
                    if has_folder or isinstance(error, (HydraException, BrokenPipeError)):
                        raise
                    # A full disk does not name the file.
                    folder = HydraConfig.get().runtime.output_dir if HydraConfig.initialized() else ""
                    what = f"the folder of this run {error.filename or folder}".rstrip()
                    raise write_error(what, error, "paths.outputs") from error

        return run

    return decorate


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain values."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def build(config: DictConfig, group: str) -> Any:
    """Builds the object that a configuration group describes.

    Raises:
        UserError: for a wrong value, under the name of its option.
    """
    values = OmegaConf.select(config, group)
    if not isinstance(values, DictConfig):
        given = "null" if values is None else values
        raise UserError(f"{group}={given}: expected options such as {group}.NAME=VALUE.")
    return _built(config, group, OmegaConf.to_container(values, resolve=True, throw_on_missing=True))


def _built(config: DictConfig, group: str, values: Any) -> Any:
    # Not hydra.utils.instantiate: it would build the parts too, and an error could not be traced to its part.
    if not isinstance(values, dict) or "_target_" not in values:
        return values
    path = values["_target_"]
    try:
        target = get_object(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{group}._target_={path}: expected a class that can be imported ({error}).") from error
    parts = {name: _built(config, f"{group}.{name}", value) for name, value in values.items() if name != "_target_"}
    parameters = inspect.signature(target).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in parts:
        if name not in parameters and not takes_any and name != "_convert_":
            raise UserError(f"{group}.{name}: there is no option {name}; {group} has {', '.join(parameters)}.")
    parts.pop("_convert_", None)  # a key for Hydra in the checkpoints of older versions
    with options_of(config, referred(config, group)):
        return target(**parts)


def build_data_set(config: DictConfig) -> DataSet:
    """Builds the chosen data set.

    Raises:
        UserError: for a wrong value, or a preset of rules for a set that is published as sessions.
    """
    choices = HydraConfig.get().runtime.choices
    name, preset = choices.get("dataset"), choices.get("preset", "default")
    rules = OmegaConf.select(config, "dataset.rules")
    if preset != "default" and rules is not None and "_target_" not in rules:  # the preset's values alone
        if raw_log_exists(f"dataset={name}"):
            raise UserError(published_sentence(f"preset={preset}", f"{name}_log"))
        raise UserError(f"preset={preset}: dataset={name} has no rules; leave the preset out.")
    data_set: DataSet = build(config, "dataset")
    return data_set


def load(config: DictConfig, data_set: DataSet) -> SessionData:
    """Loads a data set from :func:`build_data_set`, and shows the warnings about it; errors, too, name its options."""
    with options_of(config, "dataset"):
        data = data_set.load()
    for notice in data.manifest.get("notices", ()):
        logger.warning("Warning: %s", with_options(notice["text"], notice["arguments"], config, "dataset"))
    return data


def data_set_of(trained: Mapping[str, Any], paths: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, Any]:
    """The data set that a checkpoint was trained on, with the folders and the engine of the current configuration.

    Args:
        trained: Configuration of the training run; older versions kept the raw log and the published set in one entry.
        paths: Folders `data` and `cache`.
        engine: The engine that prepares a click log.
    """
    if "dataset" not in trained:
        raise UserError("The checkpoint does not say what it was trained on: name its data with dataset=NAME.")
    values = dict(trained["dataset"])
    if "published" in values:
        published = values.pop("published")
        if values["path"] is None:
            values = dict(published)
        else:
            for name, part in {"columns": "Columns", "items": "ItemTable", "rules": "Rules"}.items():
                values[name] = {"_target_": f"srgnn.data.{part}", **values[name]}
    values |= {name: paths[name] for name in ("data", "cache") if name in values}
    return values | ({"engine": engine} if "rules" in values else {})


def is_sweep() -> bool:
    """Whether this is one run of a sweep (`-m`)."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)
