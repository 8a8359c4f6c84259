"""A training run and its logger, as the configuration describes them."""

import os
import secrets
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig

from srgnn.cli.arguments import session_option
from srgnn.cli.config import build, is_sweep, plain
from srgnn.cli.errors import options_of
from srgnn.cli.sweeps import is_job
from srgnn.cli.tables import say
from srgnn.data import SessionData
from srgnn.errors import UserError, check_choice
from srgnn.training.protocols import Result
from srgnn.training.run import Run
from srgnn.training.trainer import build_trainer, check_trainer, num_processes

WANDB_ID = "wandb-id.txt"
PRECISIONS = ("highest", "high", "medium")  # of torch.set_float32_matmul_precision


def build_run(config: DictConfig, folder: Path) -> Run:
    """Builds the training run that a configuration describes, and checks it before any data is loaded.

    Raises:
        UserError: for a wrong value, under the name of its option.
    """
    values = plain(config)
    values["k"] = [values["k"]] if isinstance(values["k"], int) else values["k"]
    if not isinstance(values["trainer"], dict):
        raise UserError(f"trainer={values['trainer']}: expected options such as trainer.devices=1.")
    check_choice("matmul_precision", values["matmul_precision"], PRECISIONS)
    torch.set_float32_matmul_precision(values["matmul_precision"])
    _check_trainer(config, values["trainer"], folder)
    arguments = {field.name: values[field.name] for field in fields(Run) if field.name in values}
    if is_job():
        arguments["trainer"] = {**values["trainer"], "enable_progress_bar": False}  # bars of several runs would overlap
    built = {name: build(config, name) for name in ("model", "optimizer", "sampling")}
    with options_of(config):
        return Run(folder=folder, **arguments | built, config=values)


def _check_trainer(config: DictConfig, values: dict[str, Any], folder: Path) -> None:
    choice = HydraConfig.get().runtime.choices["trainer"]
    try:
        with options_of(config, "trainer"):
            check_trainer(values)
        build_trainer(values, [], 1, None, folder)  # before a resumed run keeps them
    except UserError as error:
        if choice == "cpu" or not {"trainer.accelerator", "trainer.devices"} & {*error.arguments}:
            raise
        reason = str(error).rstrip(".")
        raise UserError(
            f"trainer={choice} is not available here ({reason}): use trainer=cpu or fix trainer.*."
        ) from error
    if is_sweep() and (count := num_processes(values)) > 1:
        raise UserError(f"trainer.devices={count}: a sweep trains every run in one process; use 1.")


def build_logger(config: DictConfig, folder: Path) -> Logger:
    """Builds the chosen logger and logs the configuration. wandb never asks for a key: without one it works offline.

    Args:
        config: The configuration.
        folder: Folder of the run, which keeps the id of its wandb run for when it resumes.
    """
    if HydraConfig.get().runtime.choices["logger"] == "wandb":
        import wandb

        config.logger.mode = os.environ.get("WANDB_MODE", config.logger.mode)
        if config.logger.mode == "online" and not wandb.login(prompt=False):
            say("wandb: no key is set, so the run is kept offline; send it later with wandb sync.")
            config.logger.mode = "offline"
        path = folder / WANDB_ID
        config.logger.id = config.logger.id or (path.read_text() if path.is_file() else secrets.token_hex(4))
        path.write_text(config.logger.id)
    logger: Logger = build(config, "logger")
    logger.log_hyperparams(plain(config))
    return logger


def log_results(logger: Logger, table: dict[str, dict[str, float]], checkpoint: Path) -> None:
    """Hands the final table and the checkpoint's path to a logger that stores them (wandb)."""
    if isinstance(logger, WandbLogger):
        names = list(next(iter(table.values())))
        rows = [[model, *(values[name] for name in names)] for model, values in table.items()]
        logger.log_table("results", columns=["model", *names], data=rows)
        logger.experiment.summary["checkpoint"] = str(checkpoint)
        logger.experiment.finish()


def explain(run: Run, result: Result) -> str:
    """Explains in a sentence how the figures of a run were obtained."""
    if result.epochs is not None:
        best = {name: epoch for name, epoch in result.epochs.items() if name.endswith(f"@{max(run.k)}")}
        epochs = ", ".join(f"{name} of epoch {epoch}" for name, epoch in best.items())
        return (
            f"Each figure of {run.model_name} is its best over the epochs ({epochs}): selection on test, as in the "
            "papers."
        )
    assert result.chosen is not None
    again = "; the model was then retrained on all training sessions" if run.refit else ""
    return (
        f"Epoch {result.chosen['epoch']} was chosen on the latest training sessions ({run.monitor} "
        f"{100 * result.chosen[run.monitor]:.2f} % there){again}. The test set was read once."
    )


def next_commands(data: SessionData, checkpoint: Path) -> str:
    """The commands to try after a run."""
    path = os.path.relpath(checkpoint)
    session = session_option([data.vocabulary.ids[i] for i in data.test[-1][:3].tolist()])
    k = f" k={data.num_items}" if data.num_items < 10 else ""  # 10 is the default
    return (
        f"Checkpoint: {path}\n\nNext:\n"
        f"  python src/recommend.py checkpoint=last {session}{k}\n"
        f"  python src/evaluate.py checkpoint={shlex.quote(path)}\n"
        "  python src/train.py dataset=diginetica\n"
        "  python src/train.py -m model.propagation_steps=0,1,2"
    )
