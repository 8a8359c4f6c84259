"""Writes a checkpoint as one file: weights, a program, or an index: `python src/export.py output=model.onnx`."""

import os
from pathlib import Path

from omegaconf import DictConfig

from srgnn.cli.config import program
from srgnn.cli.runs import finished_run
from srgnn.cli.tables import say
from srgnn.errors import UserError


@program("export")
def main(config: DictConfig) -> None:
    from srgnn.cli.exports import KINDS  # torch takes seconds to load

    output = Path(str(config.output))
    if output.exists():
        raise UserError(f"output={output}: there is such a file already; delete it, or choose another name.")
    if output.suffix not in KINDS:
        *others, last = KINDS
        raise UserError(f"output={output}: expected the name of a new file that ends in {', '.join(others)} or {last}.")
    checkpoint = finished_run(config.checkpoint, config.paths.outputs)
    try:
        note = KINDS[output.suffix](checkpoint, output, config)
    except UserError as error:
        text = str(error.renamed({"folder": "output"})).replace("output=FOLDER", "output=FILE")
        raise UserError(text, *error.arguments) from error
    say(f"{os.path.relpath(checkpoint)} is now in {output} ({output.stat().st_size / 1e6:,.1f} MB)\n{note}".strip())


if __name__ == "__main__":
    main()
