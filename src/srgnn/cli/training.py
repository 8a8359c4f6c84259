"""A run of training: built as the configuration describes it, trained, and compared with the baselines."""

import logging
import os
import secrets
import shlex
import sys
import time
import warnings
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
import torch_geometric.typing
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig

from srgnn.cli.arguments import is_within, option, session_option
from srgnn.cli.config import build, build_data_set, is_sweep, load, plain
from srgnn.cli.errors import options_of, sentence_of, visible
from srgnn.cli.launched import check_count, is_main_process
from srgnn.cli.resuming import check_resumed
from srgnn.cli.runs import (
    TARGET_CLICKS,
    check_row,
    check_unused,
    lock_run,
    read_result,
    write_overrides,
    write_ranks,
    write_result,
)
from srgnn.cli.sweeps import is_job, is_stopping, stop
from srgnn.cli.tables import print_results, say
from srgnn.comparison.baselines import affordable, measure_baselines
from srgnn.contracts import DataSet
from srgnn.data import SessionData
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import LostProcess, UserError, check_choice
from srgnn.evaluation import rank_table
from srgnn.memory import forget_peak, keep_freed_memory, peak_memory
from srgnn.saving import is_full, restore_replaced
from srgnn.training.callbacks import Interrupted
from srgnn.training.checkpoint import load_record
from srgnn.training.protocols import Result, check_data, train
from srgnn.training.run import Run
from srgnn.training.trainer import build_trainer, check_trainer, evaluation_device, num_processes

WANDB_ID = "wandb-id.txt"
PRECISIONS = ("highest", "high", "medium")  # of torch.set_float32_matmul_precision


def train_and_compare(config: DictConfig) -> None:
    """Trains a model and compares it with simple baselines, which leaves everything in the folder of the run."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    keep_freed_memory()
    forget_peak()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Hides advice, such as adding DataLoader workers, which whole batches do not need, and Lightning's deprecations.
    warnings.filterwarnings("ignore", module=r"lightning\.")
    if is_sweep() and (is_stopping() or "metrics" in (read_result(folder) or {})):
        return  # the sweep is stopped, or it is continued and this run has finished
    was_begun = any((folder / name).exists() for name in ("last.ckpt", "last.ckpt.old"))  # the sweep is continued
    is_ours = False
    try:
        if not is_sweep():
            check_row(HydraConfig.get())
        if is_main_process():
            lock_run(folder)
            restore_replaced(folder)
            if not is_sweep() and not config.resume:
                check_unused(folder)
        is_ours = True
        run, data_set = build_run(config, folder), build_data_set(config)
        run.check_cutoffs(data_set.num_items)
        with options_of(config):
            _train(config, run, data_set)
    except Interrupted as interruption:
        say(str(interruption))
        if not is_sweep():
            say(resume_command(interruption.checkpoint))
        stop()
    except LostProcess as lost:
        if not (folder / "last.ckpt").exists():
            raise
        raise LostProcess(f"{lost}\n{resume_command(folder / 'last.ckpt')}") from lost
    except KeyboardInterrupt:
        if not is_job():
            raise
        stop()
    except Exception as error:
        sentence = sentence_of(error, "train")
        if not is_sweep() or sentence is None:
            raise
        # The other runs of a sweep continue; the sweep's table says why this one failed.
        print(f"Error: {visible(sentence)}", file=sys.stderr)
        # What has been trained stays unfinished, and so does a run that a full disk ended: `resume=` continues them.
        if is_ours and not was_begun and not is_full(error):
            write_result(folder, {"error": sentence})


def _train(config: DictConfig, run: Run, data_set: DataSet) -> None:
    started = time.perf_counter()
    if is_sweep():  # continued, if there is a checkpoint
        resume = run.folder / "last.ckpt" if (run.folder / "last.ckpt").exists() else None
    else:
        resume = Path(config.resume) if config.resume else None
    trained = load_record(resume) if resume is not None and is_main_process() else None
    if trained is not None:
        check_resumed(run.config, trained.config, HydraConfig.get().overrides.task)
    logger = build_logger(config, run.folder)
    data = load(config, data_set)
    if trained is not None and resume is not None and not is_sweep():
        check_data(trained, resume, data)
        write_overrides(run.folder)  # from now on, the run has these options
    name, counts = data.manifest["name"], data.counts
    scatter = "torch-scatter" if torch_geometric.typing.WITH_TORCH_SCATTER else "torch"
    say(
        f"{name}: {counts['train_sessions']:,} training sessions, {counts['train_prefixes']:,} prefixes, "
        f"{counts['test_prefixes']:,} test prefixes, {counts['items']:,} items\n"
        f"Results of this run: {os.path.relpath(run.folder)} (segments are reduced by {scatter})"
    )
    result = train(run, data, logger, resume)
    if not is_main_process() or result.test is None:  # another process, or another machine
        return
    seconds, memory = time.perf_counter() - started, peak_memory()  # without the other rows of the table
    others = [name for name in affordable(data) if name != run.model_name]
    tests = {run.model_name: result.test, **measure_baselines(data, run.k, others)}
    table = {name: test.metrics for name, test in tests.items()} | {run.model_name: result.metrics}
    prefixes = SessionGraphs(data.test, data.num_items)
    clicks = pl.Series(TARGET_CLICKS, data.train_clicks[prefixes.targets].int().numpy())
    write_ranks(run.folder, rank_table(prefixes, {n: t.ranks for n, t in tests.items()}).with_columns(clicks))
    write_result(
        run.folder,
        {
            "dataset": name,
            "protocol": run.protocol,
            "data": data.counts,
            "config": dict(run.config),
            "metrics": table,
            "by_length": {name: test.by_length for name, test in tests.items()},
            "by_clicks": {name: test.by_clicks for name, test in tests.items()},
            "checkpoint": result.checkpoint.name,
            "seconds": round(seconds, 1),  # of the last part, if the run was resumed
            "resumed": resume is not None,
            "peak_memory_gb": round(memory, 2),
            **({"epochs": result.epochs} if result.epochs else {"chosen": result.chosen}),
        },
    )
    title = f"{name}, protocol={run.protocol}, {seconds:,.0f} s, {memory:.1f} GB of memory"
    print_results(title, table, run.k)
    say(explain(run, result))
    log_results(logger, table, result.checkpoint)
    if not is_sweep():
        say(next_commands(data, result.checkpoint))


def resume_command(checkpoint: Path) -> str:
    """The command that continues a run from its last checkpoint."""
    return f"Resume with:\n  python src/train.py resume={shlex.quote(os.path.relpath(checkpoint))}"


def build_run(config: DictConfig, folder: Path) -> Run:
    """Builds the training run that a configuration describes, and checks it before any data is loaded.

    Raises:
        UserError: for a wrong value, under the name of its option.
    """
    values = plain(config)
    values["k"] = [values["k"]] if isinstance(values["k"], int) else values["k"]
    trainer = checked_trainer(config)
    check_count(num_processes(trainer), int(trainer.get("num_nodes", 1)))
    with options_of(config, "trainer"):
        build_trainer(trainer, [], 1, None, folder)  # Lightning's own checks, before a resumed run keeps the options
    check_choice("matmul_precision", values["matmul_precision"], PRECISIONS)
    if values["matmul_precision"] != "highest" and evaluation_device(trainer).type == "cpu":
        raise UserError(
            f"matmul_precision={values['matmul_precision']}: this is for GPUs; on a CPU trainer.precision=bf16-mixed "
            "multiplies in 16 bits."
        )
    torch.set_float32_matmul_precision(values["matmul_precision"])
    arguments = {field.name: values[field.name] for field in fields(Run) if field.name in values}
    arguments["trainer"] = {**trainer, "enable_progress_bar": False} if is_job() else trainer  # bars would overlap
    built = {name: build(config, name) for name in ("model", "optimizer", "sampling")}
    with options_of(config):
        return Run(folder=folder, **arguments | built, config=values)


def checked_trainer(config: DictConfig) -> dict[str, Any]:
    """The arguments of Lightning's `Trainer`, checked against this machine.

    Raises:
        UserError: for an argument that it does not have, or that cannot work here, under the name of its option.
    """
    values = plain(config)["trainer"]
    if not isinstance(values, dict):
        raise UserError(f"trainer={values}: expected options such as trainer.devices=1.")
    choice = HydraConfig.get().runtime.choices["trainer"]
    try:
        with options_of(config, "trainer"):
            if isinstance(values.get("strategy"), dict):  # one with arguments
                values["strategy"] = partial(build, config, "trainer.strategy")
                values["strategy"]()
            check_trainer(values)
    except UserError as error:
        if choice == "cpu" or not {"trainer.accelerator", "trainer.devices"} & {*error.arguments}:
            raise
        reason = str(error).rstrip(".")
        remedy = "use trainer=cpu or fix trainer.*."
        if "trainer.accelerator" in error.arguments:
            remedy = "use trainer=cpu, or install a build of torch for your GPU (docs/install.md)."
        raise UserError(f"trainer={choice} is not available here ({reason}): {remedy}") from error
    if is_sweep() and (count := num_processes(values)) > 1:
        raise UserError(f"trainer.devices={count}: a sweep trains every run in one process; use 1.")
    return values


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
    if result.chosen is None:
        return f"{run.model_name} counted all training sessions; it has no epochs. The test set was read once."
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
    given = [
        shlex.quote(text)
        for text in HydraConfig.get().overrides.task
        if is_within(option(text), ("dataset", "engine", "preset", "paths"))
    ]
    real = "" if given else "  python src/train.py dataset=diginetica\n"
    return (
        f"Checkpoint: {path}\n\nNext:\n"
        f"  python src/recommend.py checkpoint={shlex.quote(path)} {session}{k}\n"
        f"  python src/evaluate.py checkpoint={shlex.quote(path)}\n"
        f"{real}"
        f"  {' '.join(['python src/train.py -m', *given, 'model=srgnn,gru4rec,vsknn'])}"
    )
