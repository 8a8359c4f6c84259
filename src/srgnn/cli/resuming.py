"""What is continued by `resume=`: which run or sweep, with which arguments, and what of its options may change."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from srgnn.cli.arguments import SWEEP_FLAGS, is_swept, is_within, option, shown, value
from srgnn.cli.errors import RENAMED, default_choices, raw_log_exists
from srgnn.cli.launched import is_child
from srgnn.cli.runs import LAUNCHER, OVERRIDES, RESULT, STUDY, SWEEP, find_files, flat_options
from srgnn.errors import UserError, for_hydra
from srgnn.saving import LOCK, is_locked, restore_replaced

log = logging.getLogger(__name__)

# What a resumed run may change if it is given anew, and what never matters. The data itself is compared.
MAY_CHANGE = (
    "max_epochs",
    "patience",
    "trainer",
    "matmul_precision",
    "dataset.path",
    "dataset.test_path",
    "dataset.items.path",
    "dataset.items.vectors",
)
# Groups whose choice a resumed run keeps.
CHOICES = ("dataset", "model", "preset", "recipe", "experiment")
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


def resumed(arguments: list[str]) -> list[str]:
    """The arguments of a run, preceded by those of the run or sweep that `resume=` names, so that it resumes unchanged.

    Of a sweep, the runs that have not finished are continued or made.

    Raises:
        UserError: if there is no such run or sweep, or its options cannot be read.
    """
    given = {option(text): value(text) for text in arguments if "=" in text}
    checkpoint = given.get("resume")
    if not checkpoint or is_child():
        return arguments
    if checkpoint == "last":
        checkpoint = _last_unfinished(Path(given.get("paths.outputs", "outputs")))
    path = Path(str(checkpoint))
    if (path / OVERRIDES).is_file() and not (path / SWEEP).is_file():  # the folder of a run
        path /= "last.ckpt"
    if (path / SWEEP).is_file():
        others = [text for text in arguments if option(text) not in ("resume", *SWEEP_FLAGS)]
        stored = stored_options(path / SWEEP)
        swept = [option(text) for text in stored if is_swept(text)]
        for text in others:
            is_free = is_within(option(text), (*MAY_CHANGE, *NEVER_MATTERS, "launcher", "hydra", "hydra/launcher"))
            if not is_free or option(text) in swept or is_swept(text):
                raise UserError(f"{text}: a sweep continues with its own options; leave it out, or start a new sweep.")
        original = [text for text in stored if option(text) not in given]
        if any(name in given for name in LAUNCHER[:2]):  # its options go with it
            original = [text for text in original if not is_within(option(text), LAUNCHER)]
        folder = for_hydra(str(path))
        return ["-m", *original, *others, f"resume={folder}", f"hydra.sweep.dir={folder}"]
    if any(text in SWEEP_FLAGS for text in arguments):
        raise UserError(f"resume={path}: a run is continued alone; leave -m out.")
    if not is_locked(path.parent):
        restore_replaced(path.parent)
    if not path.exists() or not (path.parent / OVERRIDES).is_file():
        raise UserError(
            f"resume={path}: expected a checkpoint in the folder of its run, the folder of a run or a sweep, or last."
        )
    stored = _renamed(stored_options(path.parent / OVERRIDES))
    chosen = {name: f"{name}={choice}" for name, choice in default_choices("train").items() if choice is not None}
    chosen |= {option(text): text for text in stored}
    for text in arguments:  # the options of another choice would be refused for no fault of theirs
        name = option(text)
        if name in CHOICES and chosen.get(name, text) != text:
            raise UserError(
                f"{text}: the run was trained with {chosen[name]}, which cannot change; leave it out, or start a new "
                "run without resume=."
            )
    original = [text for text in stored if option(text) not in given]
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
    for old in find_files(outputs, "last.ckpt.old"):
        if not is_locked(old.parent):
            restore_replaced(old.parent)
    sweeps = [path.parent for path in find_files(outputs, SWEEP) if not (path.parent / RESULT).exists()]
    runs = [
        path
        for path in find_files(outputs, "last.ckpt")
        if not (path.parent / RESULT).exists()
        and not any((path.parent.parent / name).exists() for name in (SWEEP, STUDY))
    ]
    ages = {path: path.stat().st_mtime for path in runs}
    for path in sweeps:
        ages[path] = max(each.stat().st_mtime for each in find_files(path, SWEEP, RESULT, "last.ckpt"))
    stopped = [path for path in ages if not _is_live(path if path in sweeps else path.parent)]
    if live := len(ages) - len(stopped):
        log.warning("resume=last leaves out what is still going on in %s: %d", outputs, live)
    if not stopped:
        raise UserError(f"resume=last: there is no unfinished run in {outputs}.")
    return max(stopped, key=ages.__getitem__)


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
    return any(is_locked(path.parent) for path in find_files(folder, LOCK))


def _renamed(overrides: Iterable[str]) -> list[str]:
    """The options of an older run under their present names."""
    renamed = [RENAMED.get(text, text) for text in overrides]
    if any(option(text).startswith("dataset.") or text == "preset=reference" for text in renamed):
        renamed = [f"{text}_log" if raw_log_exists(text) else text for text in renamed]
    return renamed
