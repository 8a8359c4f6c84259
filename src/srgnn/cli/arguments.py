"""The command line's arguments: text is taken as it is typed, where Hydra's grammar would read or refuse it."""

import os
import shlex
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from srgnn.errors import ArgumentError, check_int, for_hydra, typed

FILES = (
    "paths",
    "checkpoint",
    "index",
    "compiled",
    "init_from",
    "resume",
    "recommendations",
    "runs",
    "output",
    "sessions",
    "embeddings",
    "similar_items",
    "dataset.path",
    "dataset.test_path",
    "dataset.items.path",
    "dataset.items.vectors",
    "items",
    "encoder",
)
TEXTS = (  # options, and groups of options, whose values are text
    *FILES,
    "against",
    *("id", "separator", "quote"),
    *("session", "without", "only", "similar", "shard", "columns"),
    *(f"dataset.{name}" for name in ("where", "columns", "nested", "separator", "quote", "time_format", "time_zone")),
    *(f"dataset.items.{name}" for name in ("id", "title", "separator", "quote")),
    *("engine.master", "engine.temp_directory"),
)
SWEEP_FLAGS = ("-m", "--multirun")


def as_typed(arguments: Sequence[str], open_groups: Sequence[str] = ()) -> list[str]:
    """The arguments in a form in which Hydra reads text as it was typed.

    File names, ids, SQL and names of columns may hold any character: `dataset.path=day=2/b.csv`,
    `dataset.where=price>1`. Values that Hydra itself reads as text, as a list or as `null` stay as they are. `~` at
    the start of a path is the home folder, and `-m` may stand anywhere.

    Args:
        arguments: The arguments of the command line.
        open_groups: Groups that may get options that their files do not have.
    """
    sweep = any(text in SWEEP_FLAGS for text in arguments)
    is_open = tuple(f"{group}." for group in open_groups)
    arguments = [f"++{text}" if text.startswith(is_open) else text for text in arguments]
    flags = [text for text in arguments if text in SWEEP_FLAGS]
    return flags + [_as_text(text, sweep) for text in arguments if text not in SWEEP_FLAGS]


def encoder_option(arguments: Sequence[str]) -> list[str]:
    """The arguments with `encoder=...` for `model=...`, which Hydra would look for among the models to train."""
    return [f"encoder={text.removeprefix('model=')}" if text.startswith("model=") else text for text in arguments]


def option(argument: str) -> str:
    """The name of the option that an argument sets."""
    return argument.lstrip("+~").partition("=")[0]


def value(argument: str) -> Any:
    """The value that Hydra reads from an argument; its text if Hydra cannot read it, or reads several values."""
    text = argument.partition("=")[2]
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return text
    return text if override.is_sweep_override() else override.value()


def is_swept(argument: str) -> bool:
    """Whether an argument gives an option several values, one for each run of a sweep."""
    try:
        return bool(OverridesParser.create().parse_override(argument).is_sweep_override())
    except HydraException:
        return False


def shown(value: Any) -> str:
    """A value in the words of the configuration: `null` for None, `true` for True."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def _as_text(argument: str, sweep: bool) -> str:
    name, equals, text = argument.partition("=")
    if not equals or not text or not is_within(name.lstrip("+"), TEXTS):
        return argument
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return _quoted(name, text)
    if override.is_sweep_override():
        return argument if sweep else _quoted(name, text)
    read = override.value()
    if isinstance(read, str):
        meant = read if text[0] in "'\"" else text  # without quotes, Hydra drops backslashes
        return _quoted(name, meant) if meant != read or meant.startswith("~") else argument
    return argument if isinstance(read, list | dict) or read is None else _quoted(name, text)


def _quoted(name: str, text: str) -> str:
    if is_within(name.lstrip("+"), FILES):
        text = os.path.expanduser(text)
    return f"{name}={for_hydra(text)}"


def is_within(name: str, groups: Sequence[str]) -> bool:
    """Whether an option is one of `groups`, or an option of such a group."""
    return any(name == group or name.startswith(f"{group}.") for group in groups)


def cutoffs(given: Any, largest: int) -> list[int]:
    """The cut-offs of `k=`: one number or a list.

    Args:
        given: The value of the option.
        largest: The largest one that is allowed.

    Raises:
        ArgumentError: for anything else.
    """
    k = [given] if isinstance(given, int) else list(given) if isinstance(given, Sequence) else []
    if not k or isinstance(given, str):
        raise ArgumentError("k", shown(given), "a list of at least one cut-off")
    return [check_int("k", cut, 1, largest) for cut in k]


def session_of(given: Any) -> list[str]:
    """The item ids of `session=`: `A,B,A`, a list where an id holds a comma, `['A,1',B]`, or nothing."""
    if given == "":
        return []
    ids = given if isinstance(given, Sequence) and not isinstance(given, str) else str(given).split(",")
    return [str(raw) if ids is given else raw.strip() for raw in ids]


def session_option(ids: Sequence[int | str]) -> str:
    """The option `session=` for these item ids, ready to be pasted into a shell."""
    texts = [str(raw) for raw in ids]
    joined = ",".join(texts)
    (argument,) = as_typed([f"session={joined}"])
    return f"session={shlex.quote(joined) if session_of(value(argument)) == texts else typed(texts)}"
