"""Comparisons of finished runs: their folders on the command line, and the rows that they make."""

import glob
import json
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import torch

from srgnn.cli.arguments import is_within, option, value
from srgnn.cli.runs import OVERRIDES, RANKS, RESULT, TARGET_CLICKS, flat_options, read_result
from srgnn.comparison.rows import Comparison, Row, Test
from srgnn.errors import UserError, for_hydra
from srgnn.metrics import rank_metrics

log = logging.getLogger(__name__)

# Options that do not make a run another one: its seed, what it shows, where it runs, and places.
SAME = (
    *("seed", "k", "trainer", "matmul_precision", "paths", "logger", "engine", "launcher", "hydra", "resume"),
    *(f"dataset.{name}" for name in ("path", "test_path", "items.path", "cache", "data", "engine", "strict")),
)
# But these arguments of the Trainer do: they change what is trained or chosen.
TRAINING = (
    *("trainer.precision", "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm"),
    *("trainer.accumulate_grad_batches", "trainer.limit_train_batches", "trainer.limit_val_batches"),
    "trainer.overfit_batches",
)
PLACE = ("session", "clicks", "target")  # of a prefix, in the table of ranks
FAR = 2**15 - 1  # ranks beyond this are cut to it: the table takes half of the memory
LARGEST = FAR - 1  # cut-off
# Flags of Hydra whose value is the next argument.
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, as its folder describes it.

    Args:
        folder: The folder.
        result: The content of `result.json`.
        ranks: The ranks of all test targets, where known with their training clicks; None in the folders of older
            versions.
    """

    folder: Path
    result: dict[str, Any]
    ranks: pl.DataFrame | None

    @property
    def model(self) -> str:
        """The name of the trained model, the first row of the run's table."""
        return str(next(iter(self.result["metrics"])))

    @property
    def config(self) -> dict[str, str]:
        """The options that make its row, with all defaults; those typed, in the folders of older versions."""
        flat = flat_options(self.result.get("config", {}))
        known = {name: _shown(each) for name, each in flat.items() if _makes_row(name)}
        return known or self.options

    @property
    def options(self) -> dict[str, str]:
        """The options that were typed and that make its row."""
        given = {option(text): _shown(value(text)) for text in self.result.get("overrides", ())}
        return {name: text for name, text in given.items() if _makes_row(name)}

    @property
    def seed(self) -> int:
        values = [value(text) for text in self.result.get("overrides", ()) if option(text) == "seed"]
        return int(values[-1]) if values else 0

    def test(self, model: str, cutoffs: Sequence[int]) -> Test:
        """The test of the trained model or of a baseline, with the metrics at cut-offs that the run did not measure."""
        ranks = None if self.ranks is None else self.ranks[model].clip(upper_bound=FAR).cast(pl.Int16).to_numpy()
        metrics = self.result["metrics"][model]
        if ranks is not None and (model != self.model or self.result.get("protocol") != "paper"):
            metrics = rank_metrics(torch.tensor(ranks), cutoffs) | metrics
        by_length, by_clicks = (self.result.get(name, {}).get(model, {}) for name in ("by_length", "by_clicks"))
        measured = Test(metrics, by_length, ranks, by_clicks=by_clicks)
        if model != self.model:
            return measured
        return replace(
            measured,
            seed=self.seed,
            folder=self.folder,
            seconds=self.result.get("seconds"),
            memory=self.result.get("peak_memory_gb"),
            resumed=bool(self.result.get("resumed")),
        )


def _makes_row(name: str) -> bool:
    """Whether runs with other values of an option are other rows."""
    return name in TRAINING or not is_within(name, SAME)


def _shown(given: Any) -> str:
    """The value of an option as it is typed: equal values have the same text."""
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    return f"{given:g}" if isinstance(given, float) else str(given)


def runs_option(arguments: Sequence[str]) -> list[str]:
    """The arguments with all paths among them in one option, `runs=[...]`."""
    is_path = [
        not text.startswith("-")
        and before not in WITH_VALUE
        and ("=" not in text or "/" in text.partition("=")[0] or os.path.exists(text))
        for before, text in zip(["", *arguments], arguments, strict=False)
    ]
    paths = [text for text, each in zip(arguments, is_path, strict=True) if each]
    others = [text for text, each in zip(arguments, is_path, strict=True) if not each]
    return [*others, f"runs=[{','.join(map(for_hydra, paths))}]"] if paths else others


def find_runs(paths: Sequence[str]) -> list[FinishedRun]:
    """The finished runs in folders; what has not finished, or has failed, is left out with a warning.

    Args:
        paths: Folders of runs or sweeps, folders above them, or patterns.

    Raises:
        UserError: if a path does not exist, or there is no finished run in any of them.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        found = sorted(glob.glob(os.path.expanduser(path))) if not os.path.exists(path) else [path]
        if not found:
            raise UserError(f"There is no folder {path}: name the folders of runs or sweeps.")
        for each in map(Path, found):
            if each.is_file() and each.name != RESULT and each.suffix != ".ckpt":
                if len(paths) == len(found) == 1:
                    raise UserError(f"{each} is a file: name folders of runs or sweeps.")
                continue  # one of those beside the folders that a pattern finds
            each = each if each.is_dir() else each.parent
            below = [*each.rglob(str(OVERRIDES)), *each.rglob(RESULT)]
            started = {file.parent.parent if file.name == OVERRIDES.name else file.parent for file in below}
            folders |= dict.fromkeys(sorted(started, key=_natural))
    runs, unfinished, failed = [], [], []
    for folder in folders:
        result = read_result(folder)
        if result is None:
            if not (folder / RESULT).is_file():  # a damaged one has its own warning
                unfinished.append(folder)
        elif "error" in result:
            failed.append(folder)
        elif isinstance(result.get("metrics"), dict):  # not the result of a whole sweep
            runs.append(FinishedRun(folder, result, _read_ranks(folder, list(result["metrics"]))))
    for what, left_out in (("have not finished", unfinished), ("have failed", failed)):
        if left_out:
            names = ", ".join(map(str, left_out[:3])) + (", ..." if len(left_out) > 3 else "")
            log.warning("Warning: runs that %s are left out: %d (%s)", what, len(left_out), names)
    if not runs:
        raise UserError(
            f"There is no finished run in {', '.join(paths)}: train one with python src/train.py, or continue a "
            "stopped one with python src/train.py resume=last."
        )
    return runs


def _natural(folder: Path) -> list[tuple[int, str]]:
    """A key that sorts the run 10 of a sweep after the run 9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in folder.parts]


def _read_ranks(folder: Path, models: Sequence[str]) -> pl.DataFrame | None:
    path = folder / RANKS
    if not path.is_file():
        return None
    try:
        known = [TARGET_CLICKS] if TARGET_CLICKS in pl.read_parquet_schema(path) else []  # not in older versions
        return pl.read_parquet(path, columns=[*PLACE, *models, *known])
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("Warning: %s is damaged, and is left out (%s)", path, str(error).partition("\n")[0])
        return None


def compared_rows(runs: Sequence[FinishedRun], cutoffs: Sequence[int]) -> list[Comparison]:
    """Sorts runs into comparisons: one for each data set, protocol, and set of test prefixes.

    Runs that differ only in their seed are one row. The baselines are rows at the end.
    """
    groups: dict[tuple[str, str, str, bytes], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        prefixes = b"" if run.ranks is None else sha256(run.ranks.select(PLACE).hash_rows().to_numpy().data).digest()
        counts = json.dumps(run.result.get("data"))  # other training sessions make another table, too
        groups[run.result.get("dataset", ""), run.result.get("protocol", ""), counts, prefixes].append(run)
    comparisons = []
    for (data_set, protocol, _, _), members in groups.items():
        same_title = [key for key in groups if key[:2] == (data_set, protocol)]
        title = f"{data_set}, protocol={protocol}"
        first = members[0]
        if len(same_title) > 1:
            title += ", without ranks" if first.ranks is None else f", {len(first.ranks):,} test prefixes"
            if len({key[2] for key in same_title}) > 1 and first.result.get("data"):
                title += f", {first.result['data']['train_sessions']:,} training sessions"
        session = None if first.ranks is None else first.ranks["session"].to_numpy()
        tables = [run.ranks for run in members if run.ranks is not None and TARGET_CLICKS in run.ranks]
        clicks = tables[0][TARGET_CLICKS].to_numpy() if tables else None
        rows, notes = _rows(members, cutoffs)
        notes += _notes(protocol, members)
        comparisons.append(Comparison(title, rows, cutoffs, session, clicks, protocol, data_set, notes=notes))
    return comparisons


def _rows(runs: Sequence[FinishedRun], cutoffs: Sequence[int]) -> tuple[list[Row], list[str]]:
    settings: dict[tuple[Any, ...], dict[int, FinishedRun]] = {}
    notes = []
    for run in runs:
        same = settings.setdefault((run.model, *sorted(run.config.items())), {})
        if run.seed in same:
            notes.append(f"{run.folder} repeats {same[run.seed].folder} and is left out.")
        same.setdefault(run.seed, run)
    members = [list(each.values()) for each in settings.values()]
    names = _names([each[0] for each in members])
    rows = [
        Row(name, [run.test(run.model, cutoffs) for run in each]) for name, each in zip(names, members, strict=True)
    ]
    first = runs[0]
    baselines = [name for name in first.result["metrics"] if name != first.model]
    return [*rows, *(Row(name, [first.test(name, cutoffs)], is_baseline=True) for name in baselines)], notes


def _names(runs: Sequence[FinishedRun]) -> list[str]:
    """A name for each run: its model, and the typed options in which it differs from others.

    Where two runs would have one name, the options in which their configurations differ are part of it, too.
    """
    configs = [run.config for run in runs]
    differing = {name for each in configs for name in each if len({other.get(name) for other in configs}) > 1}
    options = [run.options for run in runs]
    names = dict.fromkeys(name for each in options for name in each)
    different = [name for name in names if len({each.get(name) for each in options}) > 1]
    different = [name for name in different if name in differing or not any(name in each for each in configs)]
    seen = [(run.model, *(each.get(name) for name in different)) for run, each in zip(runs, options, strict=True)]
    if len(set(seen)) < len(seen):
        options, different = configs, sorted(differing)
    last = [name.rpartition(".")[2] for name in different]
    short = {name: end if last.count(end) == 1 else name for name, end in zip(different, last, strict=True)}
    return [
        " ".join([run.model, *(f"{short[name]}={each[name]}" for name in different if name in each)])
        for run, each in zip(runs, options, strict=True)
    ]


def _notes(protocol: str, runs: Sequence[FinishedRun]) -> list[str]:
    notes = []
    if protocol == "paper":
        notes.append(
            "protocol=paper selects on the test set: recall, mrr and ndcg are each the best over the epochs; all other "
            "figures, intervals and differences are those of the epoch with the best mrr."
        )
    if any(run.ranks is None for run in runs):
        notes.append(
            "Runs without ranks.parquet, of an older version or damaged, have no intervals and are not compared."
        )
    if any(run.result.get("resumed") for run in runs):
        notes.append("+ after seconds: the run was resumed, and the seconds are those of its last part.")
    return notes


def reference_of(comparison: Comparison, against: str | None) -> str | None:
    """The name of the row that `against=` stands for: a row's name, or the folder of one of its runs."""
    if against is None:
        return None
    for row in comparison.rows:
        folders = [test.folder for test in row.tests if test.folder is not None]
        is_run = os.path.isdir(against) and any(os.path.samefile(against, folder) for folder in folders)
        if row.name == against or is_run:
            return row.name
    return None
