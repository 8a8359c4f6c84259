"""Run folders: the result of a run, the newest finished run, and the arguments of a resumed run."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from srgnn.cli.errors import RENAMED, raw_log_exists
from srgnn.errors import UserError
from srgnn.saving import whole_file

RESULT = "result.json"


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes `result.json`, with the options that the run was started with."""
    content = {**result, "overrides": list(HydraConfig.get().overrides.task)}
    with whole_file(folder / RESULT, "the result", "folder") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def read_result(folder: Path) -> dict[str, Any] | None:
    """Reads what :func:`write_result` wrote; None if the run has not finished."""
    path = folder / RESULT
    return json.loads(path.read_text()) if path.is_file() else None


def finished_run(checkpoint: str, outputs: str) -> Path:
    """The path of a checkpoint; `last` means that of the newest finished run.

    Raises:
        UserError: if there is none.
    """
    if checkpoint != "last":
        return Path(str(checkpoint))
    results = sorted(Path(outputs).rglob(RESULT), key=lambda path: path.stat().st_mtime)
    for result in reversed(results):
        saved = json.loads(result.read_text())
        if "checkpoint" in saved:
            return result.parent / str(saved["checkpoint"])
    raise UserError(f"There is no finished run in {outputs}: train one with python src/train.py.")


def resumed(arguments: list[str]) -> list[str]:
    """The arguments of a run, preceded by those of the run that `resume=` names, so that it resumes unchanged.

    Raises:
        UserError: if there is no such run.
    """
    given = {_option(text): text.partition("=")[2] for text in arguments}
    checkpoint = given.get("resume", "null")
    if checkpoint in ("null", "") or "LOCAL_RANK" in os.environ:
        return arguments
    if checkpoint == "last":
        outputs = Path(given.get("paths.outputs", "outputs"))
        unfinished = [path for path in outputs.rglob("last.ckpt") if not (path.parent / RESULT).exists()]
        if not unfinished:
            raise UserError(f"resume=last: there is no unfinished run in {outputs}.")
        checkpoint = str(max(unfinished, key=lambda path: path.stat().st_mtime))
    overrides = Path(checkpoint).parent / ".hydra" / "overrides.yaml"
    if not Path(checkpoint).is_file() or not overrides.is_file():
        raise UserError(f"resume={checkpoint}: expected a checkpoint in the folder of its run, or last.")
    original = [text for text in _renamed(map(str, OmegaConf.load(overrides))) if _option(text) not in given]
    others = [text for text in arguments if not text.startswith("resume=")]
    return [*original, *others, f"resume='{checkpoint}'", f"hydra.run.dir='{Path(checkpoint).parent}'"]


def _option(override: str) -> str:
    """The name of the option that an argument of the command line sets."""
    return override.lstrip("+~").partition("=")[0]


def _renamed(overrides: Iterable[str]) -> list[str]:
    """The options of an older run under their present names."""
    renamed = [RENAMED.get(text, text) for text in overrides]
    if any(_option(text).startswith("dataset.") or text == "preset=reference" for text in renamed):
        renamed = [f"{text}_log" if raw_log_exists(text) else text for text in renamed]
    return renamed
