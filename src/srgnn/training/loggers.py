"""The CSV log of a run, which a resumed run continues."""

import csv
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from srgnn.saving import whole_file


class CSVLog(Logger):
    """Writes metrics to `logs/metrics.csv`: one row per call, with the stage of the training and its step.

    Lightning's own CSV logger would delete the rows of a run that is resumed.

    Args:
        save_dir: Folder of the run.
    """

    def __init__(self, save_dir: str | Path):
        super().__init__()
        self.path = Path(save_dir) / "logs" / "metrics.csv"
        self.stage = ""
        self.columns: list[str] = []  # of the file

    @property
    def name(self) -> None:
        """None: the folder names the run."""

    @property
    def version(self) -> None:
        """None: a run has one log."""

    @rank_zero_only
    def begin(self, stage: str, step: int = 0) -> None:
        """Begins or continues a stage at a step: rows of that stage from this step on are removed.

        Args:
            stage: `select`, `refit`, `paper` or `test`.
            step: Number of steps of the stage that are done.
        """
        self.stage = stage
        rows = self._rows()
        # Rows of older versions have no stage: they stay.
        self._write(row for row in rows if row.get("stage") != stage or int(row["step"]) < step)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"stage": self.stage, "step": step or 0, **metrics}
        if not {*row} <= {*self.columns}:
            self._write([*self._rows(), row])
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Writes nothing: the run's folder has its configuration."""

    def _rows(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            # A row that a kill cut short has no value in the last columns.
            return [row for row in csv.DictReader(file) if None not in row.values()]

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        self.columns = list(dict.fromkeys(name for row in rows for name in row))
        with whole_file(self.path, "the log", "folder") as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)


class BeginStage(Callback):
    """Tells the CSV log which stage begins, and at which step.

    Args:
        stage: `select`, `refit` or `paper`.
    """

    def __init__(self, stage: str):
        self.stage = stage

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, CSVLog):
                logger.begin(self.stage, trainer.global_step)
