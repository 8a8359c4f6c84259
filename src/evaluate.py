"""Measures a checkpoint beside the simple baselines: `python src/evaluate.py checkpoint=last`."""

import os
from pathlib import Path

import hydra
import polars as pl
from omegaconf import DictConfig

import door
from srgnn.data import Vocabulary
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import UserError, check_int
from srgnn.metrics import Ranked, metrics_of, rank
from srgnn.protocols import compare, in_batches
from srgnn.recommender import load_checkpoint, model_of


@hydra.main(version_base="1.3", config_path="../conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    with door.one_sentence():
        door.keep_freed_memory()
        checkpoint = door.finished_run(config.checkpoint, config.paths.outputs)
        saved = load_checkpoint(checkpoint)
        about = saved["srgnn"]
        if config.dataset is None:
            config.dataset = {**about["config"]["dataset"]}
            for part in (config.dataset, config.dataset.get("published") or {}):
                part.update({name: config.paths[name] for name in ("data", "cache") if name in part})
        dataset = door.build(config, "dataset")
        k = [config.k] if isinstance(config.k, int) else list(config.k)
        for cut in k:
            check_int("k", cut, 1, about["model"]["num_items"])
        data = door.load(dataset)
        if data.vocabulary.ids != about["vocabulary"]:
            raise UserError(
                f"The checkpoint was trained on {about['data']['name']}, whose items are not those of "
                f"{data.manifest['name']}: choose dataset={about['data']['name']}."
            )
        graphs = SessionGraphs(data.test, data.num_items)
        ranked = rank(model_of(saved).eval(), in_batches(graphs, "SR-GNN"), max(k) if config.recommendations else 0)
        if config.recommendations:
            write_recommendations(Path(config.recommendations), ranked, graphs, data.vocabulary)
        metrics = {"SR-GNN": metrics_of(ranked.rank, k), **compare({}, data, k)}
        door.print_results(f"{data.manifest['name']}, {os.path.relpath(checkpoint)}", metrics, k)


def write_recommendations(path: Path, ranked: Ranked, graphs: SessionGraphs, vocabulary: Vocabulary) -> None:
    """One row per test prefix, in raw ids: the test sessions as they come, of each the longest prefix first."""
    ids = pl.Series(vocabulary.ids)
    best = ids.gather(ranked.items.flatten().numpy()).reshape(ranked.items.shape)
    table = pl.DataFrame(
        {
            "clicks": graphs.length.numpy(),
            "target": ids.gather(graphs.targets.numpy()),
            "rank": ranked.rank.numpy(),
            "items": best.cast(pl.List(ids.dtype)),
            "scores": pl.Series(ranked.scores.numpy()).cast(pl.List(pl.Float32)),
        }
    )
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        table.write_parquet(file)
    temporary.replace(path)


if __name__ == "__main__":
    door.open_door(main)
