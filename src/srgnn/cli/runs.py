"""Run folders: the result of a run, the newest finished run, and the arguments of a resumed run."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, count, product
from pathlib import Path
from typing import Any

import polars as pl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from srgnn.cli.arguments import SWEEP_FLAGS, is_within, option, shown, value
from srgnn.cli.errors import RENAMED, raw_log_exists
from srgnn.errors import UserError, for_hydra
from srgnn.saving import LOCK, is_locked, lock_folder, whole_file

log = logging.getLogger(__name__)

RESULT = "result.json"
RANKS = "ranks.parquet"
OVERRIDES = Path(".hydra") / "overrides.yaml"
SWEEP = "sweep.yaml"  # the options of a sweep, in its folder; Hydra's multirun.yaml is not written whole
STUDY = "study.yaml"  # the options of a search, in the folder of its study
LAUNCHER = ("launcher", "hydra/launcher", "hydra.launcher")
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


def check_unchanged(
    config: Mapping[str, Any],
    before: Mapping[str, Any],
    arguments: Sequence[str],
    may_change: Sequence[str],
    made: str,
    anew: str,
) -> None:
    """Compares the options of a run or a study that is continued with those that it began with.

    Options in `may_change` may differ if they are given anew, and those in :data:`NEVER_MATTERS` always.

    Args:
        config: The configuration now.
        before: The configuration at the beginning; an option that its version did not have may differ.
        arguments: The command line that continues it.
        may_change: Options, and groups of options.
        made: What the message says of the beginning, such as "the run was trained".
        anew: What else can be done, such as "start a new run".

    Raises:
        UserError: for the first option that differs.
    """
    given = [option(text) for text in arguments]
    now, then = flat_options(config), flat_options(before)
    for name in {**now, **then}:
        is_given = is_within(name, given)
        is_free = is_within(name, NEVER_MATTERS) or (is_given and is_within(name, may_change))
        is_new = name not in then and not is_given
        if now.get(name) != then.get(name) and not is_free and not is_new:
            remedy = "leave it out, or " if is_given else ""
            raise UserError(
                f"{name}={shown(now.get(name))}: {made} with {name}={shown(then.get(name))}, which cannot change; "
                f"{remedy}{anew}."
            )


def check_resumed(config: Mapping[str, Any], trained: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """Compares the options of a resumed run with those that its checkpoint was trained with.

    Only options that leave the meaning of the finished epochs as it is may change (:data:`MAY_CHANGE`).

    Raises:
        UserError: for the first option that differs.
    """
    anew = "start a new run without resume="
    check_unchanged(config, trained, arguments, MAY_CHANGE, "the run was trained", anew)


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
    for override in parser.parse_overrides(list(config.hydra.overrides.task)):
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
        task = [text for text in overrides.task if option(text) != "resume"]
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
    results = sorted(_files(Path(outputs), RESULT), key=lambda path: path.stat().st_mtime)
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
        others = [text for text in arguments if option(text) not in ("resume", *SWEEP_FLAGS)]
        stored = stored_options(path / SWEEP)
        swept = [option(text) for text in stored if _is_swept(text)]
        for text in others:
            is_free = is_within(option(text), (*MAY_CHANGE, *NEVER_MATTERS, "launcher", "hydra", "hydra/launcher"))
            if not is_free or option(text) in swept or _is_swept(text):
                raise UserError(f"{text}: a sweep continues with its own options; leave it out, or start a new sweep.")
        original = [text for text in stored if option(text) not in given]
        if any(name in given for name in LAUNCHER[:2]):  # its options go with it
            original = [text for text in original if not is_within(option(text), LAUNCHER)]
        folder = for_hydra(str(path))
        return ["-m", *original, *others, f"resume={folder}", f"hydra.sweep.dir={folder}"]
    if any(text in SWEEP_FLAGS for text in arguments):
        raise UserError(f"resume={path}: a run is continued alone; leave -m out.")
    if not path.is_file() or not (path.parent / OVERRIDES).is_file():
        raise UserError(
            f"resume={path}: expected a checkpoint in the folder of its run, the folder of a sweep, or last."
        )
    original = [text for text in _renamed(stored_options(path.parent / OVERRIDES)) if option(text) not in given]
    others = [text for text in arguments if not text.startswith("resume=")]
    return [
        *original,
        *others,
        "hydra.output_subdir=null",  # Hydra would replace the stored options before the new ones are checked
        f"resume={for_hydra(str(path))}",
        f"hydra.run.dir={for_hydra(str(path.parent))}",
    ]


def _is_swept(text: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(text).is_sweep_override())
    except HydraException:
        return False


def _last_unfinished(outputs: Path) -> Path:
    """The newest checkpoint of an unfinished run, or folder of an unfinished sweep, in which nothing is going on."""
    sweeps = [path.parent for path in _files(outputs, SWEEP) if not (path.parent / RESULT).exists()]
    runs = [
        path
        for path in _files(outputs, "last.ckpt")
        if not (path.parent / RESULT).exists()
        and not any((path.parent.parent / name).exists() for name in (SWEEP, STUDY))
    ]
    ages = {path: path.stat().st_mtime for path in runs}
    for path in sweeps:
        ages[path] = max(each.stat().st_mtime for each in _files(path, SWEEP, RESULT, "last.ckpt"))
    stopped = [path for path in ages if not _is_live(path if path.is_dir() else path.parent)]
    if live := len(ages) - len(stopped):
        log.warning("resume=last leaves out what is still going on in %s: %d", outputs, live)
    if not stopped:
        raise UserError(f"resume=last: there is no unfinished run in {outputs}.")
    return max(stopped, key=ages.__getitem__)


def _files(folder: Path, *names: str) -> Iterator[Path]:
    """The files of these names inside a folder; a temporary folder may vanish meanwhile, at which `rglob` fails."""
    for inside, _, files in os.walk(folder):
        yield from (Path(inside, name) for name in names if name in files)


def stored_options(path: Path) -> list[str]:
    """The options of a run or a sweep, from the file that was written when it began.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        stored = [str(text) for text in OmegaConf.load(path)]
        OverridesParser.create().parse_overrides(stored)
    except (OSError, TypeError, ValueError, YAMLError, OmegaConfBaseException, HydraException) as error:
        raise UserError(
            f"resume={path.parent}: its options cannot be read from {path} ({type(error).__name__}): restore that "
            "file, or start again."
        ) from error
    return stored


def _is_live(folder: Path) -> bool:
    """Whether a process holds a lock in a folder: that of a run, of a sweep, or of one of its runs."""
    return any(is_locked(path.parent) for path in _files(folder, LOCK))


def _renamed(overrides: Iterable[str]) -> list[str]:
    """The options of an older run under their present names."""
    renamed = [RENAMED.get(text, text) for text in overrides]
    if any(option(text).startswith("dataset.") or text == "preset=reference" for text in renamed):
        renamed = [f"{text}_log" if raw_log_exists(text) else text for text in renamed]
    return renamed
