"""Trains SR-GNN and compares it with simple baselines: `python src/train.py dataset=diginetica`."""

import json
import logging
import os
import sys
import time
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
import torch
import torch_geometric.typing
from hydra.core.hydra_config import HydraConfig
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import door
from srgnn.data import SessionData
from srgnn.errors import UserError, check_choice
from srgnn.protocols import Interrupted, Run, compare

PRECISIONS = ["highest", "high", "medium"]
console = Console(soft_wrap=True, highlight=False)


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(config: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    door.keep_freed_memory()
    with door.one_sentence():
        run, dataset = prepare(config, folder)
        try:
            train(config, run, dataset)
        except UserError as error:
            if not door.is_sweep():
                raise
            # The other runs of a sweep go on; its table says what became of this one.
            write_result(folder, {"error": str(error)})
            print(f"Error: {error}", file=sys.stderr)
        except Interrupted as stop:
            say(f"{stop} Go on with:\n  python src/train.py resume={os.path.relpath(stop.checkpoint)}")
            sys.exit(130)  # what shells expect after Ctrl-C


def train(config: DictConfig, run: Run, dataset: Any) -> None:
    started = time.perf_counter()
    logger = build_logger(config)
    data = door.load(dataset)
    say(describe(run, data))
    result = run.start(data, logger, Path(config.resume) if config.resume else None)
    if not door.is_main_process():
        return
    table = {"SR-GNN": result["metrics"], **compare({}, data, run.k)}
    seconds, memory = time.perf_counter() - started, door.peak_memory()
    checkpoint = Path(result["checkpoint"])
    write_result(
        run.folder,
        {
            "dataset": data.manifest["name"],
            "protocol": run.protocol,
            "metrics": table,
            "checkpoint": checkpoint.name,
            "seconds": round(seconds, 1),
            "peak_memory_gb": round(memory, 2),
            **{key: result[key] for key in ("chosen", "epochs") if key in result},
        },
    )
    title = f"{data.manifest['name']}, protocol={run.protocol}, {seconds:,.0f} s, {memory:.1f} GB of memory"
    door.print_results(title, table, run.k)
    say(explain(run, result))
    report(logger, table, checkpoint)
    if not door.is_sweep():
        say(next_commands(data, checkpoint))


def next_commands(data: SessionData, checkpoint: Path) -> str:
    path = os.path.relpath(checkpoint)
    example = ",".join(str(data.vocabulary.ids[i]) for i in data.test[-1][:3].tolist())
    return (
        f"Checkpoint: {path}\n\nNext:\n"
        f"  python src/recommend.py checkpoint=last session={example}\n"
        f"  python src/evaluate.py checkpoint={path}\n"
        "  python src/train.py dataset=diginetica\n"
        "  python src/train.py -m model.propagation_steps=0,1,2"
    )


def prepare(config: DictConfig, folder: Path) -> tuple[Run, Any]:
    """Checks all that was chosen before any data is loaded."""
    values = door.plain(config)
    values["k"] = [values["k"]] if isinstance(values["k"], int) else values["k"]
    told = {field.name: values[field.name] for field in fields(Run) if field.name in values}
    run = Run(**told, folder=folder, config=values)
    dataset = door.build(config, "dataset")
    run.check(dataset.num_items)
    torch.set_float32_matmul_precision(check_choice("matmul_precision", values["matmul_precision"], PRECISIONS))
    try:
        trainer = Trainer(**values["trainer"], logger=False, enable_checkpointing=False)
    except (MisconfigurationException, ValueError, TypeError) as error:
        chosen = HydraConfig.get().runtime.choices["trainer"]
        reason = " ".join(str(error).split())
        raise UserError(
            f"trainer={chosen} cannot be had here ({reason}): use trainer=cpu or mend trainer.*."
        ) from error
    if door.is_sweep() and trainer.world_size > 1:
        raise UserError(f"trainer.devices={trainer.world_size}: a sweep trains every run in one process; use 1.")
    return run, dataset


def build_logger(config: DictConfig) -> Any:
    """The chosen logger. wandb never asks for a key: without one it writes offline."""
    if HydraConfig.get().runtime.choices["logger"] == "wandb":
        import wandb

        config.logger.mode = os.environ.get("WANDB_MODE", config.logger.mode)
        if config.logger.mode == "online" and not wandb.login(prompt=False):
            say("wandb: no key is set, so the run is kept offline; send it later with wandb sync.")
            config.logger.mode = "offline"
    logger = door.build(config, "logger")
    logger.log_hyperparams(door.plain(config))
    return logger


def describe(run: Run, data: SessionData) -> str:
    counts = data.counts
    scatter = "torch-scatter" if torch_geometric.typing.WITH_TORCH_SCATTER else "torch (torch-scatter is not installed)"
    return (
        f"{data.manifest['name']}: {counts['train_sessions']:,} training sessions, {counts['train_prefixes']:,} "
        f"prefixes, {counts['test_prefixes']:,} test prefixes, {counts['items']:,} items\n"
        f"Segments are reduced by {scatter}. Everything of this run goes to {os.path.relpath(run.folder)}"
    )


def explain(run: Run, result: dict[str, Any]) -> str:
    if run.protocol == "paper":
        best = {name: result["epochs"][name] for name in result["epochs"] if name.endswith(f"@{max(run.k)}")}
        epochs = ", ".join(f"{name} of epoch {epoch}" for name, epoch in best.items())
        return f"Each figure of SR-GNN is its best over the epochs ({epochs}): selection on test, as in the papers."
    chosen = result["chosen"]
    again = "; trained anew on all training sessions" if run.refit else ""
    return (
        f"Epoch {chosen['epoch']} was chosen on the latest training sessions ({run.monitor} "
        f"{100 * chosen[run.monitor]:.2f} % there){again}. The test set was read once."
    )


def report(logger: Any, table: dict[str, dict[str, float]], checkpoint: Path) -> None:
    """The final table and the checkpoint's path, to a logger that keeps such things (wandb)."""
    if hasattr(logger, "log_table"):
        names = list(table["SR-GNN"])
        rows = [[model, *(values[name] for name in names)] for model, values in table.items()]
        logger.log_table("results", columns=["model", *names], data=rows)
        logger.experiment.summary["checkpoint"] = str(checkpoint)
        logger.experiment.finish()


def write_result(folder: Path, result: dict[str, Any]) -> None:
    result["overrides"] = list(HydraConfig.get().overrides.task)
    temporary = folder / f".{door.RESULT}"
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    temporary.replace(folder / door.RESULT)


def say(text: str) -> None:
    if door.is_main_process():
        console.print(text)


def resumed(arguments: list[str]) -> list[str]:
    """The arguments with those of the run that `resume=` names put before them, so that it goes on as it was."""
    given = {text.lstrip("+~").partition("=")[0]: text.partition("=")[2] for text in arguments}
    checkpoint = given.get("resume", "null")
    if checkpoint in ("null", "") or "LOCAL_RANK" in os.environ:
        return arguments
    if checkpoint == "last":
        outputs = Path(given.get("paths.outputs", "outputs"))
        unfinished = [path for path in outputs.rglob("last.ckpt") if not (path.parent / door.RESULT).exists()]
        if not unfinished:
            raise UserError(f"resume=last: there is no unfinished run in {outputs}.")
        checkpoint = str(max(unfinished, key=lambda path: path.stat().st_mtime))
    overrides = Path(checkpoint).parent / ".hydra" / "overrides.yaml"
    if not Path(checkpoint).is_file() or not overrides.is_file():
        raise UserError(f"resume={checkpoint}: expected a checkpoint in the folder of its run, or last.")
    before = [text for text in OmegaConf.load(overrides) if text.lstrip("+~").partition("=")[0] not in given]
    kept = [text for text in arguments if not text.startswith("resume=")]
    return [*before, *kept, f"resume='{checkpoint}'", f"hydra.run.dir='{Path(checkpoint).parent}'"]


def enter() -> None:
    sys.argv[1:] = resumed(sys.argv[1:])
    main()


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Advice such as to add DataLoader workers, which whole batches do not need, and deprecations within Lightning.
    warnings.filterwarnings("ignore", module=r"lightning\.")
    door.open_door(enter)
