"""Processes of one training that torchrun, SLURM or a command on each machine has started, not Lightning."""

import os
from collections.abc import Mapping

from srgnn.cli.arguments import SWEEP_FLAGS, option, value
from srgnn.cli.errors import is_child, is_main_process
from srgnn.errors import UserError


def launcher() -> str | None:
    """Name of the launcher that has started the processes of this training; None if it was started by hand."""
    if "RANK" in os.environ:
        return "torchrun"
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ and not is_child():
        return "srun"
    return "NODE_RANK" if "NODE_RANK" in os.environ and not is_child() else None


def in_one_folder(arguments: list[str]) -> list[str]:
    """The arguments of a training, whose processes share one folder: only the first one writes its options there.

    Raises:
        UserError: if the processes could not know the folder, each by itself.
    """
    name = launcher()
    if name is None:
        return arguments
    given: Mapping[str, str | None] = {option(text): value(text) for text in arguments if "=" in text}
    if any(text in SWEEP_FLAGS for text in arguments):
        raise UserError(f"{name} starts the processes of one training: leave -m out.")
    if given.get("resume") == "last":
        raise UserError(f"resume=last: the processes that {name} starts need the same checkpoint; give its path.")
    if "hydra.run.dir" not in given and not given.get("resume"):
        raise UserError(
            f"The processes that {name} starts need one folder for the run: name it with hydra.run.dir=outputs/NAME."
        )
    return arguments if is_main_process() else [*arguments, "hydra.output_subdir=null", "hydra.job.name=other_process"]
