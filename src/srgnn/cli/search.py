"""A hyper-parameter search as the configuration describes it: its space, its study, its lines, tables and files."""

import csv
import json
import logging
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf

from srgnn.cli.arguments import is_within, option, shown
from srgnn.cli.config import build, plain
from srgnn.cli.errors import with_options
from srgnn.cli.runs import STUDY
from srgnn.cli.search_options import FINISHED, OWN, check_joined, space_of
from srgnn.cli.tables import console, new_table, say
from srgnn.cli.training import build_logger, build_run
from srgnn.data import SessionData
from srgnn.errors import UserError, for_hydra, typed
from srgnn.saving import whole_file
from srgnn.search.space import Candidates, Value
from srgnn.search.study import SearchSettings, Study
from srgnn.search.training import keep_best, validation
from srgnn.search.trials import TrialRecord, best_trial
from srgnn.training.protocols import split_validation
from srgnn.training.run import Run
from srgnn.training.trainer import num_processes

log = logging.getLogger(__name__)

SHOWN = 10  # trials in the table


class ConfiguredSearch:
    """The search that a configuration describes, checked before any data is loaded.

    Args:
        config: The configuration.
        num_items: Number of items, if it is known already.

    Raises:
        UserError: for a wrong value, under the name of its option.
    """

    def __init__(self, config: DictConfig, num_items: int | None):
        if config.protocol == "paper":
            raise UserError("protocol=paper: a search never reads the test set; leave it out, and train the winner.")
        self.config = OmegaConf.masked_copy(config, [str(name) for name in config if name not in OWN])
        self.folder = Path(HydraConfig.get().runtime.output_dir)
        self.logger: Logger | None = None  # of the trial that is going on
        plain_run = self._build_run({}, self.folder)
        if not plain_run.model.has_weights:
            raise UserError(
                f"{plain_run.model_name} has no epochs to choose from: search the options of a model with weights."
            )
        self.space = space_of(config)
        self.run_of_first = self._check_space()
        self.run_of_first.check_cutoffs(num_items)
        if (processes := num_processes(self.run_of_first.trainer)) > 1:
            raise UserError(
                f"trainer.devices={processes}: a search trains every trial in one process; use trainer.devices=1, and "
                "start the command once more for each further process."
            )
        self.settings = SearchSettings(
            self.folder,
            self.space,
            config.trials,
            config.seed,
            config.startup_trials,
            build(config, "pruner"),
            config.storage,
        )
        self.kept = {**plain(self.config), "space": _plain_space(self.space), "pruner": plain(config)["pruner"]}
        self.kept["startup_trials"] = config.startup_trials

    def _check_space(self) -> Run:
        """Builds a run with every candidate to check; returns that of the first ones."""
        first = {name: candidates.ends[0] for name, candidates in self.space.items()}
        for name, candidates in self.space.items():
            for each in candidates.ends:
                self._build_run(first | {name: each}, self.folder)
        return self._build_run(first, self.folder)

    def _build_run(self, parameters: Mapping[str, Value], folder: Path) -> Run:
        config = self.config.copy()
        for name, each in parameters.items():
            OmegaConf.update(config, name, each)
        return build_run(config, folder)

    def _build_logger(self, folder: Path) -> Logger:
        config = self.config.copy()
        config.logger.save_dir = str(folder)
        self.logger = build_logger(config, folder)
        return self.logger

    @property
    def resume(self) -> str:
        """The command that continues the search."""
        return f"python src/tune.py resume={shlex.quote(os.path.relpath(self.folder))}"

    @property
    def can_resume(self) -> bool:
        """Whether the study has got so far that there is something to continue."""
        return (self.folder / STUDY).is_file()

    def open(self) -> None:
        """Makes the study, or joins it.

        Raises:
            UserError: if it was made with other options, or its storage cannot be opened.
        """
        self.study = Study(self.settings)
        if (kept := self.study.kept("config")) is not None:
            check_joined(self.kept, kept, HydraConfig.get().overrides.task)

    def run(self, data: SessionData) -> None:
        """Runs trials until the study has all of them.

        Raises:
            UserError: if the study was made with other data, or a file cannot be written.
            Interrupted, Stopped: after Ctrl-C or SIGTERM.
        """
        counts, task = data.counts, HydraConfig.get().overrides.task
        self.run_of_first.check_cutoffs(data.num_items)
        split_validation(self.run_of_first, data)  # it fails for every trial or for none
        check_joined(self.kept, self.study.keep("config", self.kept), task)
        before = self.study.keep("data", counts)
        differing = [f"{now:,} {name.replace('_', ' ')}" for name, now in counts.items() if now != before.get(name)]
        if differing:
            raise UserError(
                f"The data has {' and '.join(differing)} now, and had others when the study was made: make another "
                "study with study=NAME."
            )
        options = [*(text for text in task if option(text) != "study"), f"study={for_hydra(self.folder.name)}"]
        with whole_file(self.folder / STUDY, "the options", "folder") as temporary:
            OmegaConf.save(OmegaConf.create(options), temporary)
        done = sum(record.state not in ("running", "waiting") for record in self.study.records())
        say(
            f"{data.manifest['name']}: {counts['train_sessions']:,} training sessions, {counts['items']:,} items\n"
            f"Study {self.folder.name}: {done} of {self.settings.trials} trials are done. "
            f"Everything goes to {os.path.relpath(self.folder)}"
        )
        if done < self.settings.trials:
            (self.folder / FINISHED).unlink(missing_ok=True)
        objective = validation(data, self._build_run, self._build_logger)
        self.study.optimize(objective, self._after, self._sentence)

    def _sentence(self, error: UserError) -> str:
        return with_options(str(error), error.arguments, self.config, "")

    def _after(self, record: TrialRecord) -> None:
        if isinstance(self.logger, WandbLogger):
            self.logger.experiment.finish()
        records = self.study.records()
        keep_best(self.folder, records)
        best = best_trial(records)
        metric = self.run_of_first.monitor
        ends = {
            "complete": f"{metric} {100 * (record.value or 0):.2f} %",
            "pruned": f"pruned after epoch {max(record.epochs, default=0)} at {100 * (record.value or 0):.2f} %",
            "failed": f"failed: {record.error}",
        }
        parameters = " ".join(f"{short}={_text(record.parameters[name])}" for name, short in self._short.items())
        best_text = f"best {100 * (best.value or 0):.2f} % (trial {best.number})" if best else "no best yet"
        log.info(
            "Trial %*d of %d  %s  %s  %s  %.0f s",
            len(str(self.settings.trials)), record.number, self.settings.trials, ends[record.state],
            best_text, parameters, record.seconds or 0,
        )  # fmt: skip

    @cached_property
    def _short(self) -> dict[str, str]:
        """The names of the parameters as lines and tables show them: without their groups, where that is unique."""
        last = Counter(name.rpartition(".")[2] for name in self.space)
        return {name: name if last[short := name.rpartition(".")[2]] > 1 else short for name in self.space}

    def report(self) -> None:
        """Writes the tables and pictures, and prints the best trials and the command that trains the winner."""
        records = self.study.records()
        best = best_trial(records)
        states = Counter(record.state for record in records)
        self._write_trials(records)
        self._print_table(records)
        counts = ", ".join(f"{states[state]} {state}" for state in ("complete", "pruned", "failed") if states[state])
        say(f"{counts} of {self.settings.trials} trials; trials.csv has all of them.")
        if elsewhere := states["running"] + states["waiting"]:
            say(
                f"{elsewhere} still run in other processes, or were left by a host that has stopped: its own "
                f"{self.resume} continues those."
            )
        self._draw(records)
        if best is None:
            if not states["pruned"]:
                errors = Counter(record.error for record in records if record.error)
                why = f" Most often: {errors.most_common(1)[0][0]}" if errors else ""
                raise UserError(f"No trial has finished.{why}")
            say("No trial was trained to its end: take pruner=none, or a larger pruner.startup_trials.")
            return
        command = self.winner(best)
        if not elsewhere:
            content = {"trial": best.number, "value": best.value, "parameters": best.parameters, "command": command}
            with whole_file(self.folder / FINISHED, "the result", "folder") as temporary:
                temporary.write_text(json.dumps(content, indent=2) + "\n")
        checkpoint = self.folder / str(best.number) / "best.ckpt"
        if checkpoint.exists():
            say(f"Checkpoint of trial {best.number}: {os.path.relpath(checkpoint)}")
        say(f"\nTrain the winner on all training sessions, and test it:\n  {command}")

    def winner(self, best: TrialRecord) -> str:
        """The command that trains and tests with the parameters of a trial."""
        dropped = (*OWN, *self.space, "hydra", "refit", "trainer.enable_progress_bar")
        task = HydraConfig.get().overrides.task
        kept = [shlex.quote(text.lstrip("+")) for text in task if not is_within(option(text), dropped)]
        chosen = [f"{name}={_typed(best.parameters[name])}" for name in self.space]
        refit = [] if self._refits_by_default() else ["refit=true"]
        return " ".join(["python src/train.py", *kept, *chosen, *refit])

    def _refits_by_default(self) -> bool:
        return bool(self.config.refit) and not any(option(t) == "refit" for t in HydraConfig.get().overrides.task)

    def _print_table(self, records: Sequence[TrialRecord]) -> None:
        metric = self.run_of_first.monitor
        complete = [record for record in records if record.state == "complete"]
        complete.sort(key=lambda record: (-(record.value or 0), record.number))
        title = f"The best trials of {os.path.relpath(self.folder)} on validation"
        table = new_table(title, "trial", f"{metric}, %", "epochs", "s", *self._short.values())
        for record in complete[:SHOWN]:
            table.add_row(
                str(record.number),
                f"{100 * (record.value or 0):.2f}",
                str(len(record.epochs)),
                f"{record.seconds or 0:,.0f}",
                *(_text(record.parameters[name]) for name in self._short),
                style="bold" if record is complete[0] else None,
            )
        if complete:
            console.print(table)

    def _write_trials(self, records: Sequence[TrialRecord]) -> None:
        head = ["trial", "state", self.run_of_first.monitor, "epochs", "seconds", *self.space, "error"]
        with (
            whole_file(self.folder / "trials.csv", "the table of trials", "folder") as temporary,
            temporary.open("w", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(head)
            for each in records:
                parameters = [each.parameters.get(name) for name in self.space]
                row = [each.number, each.state, each.value, len(each.epochs), each.seconds, *parameters, each.error]
                writer.writerow(row)

    def _draw(self, records: Sequence[TrialRecord]) -> None:
        try:
            from srgnn.figures import save
            from srgnn.search.draw import draw_history, draw_importances
        except ModuleNotFoundError as error:
            if error.name != "matplotlib":
                raise
            say("The pictures need matplotlib: pip install 'srgnn[tune]'.")
            return
        save(draw_history(records, f"{self.run_of_first.monitor} on validation"), self.folder / "history")
        importances = {self._short[name]: share for name, share in self.study.importances().items()}
        save(draw_importances(importances), self.folder / "importance")


def _plain_space(space: Mapping[str, Candidates]) -> dict[str, Any]:
    return {name: {**vars(each)} for name, each in space.items()}


def _text(each: Value) -> str:
    """A value as lines and tables show it."""
    return f"{each:.3g}" if isinstance(each, float) else shown(each)


def _typed(each: Value) -> str:
    """A value as it is typed on the command line, with all of its digits."""
    return typed(each) if isinstance(each, str) else shown(each)
