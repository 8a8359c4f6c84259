"""Recommends the next items, for one session or for a file of them:
`python src/recommend.py checkpoint=last session=A,B,A k=10`."""

from omegaconf import DictConfig

from srgnn.cli.config import program


@program("recommend")
def main(config: DictConfig) -> None:
    from srgnn.cli.recommendations import recommend  # PyG takes seconds to load

    recommend(config)


if __name__ == "__main__":
    main()
