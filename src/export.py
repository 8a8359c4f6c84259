"""Writes a checkpoint without the state of its training to one file: `python src/export.py checkpoint=last`."""

import os
from pathlib import Path

from omegaconf import DictConfig

from srgnn.cli.config import program
from srgnn.cli.runs import finished_run
from srgnn.cli.tables import say
from srgnn.errors import UserError


@program("export")
def main(config: DictConfig) -> None:
    from srgnn.training.checkpoint import Checkpoint  # torch takes seconds to load

    output = Path(str(config.output))
    if output.suffix != ".ckpt" or output.exists():
        raise UserError(f"output={output}: expected the name of a new file that ends in .ckpt.")
    checkpoint = finished_run(config.checkpoint, config.paths.outputs)
    Checkpoint.load(checkpoint).save(output)
    say(f"{os.path.relpath(checkpoint)} is now in {output} ({output.stat().st_size / 1e6:,.1f} MB)")


if __name__ == "__main__":
    main()
