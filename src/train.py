"""Trains SR-GNN and compares it with simple baselines: `python src/train.py dataset=diginetica`."""

import logging
import os
import shlex
import sys
import time
import warnings
from pathlib import Path

import torch_geometric.typing
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from srgnn.cli.arguments import as_typed
from srgnn.cli.config import build_data_set, is_sweep, load, program
from srgnn.cli.errors import is_main_process, one_sentence, options_of, sentence_of
from srgnn.cli.runs import check_resumed, lock_run, read_result, resumed, write_overrides, write_ranks, write_result
from srgnn.cli.sweeps import is_job, is_stopping, stop, whole_sweep
from srgnn.cli.tables import print_results, say
from srgnn.cli.training import build_logger, build_run, explain, log_results, next_commands
from srgnn.comparison.baselines import measure_baselines
from srgnn.contracts import DataSet
from srgnn.data.graphs import SessionGraphs
from srgnn.evaluation import rank_table
from srgnn.memory import forget_peak, keep_freed_memory, peak_memory
from srgnn.saving import is_full
from srgnn.training.callbacks import Interrupted
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.protocols import train
from srgnn.training.run import Run


@program("train")
def main(config: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    keep_freed_memory()
    forget_peak()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Hides advice, such as adding DataLoader workers, which whole batches do not need, and Lightning's deprecations.
    warnings.filterwarnings("ignore", module=r"lightning\.")
    if is_sweep() and (is_stopping() or "metrics" in (read_result(folder) or {})):
        return  # the sweep is stopped, or it is continued and this run has finished
    was_begun = (folder / "last.ckpt").is_file()  # the sweep is continued
    is_ours = False
    try:
        if is_main_process():
            lock_run(folder)
        is_ours = True
        run, data_set = build_run(config, folder), build_data_set(config)
        run.check_cutoffs(data_set.num_items)
        with options_of(config):
            train_and_compare(config, run, data_set)
    except Interrupted as interruption:
        say(str(interruption))
        if not is_sweep():
            say(f"Resume with:\n  python src/train.py resume={shlex.quote(os.path.relpath(interruption.checkpoint))}")
        stop()
    except KeyboardInterrupt:
        if not is_job():
            raise
        stop()
    except Exception as error:
        sentence = sentence_of(error, "train")
        if not is_sweep() or sentence is None:
            raise
        # The other runs of a sweep continue; the sweep's table says why this one failed.
        print(f"Error: {sentence}", file=sys.stderr)
        # What has been trained stays unfinished, and so does a run that a full disk ended: `resume=` continues them.
        if is_ours and not was_begun and not is_full(error):
            write_result(folder, {"error": sentence})


def train_and_compare(config: DictConfig, run: Run, data_set: DataSet) -> None:
    started = time.perf_counter()
    if is_sweep():  # continued, if there is a checkpoint
        resume = run.folder / "last.ckpt" if (run.folder / "last.ckpt").is_file() else None
    else:
        resume = Path(config.resume) if config.resume else None
    if resume is not None and is_main_process():
        check_resumed(run.config, Checkpoint.load(resume).record.config, HydraConfig.get().overrides.task)
        if not is_sweep():
            write_overrides(run.folder)
    logger = build_logger(config, run.folder)
    data = load(config, data_set)
    name, counts = data.manifest["name"], data.counts
    scatter = "torch-scatter" if torch_geometric.typing.WITH_TORCH_SCATTER else "torch (torch-scatter is not installed)"
    say(
        f"{name}: {counts['train_sessions']:,} training sessions, {counts['train_prefixes']:,} prefixes, "
        f"{counts['test_prefixes']:,} test prefixes, {counts['items']:,} items\n"
        f"Segments are reduced by {scatter}. Everything of this run goes to {os.path.relpath(run.folder)}"
    )
    result = train(run, data, logger, resume)
    if not is_main_process() or result.test is None:  # another process, or another machine
        return
    tests = {run.model_name: result.test, **measure_baselines(data, run.k)}
    table = {name: test.metrics for name, test in tests.items()} | {run.model_name: result.metrics}
    write_ranks(
        run.folder, rank_table(SessionGraphs(data.test, data.num_items), {n: t.ranks for n, t in tests.items()})
    )
    seconds, memory = time.perf_counter() - started, peak_memory()
    write_result(
        run.folder,
        {
            "dataset": name,
            "protocol": run.protocol,
            "data": data.counts,
            "config": dict(run.config),
            "metrics": table,
            "by_length": {name: test.by_length for name, test in tests.items()},
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


if __name__ == "__main__":
    with one_sentence("train"):
        sys.argv[1:] = resumed(as_typed(sys.argv[1:], ["trainer"]))
    with whole_sweep():
        main()
