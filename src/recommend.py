"""Recommends the next items for one session: `python src/recommend.py checkpoint=last session=A,B,A k=10`."""

import os
import sys

from omegaconf import DictConfig

from srgnn.cli.config import program
from srgnn.cli.runs import finished_run
from srgnn.cli.tables import print_recommendations, say
from srgnn.recommender import Recommender


@program("recommend")
def main(config: DictConfig) -> None:
    checkpoint = finished_run(config.checkpoint, config.paths.outputs)
    session = [raw.strip() for raw in str(config.session).split(",")]
    best = Recommender.load(checkpoint).recommend(session, config.k)
    print_recommendations(session, best)
    say(f"Checkpoint: {os.path.relpath(checkpoint)}")


def quoted(argument: str) -> str:
    """Quotes the session of an argument: Hydra would read the commas of session=A,B,A as a sweep."""
    if not argument.startswith("session="):
        return argument
    return "session='" + argument.removeprefix("session=").replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    sys.argv[1:] = map(quoted, sys.argv[1:])
    main()
