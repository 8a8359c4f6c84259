"""The processes of one training: which one this is, and what has started them."""

import os
from collections.abc import Mapping

from srgnn.cli.arguments import SWEEP_FLAGS, option, value
from srgnn.errors import UserError


def is_main_process() -> bool:
    """Whether this is the first of the processes that train together, on whichever machine it is."""
    if "RANK" in os.environ:  # of torchrun, which Kubernetes uses, too
        return os.environ["RANK"] == "0"
    if "LOCAL_RANK" in os.environ or "NODE_RANK" in os.environ:  # of Lightning
        return {os.environ.get(name, "0") for name in ("LOCAL_RANK", "NODE_RANK")} == {"0"}
    return os.environ.get("SLURM_PROCID", "0") == "0"


def is_child() -> bool:
    """Whether Lightning has started this process, with all options of the first one."""
    return "LOCAL_RANK" in os.environ and "RANK" not in os.environ


def launcher() -> str | None:
    """Name of the launcher that has started the processes of this training; None if it was started by hand."""
    if "RANK" in os.environ:
        return "torchrun"
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ and not is_child():
        return "srun"
    return "the command on each machine" if "NODE_RANK" in os.environ and not is_child() else None


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


def check_count(processes: int, machines: int) -> None:
    """Checks that the processes of a Trainer are those that were started.

    Args:
        processes: Number of the Trainer's processes on all machines.
        machines: Number of machines.

    Raises:
        UserError: if Lightning would wait for others, or would train several times at once.
    """
    name = launcher()
    if "RANK" in os.environ and "LOCAL_RANK" not in os.environ:
        raise UserError(f"RANK={os.environ['RANK']} is set, but not LOCAL_RANK: start the processes with torchrun.")
    if name is None and machines > 1 and not is_child():
        raise UserError(
            f"trainer.num_nodes={machines}: start the program on each machine with torchrun or srun, or set NODE_RANK, "
            "MASTER_ADDR and MASTER_PORT there."
        )
    count = os.environ.get({"torchrun": "WORLD_SIZE", "srun": "SLURM_NTASKS"}.get(name or "", ""), processes)
    if int(count) != processes:
        raise UserError(
            f"{name} has started {count} processes, but the trainer has {processes}: choose trainer=ddp or sharded, "
            f"with trainer.devices= times trainer.num_nodes= equal to {count}."
        )
