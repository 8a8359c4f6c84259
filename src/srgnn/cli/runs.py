"""Run folders: what a run and a sweep leave there, and the newest finished run."""

import json
import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, count, product
from pathlib import Path
from typing import Any

import polars as pl
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from srgnn.cli.arguments import is_within, option
from srgnn.errors import UserError
from srgnn.saving import lock_folder, whole_file

log = logging.getLogger(__name__)

RESULT = "result.json"
RANKS = "ranks.parquet"
TARGET_CLICKS = "target_clicks"  # its column of the training clicks of the target
OVERRIDES = Path(".hydra") / "overrides.yaml"
SWEEP = "sweep.yaml"  # the options of a sweep, in its folder; Hydra's multirun.yaml is not written whole
STUDY = "study.yaml"  # the options of a search, in the folder of its study
LAUNCHER = ("launcher", "hydra/launcher", "hydra.launcher")


@cache
def own_folder(path: str) -> str:
    """Makes a new folder for this process: `path`, or `path-2`, `path-3` ... if another run has it.

    Hydra asks for the name more than once; the answer stays the same.
    """
    for folder in chain([path], (f"{path}-{number}" for number in count(2))):
        try:
            Path(folder).mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError:  # Hydra reports it when it makes the folder
            return path
        return folder
    raise AssertionError("count() never ends")


# The cache travels with the configuration to the processes of a sweep.
OmegaConf.register_new_resolver("own_folder", own_folder, use_cache=True)


def check_unused(folder: Path) -> None:
    """Checks that a folder has no other run, whose files would mix with those of a new one.

    Raises:
        UserError: if it has.
    """
    if (folder / RESULT).exists() or (folder / "last.ckpt").exists():
        path = shlex.quote(os.path.relpath(folder))
        again = f"continue that one with resume={path}, or " if (folder / "last.ckpt").exists() else ""
        raise UserError(
            f"{path} is the folder of another run: {again}name another folder with hydra.run.dir=FOLDER.",
            "hydra.run.dir",
        )


def lock_run(folder: Path) -> None:
    """Keeps other processes out of a run's folder until this one ends.

    Raises:
        UserError: if a run is going on there.
    """
    if lock_folder(folder) is None:
        raise UserError(f"A run is still going on in {folder}: wait for its end, or stop it.")


def flat_options(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested configuration by the names of their options."""
    flat: dict[str, Any] = {}
    for name, each in values.items():
        flat |= flat_options(each, f"{prefix}{name}.") if isinstance(each, Mapping) else {f"{prefix}{name}": each}
    return flat


def write_overrides(folder: Path) -> None:
    """Writes the options of a resumed run, so that it can be resumed again with them."""
    skipped = ("resume", "hydra.run.dir", "hydra.output_subdir")
    overrides = [text for text in HydraConfig.get().overrides.task if option(text) not in skipped]
    with whole_file(folder / OVERRIDES, "the options", "folder") as temporary:
        OmegaConf.save(OmegaConf.create(overrides), temporary)


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes `result.json`, with the options that the run was started with."""
    overrides = [text for text in HydraConfig.get().overrides.task if option(text) != "resume"]
    content = {**result, "overrides": overrides}
    with whole_file(folder / RESULT, "the result", "folder") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep, as its folder describes it.

    Args:
        number: Its number in the sweep, and the name of its folder.
        overrides: Its options.
        has_started: Whether it has a folder.
        result: The content of `result.json`; None if the run has not finished.
    """

    number: int
    overrides: Sequence[str]
    has_started: bool
    result: Mapping[str, Any] | None

    @property
    def metrics(self) -> Mapping[str, float] | None:
        """The metrics of the trained model, the first one of the run's table; None if the run failed."""
        return next(iter((self.result or {}).get("metrics", {}).values()), None)

    @property
    def problem(self) -> str:
        """The reason why there are no metrics."""
        if self.result is not None:
            return str(self.result.get("error", "no metrics"))
        return "stopped without a result" if self.has_started else "not started"


def planned_runs(config: DictConfig) -> list[list[str]]:
    """The options of every run of a sweep, in the order in which Hydra numbers them.

    Raises:
        UserError: for an interval.
    """
    values = {}
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    for override in parser.parse_overrides(swept_options(config)):
        name = override.get_key_element()
        if name == "resume":
            continue
        if not override.is_sweep_override():
            values[name] = [f"{name}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[name] = [f"{name}={text}" for text in override.sweep_string_iterator()]
        else:
            raise UserError(
                f"{override.input_line}: a sweep needs single values, {name}=A,B; python src/tune.py searches ranges."
            )
    return [list(each) for each in product(*values.values())]


def check_row(hydra: HydraConf) -> None:
    """Checks that a single run of an experiment, which is a sweep, is one of its rows.

    Args:
        hydra: Hydra's own configuration.

    Raises:
        UserError: if no typed option chooses one.
    """
    params = hydra.sweeper.params or {}
    if params and not {option(text) for text in hydra.overrides.task} & {*params, "recipe"}:
        raise UserError(
            f"experiment={hydra.runtime.choices['experiment']} is a sweep: add -m to run all of its rows, or choose "
            f"one with {' '.join(f'{name}=VALUE' for name in params)}."
        )


def swept_options(config: DictConfig) -> list[str]:
    """The options of a sweep, those of its experiment first; typed ones come later and replace them."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    return [*(f"{name}={values}" for name, values in params.items()), *config.hydra.overrides.task]


def swept_runs(folder: Path, planned: Sequence[Sequence[str]]) -> list[SweptRun]:
    """Reads the folders of the runs of a sweep."""
    runs = []
    for number, overrides in enumerate(planned):
        path = folder / str(number)
        result = read_result(path)
        runs.append(SweptRun(number, (result or {}).get("overrides", overrides), path.is_dir(), result))
    return runs


def write_sweep(folder: Path, config: DictConfig) -> None:
    """Writes the options of a sweep, so that it can be resumed with them."""
    overrides = config.hydra.overrides
    launcher = [text for text in overrides.hydra if is_within(option(text), LAUNCHER)]
    with whole_file(folder / SWEEP, "the options", "folder") as temporary:
        task = [text for text in swept_options(config) if option(text) != "resume"]
        OmegaConf.save(OmegaConf.create([*task, *launcher]), temporary)


def close_sweep(folder: Path, runs: Sequence[SweptRun]) -> None:
    """Writes `result.json` of a sweep: nothing of it is left to do."""
    content = {"runs": len(runs), "failed": sum(run.metrics is None for run in runs)}
    with whole_file(folder / RESULT, "the result", "folder") as temporary:
        temporary.write_text(json.dumps(content) + "\n")


def write_ranks(folder: Path, ranks: pl.DataFrame) -> None:
    """Writes `ranks.parquet`: the rank of every test target, by the run's model and by the baselines."""
    with whole_file(folder / RANKS, "the ranks", "folder") as temporary:
        ranks.write_parquet(temporary)


def read_result(folder: Path) -> dict[str, Any] | None:
    """Reads what :func:`write_result` wrote; None if the run has not finished, or the file is damaged."""
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        result = json.loads(path.read_text())
        if not isinstance(result, dict):
            raise ValueError("expected an object")
    except (OSError, ValueError) as error:
        log.warning("Warning: %s is damaged, and is left out (%s)", path, error)
        return None
    return result


def finished_run(checkpoint: str, outputs: str) -> Path:
    """The path of a checkpoint; `last` means that of the newest finished run.

    Raises:
        UserError: if there is none.
    """
    if checkpoint in ("", None):
        raise UserError("checkpoint= is empty: give the path of a .ckpt file, or checkpoint=last.")
    if checkpoint != "last":
        return Path(str(checkpoint))
    results = sorted(find_files(Path(outputs), RESULT), key=lambda path: path.stat().st_mtime)
    for path in reversed(results):
        result = read_result(path.parent)
        if result is not None and "checkpoint" in result:
            return path.parent / str(result["checkpoint"])
    raise UserError(f"There is no finished run in {outputs}: train one with python src/train.py.")


def find_files(folder: Path, *names: str) -> Iterator[Path]:
    """The files of these names inside a folder, and checkpoints that are folders.

    A temporary folder may vanish meanwhile, at which `rglob` fails.
    """
    for inside, folders, files in os.walk(folder):
        yield from (Path(inside, name) for name in names if name in files or name in folders)
