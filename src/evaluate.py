"""Measures a checkpoint beside the simple baselines: `python src/evaluate.py checkpoint=last`."""

import os
from pathlib import Path

import polars as pl
from omegaconf import DictConfig

from srgnn.cli.config import build_data_set, data_set_of, load, program
from srgnn.cli.runs import finished_run
from srgnn.cli.tables import print_results
from srgnn.comparison import evaluate_baselines
from srgnn.data import Vocabulary
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import UserError, check_int
from srgnn.evaluation import Ranking, rank
from srgnn.memory import keep_freed_memory
from srgnn.metrics import rank_metrics
from srgnn.saving import whole_file
from srgnn.training.checkpoint import Checkpoint


@program("evaluate")
def main(config: DictConfig) -> None:
    keep_freed_memory()
    path = finished_run(config.checkpoint, config.paths.outputs)
    checkpoint = Checkpoint.load(path)
    record, name = checkpoint.record, checkpoint.record.architecture
    if config.dataset is None:
        config.dataset = data_set_of(record.config, config.paths, config.engine)
    data_set = build_data_set(config)
    k = [config.k] if isinstance(config.k, int) else list(config.k)
    for cut in k:
        check_int("k", cut, 1, record.model["num_items"])
    data = load(config, data_set)
    if data.vocabulary.ids != record.vocabulary:
        raise UserError(
            f"The checkpoint was trained on {record.data['name']}, whose items are not those of "
            f"{data.manifest['name']}: evaluate it on the data that it was trained on."
        )
    graphs = SessionGraphs(data.test, data.num_items)
    ranking = rank(checkpoint.build_model(), graphs, max(k) if config.recommendations else 0, name)
    if config.recommendations:
        write_recommendations(Path(config.recommendations), ranking, graphs, data.vocabulary)
    metrics = {name: rank_metrics(ranking.ranks, k), **evaluate_baselines(data, k)}
    print_results(f"{data.manifest['name']}, {os.path.relpath(path)}", metrics, k)


def write_recommendations(path: Path, ranking: Ranking, graphs: SessionGraphs, vocabulary: Vocabulary) -> None:
    """Writes one row per test prefix, in raw ids: session by session, the longest prefix first."""
    ids = pl.Series(vocabulary.ids)
    best = ids.gather(ranking.items.flatten().numpy()).reshape(tuple(ranking.items.shape))
    table = pl.DataFrame(
        {
            "clicks": graphs.length.numpy(),
            "target": ids.gather(graphs.targets.numpy()),
            "rank": ranking.ranks.numpy(),
            "items": best.cast(pl.List(ids.dtype)),
            "scores": pl.Series(ranking.scores.numpy()).cast(pl.List(pl.Float32)),
        }
    )
    with whole_file(path, "the recommendations") as temporary, temporary.open("wb") as file:
        table.write_parquet(file)


if __name__ == "__main__":
    main()
