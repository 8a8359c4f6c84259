"""The options of a search: the study that it joins, the space, and what of a study cannot change."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from srgnn.cli.arguments import SWEEP_FLAGS, is_within, option, value
from srgnn.cli.config import plain
from srgnn.cli.resuming import MAY_CHANGE, check_unchanged, stored_options
from srgnn.cli.runs import STUDY, flat_options
from srgnn.errors import UserError, for_hydra
from srgnn.search.space import Candidates, Choices, Range
from srgnn.search.study import JOURNAL

FINISHED = "search.json"  # the result, once every trial has ended
# Options that a search can vary; the others choose the data, or what the value of a trial means.
VARIABLE = ("model", "optimizer", "sampling", "loss", "batch_size", "order", "max_epochs", "patience")
OWN = ("search", "space", "trials", "startup_trials", "pruner", "study", "storage", "resume")  # not those of train.py
RANGE = ("low", "high", "step", "log")
NAME = re.compile(r"\w[\w.-]*")


def joined(arguments: list[str]) -> list[str]:
    """The arguments of a search, preceded by those of the study that `study=` or `resume=` names, if it exists.

    Raises:
        UserError: if there is no study to resume, or its options cannot be read.
    """
    if any(text in SWEEP_FLAGS for text in arguments):
        raise UserError("-m: a search tries the values of its space by itself; name them with space.NAME=[A,B].")
    given = {option(text): value(text) for text in arguments if "=" in text}
    searches = Path(given.get("paths.outputs", "outputs")) / "searches"
    name, resume = given.get("study"), given.get("resume")
    if resume is not None:
        folder = _last_unfinished(searches) if resume == "last" else Path(str(resume))
        if not (folder / STUDY).is_file():
            raise UserError(f"resume={folder}: expected the folder of a study, or last.")
    elif name is not None:
        if not NAME.fullmatch(str(name)):
            raise UserError(f"study={name}: expected a name of letters, digits, points, - and _.")
        folder = searches / str(name)
    else:
        return arguments
    stored = stored_options(folder / STUDY) if (folder / STUDY).is_file() else []
    return [
        *(text for text in stored if option(text) not in given),
        *(text for text in arguments if option(text) != "resume"),
        f"hydra.run.dir={for_hydra(str(folder))}",
    ]


def _last_unfinished(searches: Path) -> Path:
    folders = [path.parent for path in searches.glob(f"*/{STUDY}") if not (path.parent / FINISHED).exists()]
    if not folders:
        raise UserError(f"resume=last: there is no unfinished search in {searches}.")

    def age(folder: Path) -> float:
        return max(path.stat().st_mtime for path in (folder / STUDY, folder / JOURNAL) if path.exists())

    return max(folders, key=age)


def space_of(config: DictConfig) -> dict[str, Candidates]:
    """The candidates of every option that a search varies: those of `search`, and those of `space` over them.

    Raises:
        UserError: for an option that does not exist or cannot be varied, and for candidates that are no range or list.
    """
    values = plain(config)
    options = flat_options({name: each for name, each in values.items() if name not in OWN})
    try:
        of_file = dict(_candidates(values["search"] or {}, options))
    except UserError as error:  # the file is of another model
        raise UserError(f"{str(error).rstrip('.')}; search=optimizer fits every model.") from error
    candidates = of_file | dict(_candidates(values["space"], options))
    space = {name: _parsed(name, each, options[name]) for name, each in candidates.items() if each is not None}
    if not space:
        raise UserError("The search varies no option: name one with space.NAME=[A,B], or a file with search=NAME.")
    return space


def _candidates(values: Any, options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        raise UserError(f"{prefix.rstrip('.') or 'space'}={values}: expected candidates of options.")
    for key, each in values.items():
        name = f"{prefix}{key}"
        if isinstance(each, Mapping) and any(option.startswith(f"{name}.") for option in options):
            yield from _candidates(each, options, f"{name}.")
            continue
        group = name.rpartition(".")[0]
        if name not in options or name.endswith("_target_"):
            inside = [each.removeprefix(f"{group}.") for each in options if group and each.startswith(f"{group}.")]
            names = [each for each in inside if each != "_target_"] or VARIABLE
            raise UserError(f"space.{name}: there is no option {name}; {group or 'a search'} has {', '.join(names)}.")
        if not is_within(name, VARIABLE):
            raise UserError(f"space.{name}: a search cannot vary {name}; it varies options of {', '.join(VARIABLE)}.")
        yield name, each


def _parsed(name: str, values: Any, present: Any) -> Candidates:
    """The candidates of an option. A range of an option whose present value has a fraction has no integers."""
    try:
        if isinstance(values, list):
            return Choices(values)
        if isinstance(values, Mapping) and {"low", "high"} <= set(values) <= set(RANGE):
            if isinstance(present, float):
                values = {key: float(each) if type(each) is int else each for key, each in values.items()}
            return Range(**values)
    except UserError as error:
        raise UserError(f"space.{name}: {error}") from error
    raise UserError(
        f"space.{name}={values}: expected a list of values, or a range such as {{low: 1, high: 9}} with step: or "
        "log: true."
    )


def check_joined(config: Mapping[str, Any], kept: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """Compares the options of a process with those that its study was made with.

    Raises:
        UserError: for the first option that differs.
    """
    may_change = [name for name in MAY_CHANGE if name not in ("max_epochs", "patience")]
    check_unchanged(config, kept, arguments, may_change, "the study was made", "make another study with study=NAME")
