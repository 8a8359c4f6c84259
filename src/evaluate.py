"""Measures a checkpoint beside the simple baselines: `python src/evaluate.py checkpoint=last`."""

import os

import hydra
from omegaconf import DictConfig

import door
from srgnn.errors import UserError, check_int
from srgnn.protocols import compare
from srgnn.recommender import load_checkpoint, model_of


@hydra.main(version_base="1.3", config_path="../conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    with door.one_sentence():
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
        metrics = compare({"SR-GNN": model_of(saved).eval()}, data, k)
        door.print_results(f"{data.manifest['name']}, {os.path.relpath(checkpoint)}", metrics, k)


if __name__ == "__main__":
    door.open_door(main)
