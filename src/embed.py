"""Turns the texts of items into vectors: `python src/embed.py items=items.csv text=title model=words`."""

import sys

from omegaconf import DictConfig

from srgnn.cli.arguments import encoder_option
from srgnn.cli.config import program


@program("embed")
def main(config: DictConfig) -> None:
    from srgnn.cli.embedding import embed  # torch takes seconds to load

    embed(config)


if __name__ == "__main__":
    sys.argv[1:] = encoder_option(sys.argv[1:])
    main()
