"""Checkpoints of tables that are sharded: a folder to which every process writes its rows.

The format is that of `torch.distributed.checkpoint`, so a folder is read by any number of processes. `meta.pt` holds
what is not a tensor. Needs neither Lightning nor Hydra.
"""

import io
import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from srgnn.data.checksums import checksum
from srgnn.errors import UserError
from srgnn.saving import ObservedFile, write_error

META = "meta.pt"
FILES = "files"  # its entry with the checksum of every other file
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
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a checkpoint")
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


class FolderWriter(FileSystemWriter):
    """Writes a folder, and remembers why the system refused: torch's errors do not give the reason."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.files: list[ObservedFile] = []
        create = self.fs.create_stream

        @contextmanager
        def observed(path: str | os.PathLike[str], mode: str) -> Iterator[Any]:
            with create(path, mode) as file:
                self.files.append(ObservedFile(cast(IO[bytes], file)))
                yield self.files[-1]

        setattr(self.fs, "create_stream", observed)  # noqa: B010


def write(tensors: Mapping[str, Tensor], rest: Mapping[str, Any], folder: Path) -> None:
    """Writes tensors by all processes, each its part of DTensors, and the rest by the first one.

    Args:
        tensors: The tensors by name.
        rest: What is not a tensor, for :func:`read_rest`.
        folder: A folder that does not exist yet, the same for all processes.

    Raises:
        UserError: if the system refuses to write in one of the processes, or they do not share the folder; all of them
            raise it.
    """
    writer, refused, failed = FolderWriter(folder), None, None
    try:
        save(dict(tensors), storage_writer=writer)
    except CheckpointException as error:  # in all processes, whichever failed
        raised = [failure[0] for failure in error.failures.values() if isinstance(failure[0], OSError)]
        refused = next((file.error for file in writer.files if file.error), raised[0] if raised else None)
        failed = error
    checksums = {path.name: checksum(path) for path in folder.glob(f"__{dist.get_rank()}_*")}
    files: dict[str, int] = {}
    for reason, part in _of_all((refused, checksums)):
        _raise_refused(reason, folder)
        files |= part
    if failed is not None:
        raise failed
    if dist.get_rank() == 0:
        missing = [name for name in files if not (folder / name).is_file()]
        refused = None if missing else _write_rest({**rest, FILES: {INDEX: checksum(folder / INDEX), **files}}, folder)
    else:
        missing = []
    reason, missing = _of_all((refused, missing))[0]
    _raise_refused(reason, folder)
    if missing:
        raise UserError(
            f"{folder.parent.parent} is not one folder for all processes ({missing[0]} is missing): name one that all "
            "of them reach.",
            "folder",
        )


def _write_rest(rest: Mapping[str, Any], folder: Path) -> OSError | None:
    observed: ObservedFile | None = None
    try:
        with (folder / META).open("wb") as file:
            observed = ObservedFile(file)
            torch.save(dict(rest), observed)
    except Exception as error:
        reason = error if isinstance(error, OSError) else None
        reason = observed.error if reason is None and observed is not None else reason
        if reason is None:
            raise
        return reason
    return None


def _raise_refused(reason: OSError | None, folder: Path) -> None:
    if reason is not None:
        raise write_error(f"the checkpoint {folder.parent}", reason, "folder") from reason


def _of_all(value: Any) -> list[Any]:
    """The values of all processes."""
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def read(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Reads tensors in place by all processes: whole ones, or of DTensors the part of this process.

    Raises:
        UserError: if the folder is damaged or holds other tensors; all processes raise it.
    """
    is_right = is_whole(folder, dist.get_rank(), dist.get_world_size())
    check_whole(all(_of_all(is_right)), folder)
    try:
        load(dict(tensors), storage_reader=FolderReader(folder))
    except CheckpointException as error:  # in all processes
        raise UserError(
            f"{folder} cannot be read as a checkpoint, because it holds other tensors: resume a run with the model "
            "that it was started with."
        ) from error


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
    except (Exception, CheckpointException) as error:  # of many kinds, as the damage is
        raise UserError(
            f"{folder} cannot be read as a checkpoint ({type(error).__name__}): give one that train.py wrote."
        ) from error
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
    """Whether the files of a folder have the checksum (CRC-32) with which they were written.

    Args:
        folder: The folder of the checkpoint.
        process: Of several processes that divide the files among them, the number of this one.
        processes: Number of these processes.
    """
    files = sorted(read_rest(folder)[FILES].items())
    return all(
        (folder / name).is_file() and checksum(folder / name) == written for name, written in files[process::processes]
    )


def check_whole(is_whole: bool, folder: Path) -> None:
    """Raises the error of a damaged checkpoint."""
    if not is_whole:
        raise UserError(f"{folder} is damaged: use another checkpoint, or train again.")
