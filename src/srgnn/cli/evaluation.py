"""The measurement of a checkpoint on its test sessions, and the file of its recommendations."""

import os
from pathlib import Path

import polars as pl
from omegaconf import DictConfig

from srgnn.cli.arguments import cutoffs
from srgnn.cli.comparison_tables import by_clicks, print_sheet
from srgnn.cli.config import build_data_set, data_set_of, load
from srgnn.cli.runs import finished_run
from srgnn.cli.tables import print_results
from srgnn.cli.training import checked_trainer
from srgnn.comparison.baselines import affordable, measure_baselines
from srgnn.comparison.rows import Comparison, Row, Test
from srgnn.data import SessionData
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import UserError
from srgnn.evaluation import Ranking, main_cutoff, rank
from srgnn.memory import keep_freed_memory
from srgnn.metrics import metrics_by_clicks, rank_metrics
from srgnn.table_files import check_new_table, write_table
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.trainer import evaluation_device

MOVED = ("path", "test_path", "strict")  # options of a data set whose files are in another place now


def evaluate_checkpoint(config: DictConfig) -> None:
    """Ranks all items for the test prefixes of a checkpoint's data, and prints the metrics beside the baselines'."""
    keep_freed_memory()
    path = finished_run(config.checkpoint, config.paths.outputs)
    checkpoint = Checkpoint.load(path)
    record, name = checkpoint.record, checkpoint.record.architecture
    if config.dataset is None or "_target_" not in config.dataset:  # the data that it was trained on
        moved = dict(config.dataset or {})
        for option, value in moved.items():
            if option not in MOVED:
                raise UserError(
                    f"dataset.{option}={value}: a checkpoint is measured with the data set that it was trained on, of "
                    f"which only {', '.join(f'dataset.{each}' for each in MOVED)} can change; leave it out."
                )
        config.dataset = data_set_of(record.config, config.paths, config.engine) | moved
    device = evaluation_device(checked_trainer(config))
    data_set = build_data_set(config)
    k = cutoffs(config.k, record.model["num_items"])
    recommendations = Path(config.recommendations) if config.recommendations else None
    if recommendations:
        check_new_table("recommendations", recommendations)
    data = load(config, data_set)
    if data.vocabulary.ids != record.vocabulary:
        raise UserError(
            f"The checkpoint was trained on {record.data['name']}, whose items are not those of "
            f"{data.manifest['name']}: evaluate it on the data that it was trained on."
        )
    trained = record.data.get("counts", data.counts)
    if different := [name for name, count in data.counts.items() if trained.get(name) != count]:
        what = " and ".join(
            f"{trained[each]:,} {each.replace('_', ' ')}, not {data.counts[each]:,}" for each in different
        )
        raise UserError(
            f"The checkpoint was trained on a data set with {what}: sessions that it was trained on could be tested. "
            "Measure it with its own files and rules, which dataset.path=FILE alone does."
        )
    graphs = SessionGraphs(data.test, data.num_items, device)
    ranking = rank(checkpoint.build_model().to(device), graphs, max(k) if recommendations else 0, name)
    if recommendations:
        write_recommendations(recommendations, ranking, graphs, data)
    clicks = data.train_clicks[graphs.targets.cpu()]
    of_classes = metrics_by_clicks(ranking.ranks, clicks, data.num_items, k)
    others = measure_baselines(data, k, [baseline for baseline in affordable(data) if baseline != name])
    tests = {name: Test(rank_metrics(ranking.ranks, k), by_clicks=of_classes)}
    tests |= {baseline: Test(test.metrics, by_clicks=test.by_clicks) for baseline, test in others.items()}
    title = f"{data.manifest['name']}, {os.path.relpath(path)}"
    print_results(title, {row: test.metrics for row, test in tests.items()}, k)
    for sheet in by_clicks(Comparison(title, [Row(row, [test]) for row, test in tests.items()], [main_cutoff(k)])):
        print_sheet(sheet)


def write_recommendations(path: Path, ranking: Ranking, graphs: SessionGraphs, data: SessionData) -> None:
    """Writes one row per test prefix, in raw ids: session by session, the longest prefix first.

    Sessions of a data set without session ids are numbered from 0. A CSV file has one row per recommended item, since
    its fields hold no lists.
    """
    ids, session = pl.Series(data.vocabulary.ids), pl.Series(graphs.session.cpu().numpy())
    best = ids.gather(ranking.items.flatten().numpy()).reshape(tuple(ranking.items.shape))
    table = pl.DataFrame(
        {
            "session": session if data.test_ids is None else data.test_ids.gather(session),
            "clicks": graphs.length.cpu().numpy(),
            "target": ids.gather(graphs.targets.cpu().numpy()),
            "rank": ranking.ranks.numpy(),
            "items": best.cast(pl.List(ids.dtype)),
            "scores": pl.Series(ranking.scores.numpy()).cast(pl.List(pl.Float32)),
        }
    )
    write_table(path, "the recommendations", table.lazy(), "items", "scores")
