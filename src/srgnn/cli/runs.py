"""Run folders: the result of a run, the newest finished run, and the arguments of a resumed run."""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any

import polars as pl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from srgnn.cli.arguments import is_within, option, value
from srgnn.cli.errors import RENAMED, raw_log_exists
from srgnn.errors import UserError, for_hydra
from srgnn.saving import lock_folder, whole_file

log = logging.getLogger(__name__)

RESULT = "result.json"
RANKS = "ranks.parquet"
OVERRIDES = Path(".hydra") / "overrides.yaml"
SWEEP = "multirun.yaml"  # Hydra's description of a sweep, in its folder
# What a resumed run may change if it is given anew, and what never matters. The data itself is compared.
MAY_CHANGE = (
    "max_epochs",
    "patience",
    "trainer",
    "matmul_precision",
    "dataset.path",
    "dataset.test_path",
    "dataset.items.path",
)
NEVER_MATTERS = (
    "resume",
    "paths",
    "logger",
    "engine",
    "dataset.engine",
    "dataset.cache",
    "dataset.data",
    "dataset.strict",
)


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


def lock_run(folder: Path) -> None:
    """Keeps other processes out of a run's folder until this one ends.

    Raises:
        UserError: if a run is going on there.
    """
    if lock_folder(folder) is None:
        raise UserError(f"A run is still going on in {folder}: wait for its end, or stop it.")


def check_resumed(config: Mapping[str, Any], trained: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """Compares the options of a resumed run with those that its checkpoint was trained with.

    Only options that leave the meaning of the finished epochs as it is may change (:data:`MAY_CHANGE`), and only if
    they are given anew.

    Args:
        config: The configuration of the resumed run.
        trained: The configuration in the checkpoint.
        arguments: The command line that resumes it.

    Raises:
        UserError: for the first option that differs.
    """
    given = [option(text) for text in arguments]
    before = _flat(trained)
    for name, now in _flat(config).items():
        is_given = is_within(name, given)
        if name not in before and not is_given:  # an option that the version of that run did not have
            continue
        if before.get(name) == now or is_within(name, NEVER_MATTERS) or (is_given and is_within(name, MAY_CHANGE)):
            continue
        remedy = "leave it out, or start a new run without resume=" if is_given else "start a new run"
        raise UserError(
            f"{name}={now}: the run was trained with {name}={before.get(name)}, which cannot change when it resumes; "
            f"{remedy}."
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, each in values.items():
        flat |= _flat(each, f"{prefix}{name}.") if isinstance(each, Mapping) else {f"{prefix}{name}": each}
    return flat


def write_overrides(folder: Path) -> None:
    """Writes the options of a resumed run, so that it can be resumed again with them."""
    skipped = ("resume", "hydra.run.dir", "hydra.output_subdir")
    overrides = [text for text in HydraConfig.get().overrides.task if option(text) not in skipped]
    with whole_file(folder / OVERRIDES, "the options", "folder") as temporary:
        OmegaConf.save(OmegaConf.create(overrides), temporary)


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes `result.json`, with the options that the run was started with."""
    content = {**result, "overrides": list(HydraConfig.get().overrides.task)}
    with whole_file(folder / RESULT, "the result", "folder") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


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
    if checkpoint != "last":
        return Path(str(checkpoint))
    results = sorted(Path(outputs).rglob(RESULT), key=lambda path: path.stat().st_mtime)
    for path in reversed(results):
        result = read_result(path.parent)
        if result is not None and "checkpoint" in result:
            return path.parent / str(result["checkpoint"])
    raise UserError(f"There is no finished run in {outputs}: train one with python src/train.py.")


def resumed(arguments: list[str]) -> list[str]:
    """The arguments of a run, preceded by those of the run or sweep that `resume=` names, so that it resumes unchanged.

    Of a sweep, the runs that have not finished are continued or made.

    Raises:
        UserError: if there is no such run or sweep, or its options cannot be read.
    """
    given = {option(text): value(text) for text in arguments if "=" in text}
    checkpoint = given.get("resume")
    if not checkpoint or "LOCAL_RANK" in os.environ:
        return arguments
    if checkpoint == "last":
        checkpoint = _last_unfinished(Path(given.get("paths.outputs", "outputs")))
    path = Path(str(checkpoint))
    if (path / SWEEP).is_file():
        stored = _stored(path / SWEEP, "hydra.overrides.task")
        others = [text for text in arguments if option(text) not in ("resume", "-m", "--multirun")]
        original = [text for text in stored if option(text) not in given]
        return ["-m", *original, *others, f"hydra.sweep.dir={for_hydra(str(path))}"]
    if not path.is_file() or not (path.parent / OVERRIDES).is_file():
        raise UserError(
            f"resume={path}: expected a checkpoint in the folder of its run, the folder of a sweep, or last."
        )
    original = [text for text in _renamed(_stored(path.parent / OVERRIDES)) if option(text) not in given]
    others = [text for text in arguments if not text.startswith("resume=")]
    return [
        *original,
        *others,
        "hydra.output_subdir=null",  # Hydra would replace the stored options before the new ones are checked
        f"resume={for_hydra(str(path))}",
        f"hydra.run.dir={for_hydra(str(path.parent))}",
    ]


def _last_unfinished(outputs: Path) -> Path:
    """The newest checkpoint of an unfinished run, or folder of an unfinished sweep, in which nothing is going on."""
    sweeps = [path.parent for path in outputs.rglob(SWEEP) if not (path.parent / RESULT).exists()]
    runs = [
        path
        for path in outputs.rglob("last.ckpt")
        if not (path.parent / RESULT).exists() and not (path.parent.parent / SWEEP).exists()
    ]
    ages = {path: path.stat().st_mtime for path in runs}
    ages |= {path: max(each.stat().st_mtime for each in path.rglob("*")) for path in sweeps}
    stopped = [path for path in ages if not _is_live(path if path.is_dir() else path.parent)]
    if live := len(ages) - len(stopped):
        log.warning("resume=last leaves out what is still going on in %s: %d", outputs, live)
    if not stopped:
        raise UserError(f"resume=last: there is no unfinished run in {outputs}.")
    return max(stopped, key=ages.__getitem__)


def _stored(path: Path, key: str | None = None) -> list[str]:
    """The options of a run or a sweep, from the file that Hydra wrote when it began.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        content = OmegaConf.load(path)
        stored = [str(text) for text in (OmegaConf.select(content, key) if key else content)]
        OverridesParser.create().parse_overrides(stored)
    except (OSError, TypeError, ValueError, YAMLError, OmegaConfBaseException, HydraException) as error:
        raise UserError(
            f"resume={path.parent}: its options cannot be read from {path} ({type(error).__name__}): restore that "
            "file, or start again."
        ) from error
    return stored


def _is_live(folder: Path) -> bool:
    lock = lock_folder(folder)
    if lock is not None:
        os.close(lock)
    return lock is None


def _renamed(overrides: Iterable[str]) -> list[str]:
    """The options of an older run under their present names."""
    renamed = [RENAMED.get(text, text) for text in overrides]
    if any(option(text).startswith("dataset.") or text == "preset=reference" for text in renamed):
        renamed = [f"{text}_log" if raw_log_exists(text) else text for text in renamed]
    return renamed
