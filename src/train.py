"""Trains SR-GNN and compares it with simple baselines: `python src/train.py dataset=diginetica`."""

import sys

from omegaconf import DictConfig

from srgnn.cli.arguments import as_typed
from srgnn.cli.config import program
from srgnn.cli.errors import one_sentence
from srgnn.cli.launched import in_one_folder
from srgnn.cli.resuming import resumed
from srgnn.cli.sweeps import whole_sweep


@program("train")
def main(config: DictConfig) -> None:
    from srgnn.cli.training import train_and_compare  # PyG and Lightning take seconds to load

    train_and_compare(config)


if __name__ == "__main__":
    with one_sentence("train"):
        sys.argv[1:] = resumed(in_one_folder(as_typed(sys.argv[1:], ["trainer"])))
    with whole_sweep():
        main()
