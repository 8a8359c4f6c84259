"""Training with an item table that is sharded over processes: the strategy of Lightning's Trainer."""

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.optim import Optimizer

from srgnn.contracts import TrainableModel
from srgnn.errors import ArgumentError, UserError, check_float, check_int
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.text import VECTORS
from srgnn.saving import replace_folder, temporary_folder
from srgnn.training import checkpoint_folder
from srgnn.training.checkpoint import MODEL, build_empty, load_record

SHARDS, COPIES = "tensor_parallel", "data_parallel"  # Lightning's names of the dimensions of a mesh
TABLES = ("item_embedding.weight", VECTORS)  # in the names of tensors with one row per item
OPTIMIZER = "optimizer."  # before the names of its tensors


class ShardedStrategy(ModelParallelStrategy):
    """Shards the rows of the item table over processes, which compute every batch together.

    The other parameters are the same in every process. With `data_parallel_size` copies of the table, each copy is
    sharded over an equal part of the processes, which train on an equal share of every batch.

    Args:
        data_parallel_size: Number of copies of the table.
        timeout: Seconds to wait for another process.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    _data_parallel_size: int

    def __init__(self, data_parallel_size: int = 1, timeout: float = 1800):
        check_int("data_parallel_size", data_parallel_size, 1)
        check_float("timeout", timeout, 0, exclusive=True)
        super().__init__(data_parallel_size, timeout=timedelta(seconds=timeout))

    def setup_environment(self) -> None:
        processes = self.num_nodes * self.num_processes
        if processes % self._data_parallel_size:
            raise ArgumentError(
                "data_parallel_size", self._data_parallel_size, f"a divisor of the number of processes, {processes}"
            )
        self._tensor_parallel_size = processes // self._data_parallel_size
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The parameters by name; the table is a DTensor."""
        return whole_tensors(self._module.state_dict(), self._embedding)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state of the optimizer: tensors by the name of their parameter, and the settings of its groups."""
        tensors = {
            f"{name}.{key}": value
            for name, parameter in self._module.named_parameters()
            for key, value in optimizer.state.get(parameter, {}).items()
        }
        groups = [{**group, "params": len(group["params"])} for group in optimizer.param_groups]
        return {"tensors": whole_tensors(tensors, self._embedding), "groups": groups}

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Writes a folder (:mod:`srgnn.training.checkpoint_folder`), whole or not at all.

        Raises:
            UserError: if the system refuses to write.
        """
        path, first = Path(self.broadcast(filepath)), self.is_global_zero
        tensors = checkpoint.pop("state_dict")
        for state in checkpoint.get("optimizer_states", []):
            tensors |= {f"{OPTIMIZER}{name}": value for name, value in state.pop("tensors").items()}
        with temporary_folder(path, "the checkpoint", "folder") if first else nullcontext(path) as temporary:
            folder = self.broadcast(temporary) / f".{path.name}"  # not its name: programs look for that in all folders
            checkpoint_folder.write(tensors, checkpoint, folder)
            if first:
                replace_folder(folder, path)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a folder into the model and its optimizer, on any number of processes.

        Raises:
            UserError: if it is damaged, or the checkpoint of a table that was not sharded.
        """
        path = Path(self.broadcast(checkpoint_path))
        if not path.is_dir():
            raise UserError(
                f"{path} was trained without sharding its table, and continues without: leave strategy= as it was.",
                "strategy",
            )
        checkpoint = checkpoint_folder.read_rest(path)
        tensors = self._module.state_dict()
        for optimizer, state in zip(self.optimizers, checkpoint.get("optimizer_states", []), strict=True):
            for group, stored in zip(optimizer.param_groups, state["groups"], strict=True):
                group.update({**stored, "params": group["params"]})
            parameters = dict(self._module.named_parameters())
            for name, (size, dtype) in checkpoint_folder.contents(path, OPTIMIZER).items():
                owner, _, key = name.removeprefix(OPTIMIZER).rpartition(".")
                parameter = parameters[owner]
                size = parameter.size() if size else size  # of a table, that of its block
                tensors[name] = torch.empty(size, dtype=dtype, device=parameter.device)
                optimizer.state[parameter][key] = tensors[name]
        checkpoint_folder.read(path, whole_tensors(tensors, self._embedding))
        return checkpoint

    @property
    def _module(self) -> LightningModule:
        assert self.lightning_module is not None
        return self.lightning_module

    @property
    def _embedding(self) -> ItemEmbedding:
        module: Any = self._module
        embedding: ItemEmbedding = module.model.item_embedding
        return embedding


def whole_tensors(tensors: Mapping[str, Tensor], embedding: ItemEmbedding) -> dict[str, Tensor]:
    """The tensors by name; those of the table's rows are DTensors, of which each process has a part."""
    shard = embedding.shard
    if shard is None:
        return dict(tensors)

    def whole(block: Tensor) -> DTensor:
        shape = torch.Size((shard.num_rows, block.size(1)))
        return DTensor.from_local(block, shard.mesh, [Shard(0)], run_check=False, shape=shape, stride=block.stride())

    return {
        name: whole(value) if any(table in name for table in TABLES) and value.dim() == 2 else value
        for name, value in tensors.items()
    }


def load_model(path: Path, device: torch.device) -> TrainableModel:
    """The trained model of a folder, in evaluation mode, with its table sharded over all processes.

    Raises:
        UserError: if the checkpoint is damaged or does not fit.
    """
    model: Any = build_empty(load_record(path))
    sizes = checkpoint_folder.contents(path, MODEL)
    with torch.device("meta"):
        whole = {name.removeprefix(MODEL): torch.empty(size, dtype=kind) for name, (size, kind) in sizes.items()}
    model.load_state_dict(whole, assign=True)  # the sizes of what the model counted
    model.item_embedding.shard_over(init_device_mesh(device.type, (dist.get_world_size(),)))
    model.to_empty(device=device)
    tensors = {f"{MODEL}{name}": value for name, value in model.state_dict().items()}
    checkpoint_folder.read(path, whole_tensors(tensors, model.item_embedding))
    return cast(TrainableModel, model.eval())


def average_gradients(model: TrainableModel, mesh: DeviceMesh) -> None:
    """Averages gradients over the processes: those of the table over its copies, all others over all processes.

    Processes that compute the same batch have the same gradients but for roundings, which would make them drift apart.
    """
    table = model.item_embedding.weight
    gradients = [p.grad for p in model.parameters() if p is not table and p.grad is not None]
    if gradients:  # a model may have none but the table
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(joined)
        parts = torch.split(joined / dist.get_world_size(), [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
    copies = mesh[COPIES]
    if copies.size() > 1 and table.grad is not None:
        dist.all_reduce(table.grad, group=copies.get_group())
        table.grad /= copies.size()
