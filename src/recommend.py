"""Recommends the next items for one session: `python src/recommend.py checkpoint=last session=A,B,A k=10`."""

import os

from omegaconf import DictConfig

from srgnn.cli.arguments import session_of
from srgnn.cli.config import program
from srgnn.cli.runs import finished_run
from srgnn.cli.tables import print_recommendations, say


@program("recommend")
def main(config: DictConfig) -> None:
    from srgnn.recommender import Recommender  # PyG takes seconds to load

    checkpoint = finished_run(config.checkpoint, config.paths.outputs)
    session = session_of(config.session)
    best = Recommender.load(checkpoint).recommend(session, config.k)
    print_recommendations(session, best)
    say(f"Checkpoint: {os.path.relpath(checkpoint)}")


if __name__ == "__main__":
    main()
