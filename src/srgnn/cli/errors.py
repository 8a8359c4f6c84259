"""Error messages of the programs: library errors that name options, and options that do not exist."""

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from srgnn.cli import CONF
from srgnn.cli.arguments import FILES, is_swept, is_within, option, shown, value
from srgnn.cli.command import as_started
from srgnn.cli.launched import is_child, is_main_process
from srgnn.errors import LostProcess, UserError, typed
from srgnn.saving import FULL, write_error

RENAMED = {  # choices that were renamed
    "model=srgnn_fast": "recipe=srgnn_fast",
    "dataset=yoochoose": "dataset=yoochoose_log",
    "dataset=yoochoose1_4": "dataset=yoochoose1_4_log",
}
LAUNCHERS = {  # the choice of a launcher of Hydra, whose first word is the extra that installs it
    "hydra/launcher=joblib": "joblib",
    "hydra/launcher=submitit_slurm": "slurm",
    "hydra/launcher=submitit_local": "slurm_local",
}
GRACE = 2.0  # seconds that a process waits with its error for the first one to report it
REFERENCE = re.compile(r"\$\{([\w.]+)\}")  # the value of an option that refers to another one
FOLDER = {"folder": "paths.outputs"}  # an argument whose option has a name of its own


@contextmanager
def one_sentence(program: str) -> Iterator[None]:
    """Ends the program with one sentence for an error that a user can fix; SRGNN_TRACEBACK=1 shows the traceback.

    Args:
        program: Name of the program and of its configuration, such as `train`.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)  # what shells expect after Ctrl-C
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        sentence = sentence_of(error, program)
        if sentence is None or os.environ.get("SRGNN_TRACEBACK") == "1":
            raise
        if not is_main_process():  # the first process ends the others when it reports the same
            if not is_child() or (isinstance(error, LostProcess) and os.environ["LOCAL_RANK"] != "1"):
                sys.exit(1)
            time.sleep(GRACE)
        sys.exit(f"Error: {visible(sentence)}")


def visible(text: str) -> str:
    """The text with control characters as `\\x1b`, since an id or a file name must not steer the terminal; and with the
    commands as :func:`srgnn.cli.command.as_started` gives them.
    """
    text = as_started(text)
    return "".join(char if char in "\n\t" or char.isprintable() else repr(char)[1:-1] for char in text)


@contextmanager
def options_of(config: DictConfig, group: str = "") -> Iterator[None]:
    """Renames arguments to options of a configuration group, in errors raised inside.

    The option of an argument is the shortest name in the group that ends in it: within `dataset`, `test_days` is
    `dataset.rules.test_days`. Where its value only refers to another option, that one is meant.
    """
    try:
        yield
    except UserError as error:
        raise _renamed(error, config, group) from error


def with_options(text: str, arguments: Sequence[str], config: DictConfig, group: str) -> str:
    """A text that mentions arguments, with the options of a configuration group instead."""
    return str(_renamed(UserError(text, *arguments), config, group))


def referred(config: DictConfig, group: str) -> str:
    """The group that an entry of the configuration refers to (`engine` for `dataset.engine`), or the entry itself."""
    parent, _, name = group.rpartition(".")
    value = OmegaConf.to_container(OmegaConf.select(config, parent) if parent else config).get(name)  # type: ignore[union-attr]
    reference = REFERENCE.fullmatch(str(value))
    return reference[1] if reference else group


def _renamed(error: UserError, config: DictConfig, group: str) -> UserError:
    prefix = f"{group}." if group else ""
    values = {name: value for name, value in _options(OmegaConf.to_container(config)) if name.startswith(prefix)}
    for reference in map(REFERENCE.fullmatch, map(str, [*values.values()])):  # with those of groups referred to
        if reference and OmegaConf.is_dict(OmegaConf.select(config, reference[1])):
            values |= _options(OmegaConf.to_container(OmegaConf.select(config, reference[1])), f"{reference[1]}.")
    names = {}
    for argument in error.arguments:
        matches = [name for name in values if f".{name}".endswith(f".{argument}")]
        option = min(matches, key=lambda name: name.count("."), default=FOLDER.get(argument, f"{prefix}{argument}"))
        reference = REFERENCE.fullmatch(str(values.get(option)))
        names[argument] = reference[1] if reference else option
    if not names:
        return error
    renamed = error.renamed(names)
    given = "|".join(map(re.escape, names.values()))
    text = re.sub(rf"(?<![\w.])({given})=(None|True|False)\b", lambda m: f"{m[1]}={shown(m[2])}", str(renamed))
    return UserError(text, *renamed.arguments)


def _options(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every name of a nested configuration, with its value."""
    for key, each in values.items() if isinstance(values, Mapping) else ():
        yield f"{prefix}{key}", each
        yield from _options(each, f"{prefix}{key}.")


def sentence_of(error: Exception, program: str) -> str | None:
    """The message for the user, or None for a bug in the program."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is missing: give {error.full_key}=... ({program}.py --help shows all options)."
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if launcher := LAUNCHERS.get(f"{group}={name}"):
            extra = launcher.partition("_")[0]
            return f"launcher={launcher} needs a plugin of Hydra, which is missing: pip install 'srgnn[{extra}]'."
        if new := RENAMED.get(f"{group}={name}"):
            return f"{group}={name} is now called {new}."
        return f"{group}={name}: expected one of {', '.join(error.options or ())}."
    if isinstance(error, ConfigCompositionException):
        return _unknown_option(error, program)
    if isinstance(error, OSError) and error.errno in FULL:  # while another library was writing, such as a logger
        return str(write_error(str(error.filename or "the files of this run"), error, "paths.outputs"))
    if isinstance(error, OverrideParseException):
        given = error.override
        if "=" not in given:
            return f"{given}: expected an option with its value, {given}=VALUE."
        name, _, written = given.partition("=")
        return f"{given}: this value cannot be read; if it is a text, put it in quotes: {name}={typed(written)}."
    if isinstance(error, OmegaConfBaseException):
        reason = str(error).partition("\n")[0].rstrip(".")
        return f"{error.full_key}: {reason}." if error.full_key else f"{reason}."
    if isinstance(error, HydraException):
        return " ".join(str(error).split())
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return _not_a_choice(program) or "A group of options got no choice."
    if isinstance(error, TypeError):  # Hydra's, for a list of numbers as a choice
        return _not_a_choice(program)
    return None


def _not_a_choice(program: str) -> str | None:
    """The message for the first group that got something else than the name of a choice; None if there is none."""
    for text in sys.argv[1:]:
        name = option(text)
        if not name:
            return f"{text}: expected NAME=VALUE."
        given = value(text)
        names = given if isinstance(given, list) else [given]
        if name in default_choices(program) and not all(isinstance(each, str) for each in names):
            choices = sorted(path.stem for path in (CONF / name).glob("*.yaml"))
            return f"{text}: expected one of {', '.join(choices)}."
    return None


def check_arguments(program: str, arguments: Sequence[str]) -> None:
    """Refuses what Hydra would take: new options with a plus, which nothing reads; one value for a group of options;
    and an empty name of a file or folder.

    Raises:
        UserError: for the first of these.
    """
    own, groups = _own_options(program), default_choices(program)
    for text in arguments:
        name, given = option(text), value(text)
        group = own.get(name)
        if group and isinstance(group, dict) and name not in groups and not (isinstance(given, dict) or is_swept(text)):
            leaf = next(each for each in group if not each.startswith("_"))
            raise UserError(f"{text}: expected options such as {name}.{leaf}=VALUE.")
        is_file = is_within(name, (*FILES, "hydra.run.dir", "hydra.sweep.dir")) and name != "checkpoint"
        is_nothing = given is None and is_within(name, ("paths", "hydra"))
        if is_file and "=" in text and (given == "" or is_nothing):
            raise UserError(f"{text}: expected the name of a file or folder.")
        if text.startswith("+") and not {".", "/"} & {*name} and name not in _composed(program, _choices(program)):
            raise UserError(f"{text}: there is no option {name} ({program}.py --help shows all options).")


def _own_options(program: str) -> dict[str, Any]:
    """The options of a program's file, with those of the program that it builds on."""
    content: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(CONF / f"{program}.yaml"))  # type: ignore[assignment]
    bases = [each for each in content["defaults"] if isinstance(each, str) and each != "_self_"]
    return {name: each for base in bases for name, each in _own_options(base).items()} | content


def _unknown_option(error: Exception, program: str) -> str:
    """The message for an option that does not exist, with those that do."""
    several = re.search("Ambiguous value for argument '([^=]*)=(.*)'$", str(error), flags=re.MULTILINE)
    if several:
        name, values = several.groups()
        name = name.lstrip("+")
        default = OmegaConf.select(_composed(program, _choices(program)), name)
        is_list = name == "recipe" or isinstance(default, ListConfig) or is_within(name, ["space"])
        way = f"a list, {name}=[{values}]" if is_list else "one value"
        return f"{name}={values}: give {way}{'' if program == 'tune' else ', or -m for one run per value'}."
    if refused := re.search("Error merging override (.*)", str(error)):  # a value of another kind
        reason = str(error.__cause__).partition("\n")[0].rstrip(".")
        return f"{refused[1]}: this value cannot be taken ({reason})."
    match = re.search("Could not override '([^']*)'", str(error))
    if not match:
        return " ".join(str(error).split())
    key = match[1]
    given = next((text for text in sys.argv[1:] if option(text) == key), key)
    choices = _choices(program)
    config = _composed(program, choices)
    names = [name for name in dict(_options(OmegaConf.to_container(config))) if not name.startswith("search.")]
    elsewhere = [name for name in names if name.endswith(f".{key}")]
    if elsewhere and "." not in key:
        better = " or ".join(f"{name}={given.partition('=')[2]}" for name in elsewhere)
        return f"{given}: there is no option {key} at the top; use {better}."
    dataset = choices.get("dataset")
    if raw_log_exists(f"dataset={dataset}"):
        with_log = _composed(program, {**choices, "dataset": f"{dataset}_log"})
        if key in dict(_options(OmegaConf.to_container(with_log))):
            return published_sentence(given, f"{dataset}_log")
    if (
        key.startswith("dataset.")
        and "dataset" in choices
        and dataset != "clicks"
        and key in dict(_options(OmegaConf.to_container(_composed(program, {"dataset": "clicks"}))))
    ):
        return f"{given}: dataset={dataset} has no such option; for a log of your own add dataset=clicks."
    group = key
    while group and not isinstance(OmegaConf.select(config, group), DictConfig):
        key, group = group, group.rpartition(".")[0]
    options = OmegaConf.select(config, group) if group else config
    names = [str(name) for name in options if not str(name).startswith("_")]
    if not group:
        names += [name for name in choices if name not in names]  # groups without a choice
    return f"{given}: there is no option {key}; {group or 'the configuration'} has {', '.join(names)}."


def _choices(program: str) -> dict[str, str | None]:
    """The groups of a program, each with the choice on the command line if it is one of this project's, or the default.

    Of the choices of a sweep the first one counts.
    """
    groups = default_choices(program)
    for text in sys.argv[1:]:
        name, _, choice = text.partition("=")
        choice = choice.partition(",")[0]
        if name in groups and (CONF / name / f"{choice}.yaml").is_file():
            groups[name] = choice
    return groups


def default_choices(program: str) -> dict[str, str | None]:
    """The groups of a program and their default choices, with those of the program that its file builds on."""
    groups: dict[str, str | None] = {}
    for each in OmegaConf.to_container(OmegaConf.load(CONF / f"{program}.yaml"))["defaults"]:  # type: ignore[call-overload,index]
        groups |= each if isinstance(each, dict) else default_choices(each) if each != "_self_" else {}
    return {name: choice for name, choice in groups.items() if " " not in name}  # neither optional nor override


def _composed(program: str, choices: Mapping[str, str | None]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(program, [f"{name}={choice}" for name, choice in choices.items() if choice is not None])


def raw_log_exists(choice: str) -> bool:
    """Whether `dataset=NAME` is a published set beside which there is a raw log, `dataset=NAME_log`."""
    group, _, name = choice.partition("=")
    return group == "dataset" and (CONF / group / f"{name}_log.yaml").is_file()


def published_sentence(given: str, log: str) -> str:
    """The message for an option of a raw log that was given for its published set.

    Args:
        given: The option.
        log: The choice of the raw log, such as `diginetica_log`.
    """
    return (
        f"{given}: {log.removesuffix('_log')} is published as sessions, to which this cannot be applied; choose its "
        f"raw log with dataset={log} dataset.path=FILE."
    )
