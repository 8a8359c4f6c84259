"""Checkpoints of tables that are shared out: a folder to which every process writes its rows.

The format is that of `torch.distributed.checkpoint`, so a folder is read by any number of processes. `meta.pt` holds
what is not a tensor. Needs neither Lightning nor Hydra.
"""

import io
import pickle
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from srgnn.errors import UserError
from srgnn.saving import error_number, write_error

META = "meta.pt"
FILES = "files"  # its entry with the size and the checksum of every other file
BLOCK = 2**22  # bytes read at a time
INDEX = ".metadata"  # the file of torch.distributed.checkpoint that says where every tensor is
NAMES = {  # all that the index of a folder of tensors refers to: a pickle could run anything else
    "torch.distributed.checkpoint.metadata": (
        *("Metadata", "MetadataIndex", "StorageMeta", "TensorStorageMetadata", "TensorProperties"),
        *("ChunkStorageMetadata", "_MEM_FORMAT_ENCODING"),
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.serialization": ("_get_layout",),
    "torch": ("Size", "float64", "float32", "float16", "bfloat16", "int64"),
    "pathlib": ("Path", "PosixPath", "WindowsPath"),
    "pathlib._local": ("Path", "PosixPath", "WindowsPath"),  # as Python 3.13 calls it
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in NAMES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a checkpoint")
        return super().find_class(module, name)


class FolderReader(FileSystemReader):
    """Reads a folder without running code from it."""

    def read_metadata(self, *arguments: Any, **options: Any) -> Metadata:
        return read_index(Path(self.path))


def read_index(folder: Path) -> Metadata:
    """The index of a folder: the size of every tensor, and where its parts are."""
    metadata = _Unpickler(io.BytesIO((folder / INDEX).read_bytes())).load()
    if not isinstance(metadata, Metadata):
        raise TypeError("no index of tensors")
    return metadata


def write(tensors: Mapping[str, Tensor], rest: Mapping[str, Any], folder: Path) -> None:
    """Writes tensors by all processes, each its part of DTensors, and the rest by the first one.

    Args:
        tensors: The tensors by name.
        rest: What is not a tensor, for :func:`read_rest`.
        folder: An empty folder, the same for all processes.

    Raises:
        UserError: if the system refuses to write in one of the processes; all of them raise it.
    """
    try:
        save(dict(tensors), storage_writer=FileSystemWriter(folder))
    except CheckpointException as error:
        causes = [failure[0] for failure in error.failures.values()]
        cause = next((each for each in causes if isinstance(each, Exception) and error_number(each)), None)
        if cause is None:
            raise
        raise write_error(f"the checkpoint {folder.parent}", cause, "folder") from cause
    rank = dist.get_rank()
    checksums: list[dict[str, list[int]]] = [{}] * dist.get_world_size()
    dist.all_gather_object(checksums, {path.name: _checksum(path) for path in folder.glob(f"__{rank}_*")})
    if rank == 0:
        files = {name: checksum for each in checksums for name, checksum in each.items()}
        torch.save({**rest, FILES: {INDEX: _checksum(folder / INDEX), **files}}, folder / META)


def read(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Reads tensors in place by all processes: whole ones, or of DTensors the part of this process."""
    load(dict(tensors), storage_reader=FolderReader(folder))


def read_whole(folder: Path, prefix: str) -> dict[str, Tensor]:
    """Reads all tensors whose name begins with `prefix`, by this process alone.

    Raises:
        UserError: if the folder is damaged.
    """
    try:
        check_whole(is_whole(folder), folder)
        tensors = {name: torch.empty(size, dtype=dtype) for name, (size, dtype) in contents(folder, prefix).items()}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # as it should be
            load(dict(tensors), storage_reader=FolderReader(folder), no_dist=True)
    except UserError:
        raise
    except Exception as error:  # of many kinds, as the damage is
        raise UserError(f"{folder} cannot be read as a checkpoint ({type(error).__name__}).") from error
    return tensors


def read_rest(folder: Path) -> dict[str, Any]:
    """What is not a tensor."""
    rest: dict[str, Any] = torch.load(folder / META, map_location="cpu", weights_only=True)
    return rest


def contents(folder: Path, prefix: str) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """The size and the type of every tensor whose name begins with `prefix`."""
    stored = read_index(folder).state_dict_metadata
    return {
        name: (each.size, each.properties.dtype)
        for name, each in stored.items()
        if isinstance(each, TensorStorageMetadata) and name.startswith(prefix)
    }


def is_whole(folder: Path, process: int = 0, processes: int = 1) -> bool:
    """Whether the files of a folder have the size and the checksum (CRC-32) with which they were written.

    Args:
        folder: The folder of the checkpoint.
        process: Of several processes that divide the files among them, the number of this one.
        processes: Number of these processes.
    """
    files = sorted(read_rest(folder)[FILES].items())
    return all(
        (folder / name).is_file() and _checksum(folder / name) == checksum
        for name, checksum in files[process::processes]
    )


def check_whole(is_whole: bool, folder: Path) -> None:
    """Raises the error of a damaged checkpoint."""
    if not is_whole:
        raise UserError(f"{folder} is damaged: use another checkpoint, or train again.")


def _checksum(path: Path) -> list[int]:
    size = checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            size, checksum = size + len(block), zlib.crc32(block, checksum)
    return [size, checksum]
