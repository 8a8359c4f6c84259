"""Files of sessions: two NumPy files, of items and of pointers, written as a stream and mapped to be read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib import format as npy

Array = npt.NDArray[Any]

KINDS = {"items": np.int32, "ptr": np.int64}


def files(path: Path) -> list[Path]:
    """The files of the sessions at `path`: `train` gives `train.items.npy` and `train.ptr.npy`."""
    return [path.with_name(f"{path.name}.{name}.npy") for name in KINDS]


def write_sessions(path: Path, clicks: pl.LazyFrame) -> None:
    """Writes clicks as files of sessions, without holding them in memory.

    Args:
        path: The name that the files share, without their endings.
        clicks: Clicks with the columns `session` and `item`, session by session, each oldest first. The sessions may
            have any ids; their order is that of the clicks.
    """
    with _writers(path) as (write_items, write_ptr):
        count, last = 0, None
        for batch in clicks.select("session", "item").collect_batches(maintain_order=True):
            if not len(batch):
                continue
            session = batch["session"].rle().struct.unnest()
            ends = count + session["len"].cum_sum().cast(pl.Int64).to_numpy()
            starts = np.insert(ends[:-1], 0, count)
            write_ptr(starts[int(session["value"][0] == last) :])
            write_items(batch["item"].cast(pl.Int32).to_numpy())
            count, last = int(ends[-1]), session["value"][-1]
        write_ptr(np.array([count]))


def write_arrays(path: Path, items: Array, ptr: Array) -> None:
    """Writes the files of sessions from their arrays, items [C] and ptr [S + 1]."""
    with _writers(path) as (write_items, write_ptr):
        write_items(items)
        write_ptr(ptr)


def map_arrays(path: Path) -> tuple[Array, Array]:
    """Maps the files of sessions: items [C], int32, and ptr [S + 1], int64. No byte of the values is read yet.

    The arrays can be written to, which changes neither the files nor what other processes see.

    Raises:
        ValueError: for any other file.
    """
    arrays = []
    for file, kind in zip(files(path), KINDS.values(), strict=True):
        try:
            array = np.asarray(npy.open_memmap(file, mode="c"))
        except ValueError as error:
            raise ValueError(f"{file.name} is not a NumPy file that can be mapped") from error
        if array.dtype != kind or array.ndim != 1:
            raise ValueError(f"{file.name} holds {array.dtype} {list(array.shape)}, not one row of {np.dtype(kind)}")
        arrays.append(array)
    items, ptr = arrays
    if not len(ptr) or ptr[0] != 0 or ptr[-1] != len(items):
        raise ValueError(f"{files(path)[1].name} does not belong to the {len(items):,} clicks beside it")
    return items, ptr


@contextmanager
def _writers(path: Path) -> Iterator[list[Callable[[Array], None]]]:
    items, ptr = files(path)
    with _writer(items, np.int32) as write_items, _writer(ptr, np.int64) as write_ptr:
        yield [write_items, write_ptr]


@contextmanager
def _writer(file: Path, kind: type[np.integer[Any]]) -> Iterator[Callable[[Array], None]]:
    """Yields a function that appends values to a new NumPy file.

    Neither `np.save` nor a mapped file would do: the number of values is known at the end only, and where the disk is
    full, the one gives no error number, and the other kills the process.
    """
    count = 0

    def append(values: Array) -> None:
        nonlocal count
        stream.write(np.ascontiguousarray(values, kind).data)
        count += len(values)

    def write_header() -> None:
        header = {"descr": npy.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": (count,)}
        npy.write_array_header_1_0(stream, header)

    with file.open("wb") as stream:
        write_header()
        yield append
        stream.seek(0)
        write_header()  # as long as the first: NumPy leaves space for the length to grow
