"""Measures a checkpoint beside the simple baselines: `python src/evaluate.py checkpoint=last`."""

import sys

from omegaconf import DictConfig

from srgnn.cli.arguments import as_typed
from srgnn.cli.config import program


@program("evaluate")
def main(config: DictConfig) -> None:
    from srgnn.cli.evaluation import evaluate_checkpoint  # PyG and Lightning take seconds to load

    evaluate_checkpoint(config)


if __name__ == "__main__":
    named = any(text.startswith("dataset=") for text in sys.argv[1:])
    sys.argv[1:] = as_typed(sys.argv[1:], ["trainer"] if named else ["trainer", "dataset"])
    main()
