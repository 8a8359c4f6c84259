from pathlib import Path

import numpy as np
import polars as pl
import pytest

from srgnn.data.arrays import map_arrays, write_arrays, write_sessions


@pytest.mark.parametrize("ids", [[7, 7, 3, 9, 9, 9], [b"x", b"x", b"a", b"b", b"b", b"b"], list("xxabbb")])
def test_sessions_keep_the_order_of_the_clicks(tmp_path: Path, ids: list):
    clicks = pl.LazyFrame({"item": [5, 4, 5, 0, 1, 0], "session": ids, "time": range(6)})
    write_sessions(tmp_path / "a", clicks)
    items, ptr = map_arrays(tmp_path / "a")
    assert (items.tolist(), ptr.tolist()) == ([5, 4, 5, 0, 1, 0], [0, 2, 3, 6])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.items.npy", "a.ptr.npy"]


@pytest.mark.parametrize("length", [1, 7, 5000, 400_000])
def test_a_session_may_reach_across_batches(tmp_path: Path, length: int):
    session = np.arange(400_000) // length
    pl.DataFrame({"session": session, "item": session % 11}).write_parquet(tmp_path / "a.parquet", row_group_size=1000)
    write_sessions(tmp_path / "a", pl.scan_parquet(tmp_path / "a.parquet"))
    items, ptr = map_arrays(tmp_path / "a")
    assert np.array_equal(items, session % 11)
    assert np.array_equal(ptr, [*range(0, 400_000, length), 400_000])


def test_no_clicks_are_no_sessions(tmp_path: Path):
    write_sessions(tmp_path / "a", pl.LazyFrame(schema={"session": pl.Int64, "item": pl.Int64}))
    assert [array.tolist() for array in map_arrays(tmp_path / "a")] == [[], [0]]


def test_an_item_beyond_int32_is_not_written_as_another_one(tmp_path: Path):
    with pytest.raises(pl.exceptions.InvalidOperationError):
        write_sessions(tmp_path / "a", pl.LazyFrame({"session": [1], "item": [2**32]}))


@pytest.mark.parametrize("size", [0, 1, 9, 10, 300_000])
def test_the_files_are_those_of_numpy(tmp_path: Path, size: int):
    items, ptr = np.arange(size, dtype=np.int32), np.array([0, size])
    write_arrays(tmp_path / "a", items.astype(np.int64), ptr)
    np.save(tmp_path / "numpy.items.npy", items)
    np.save(tmp_path / "numpy.ptr.npy", ptr)
    for name in ("items", "ptr"):
        ours, theirs = (tmp_path / f"{each}.{name}.npy" for each in ("a", "numpy"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert map_arrays(tmp_path / "a")[0].tolist() == items.tolist()


def test_other_files_are_refused(tmp_path: Path):
    items, ptr = tmp_path / "a.items.npy", tmp_path / "a.ptr.npy"
    numbers = np.arange(3, dtype=np.int32)
    np.save(ptr, np.array([0, 3]))
    for content in (b"", b"[1, 2]", b"PK\x03\x04", b"\x93NUMPY\x01\x00"):
        items.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.items\.npy is not a NumPy file that can be mapped"):
            map_arrays(tmp_path / "a")
    np.save(items, np.array(["a", 1], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.items\.npy is not a NumPy file that can be mapped"):
        map_arrays(tmp_path / "a")
    for array in (numbers.astype(np.int64), numbers.astype(np.float32), numbers.reshape(1, 3)):
        np.save(items, array)
        with pytest.raises(ValueError, match=r"a\.items\.npy holds \w+ \[[\d, ]+\], not one row of int32"):
            map_arrays(tmp_path / "a")
    np.save(items, numbers)
    for pointers in ([], [0], [0, 4], [1, 3]):
        np.save(ptr, np.array(pointers, np.int64))
        with pytest.raises(ValueError, match=r"a\.ptr\.npy does not belong to the 3 clicks"):
            map_arrays(tmp_path / "a")
