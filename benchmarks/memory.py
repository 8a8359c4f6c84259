"""Measures the memory that the clicks of a large log take in training: `python benchmarks/memory.py`.

Makes a prepared folder of random sessions, loads it, and builds batches of an epoch, as a training on the CPU does.
Counted is the anonymous memory of the process, which the system cannot reclaim, beyond that of the imported libraries;
pages of mapped files are not part of it.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from srgnn.baselines import BASELINES
from srgnn.comparison.baselines import CHEAP
from srgnn.data import SessionData, Sessions, Vocabulary
from srgnn.data.arrays import write_sessions
from srgnn.data.datamodule import SessionDataModule

CLICKS_PER_SESSION = 4  # about the mean of the published logs
ITEMS = 50_000
JUMPS = 0.02  # share of clicks on any item
PART = 10_000_000  # clicks that are made at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=330_000_000)
    parser.add_argument("--batches", type=int, default=2000, help="batches of the epoch to build")
    parser.add_argument("--folder", type=Path, help="folder for the data; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        parts = make_parts(folder, options.clicks)
        with peak("write the sessions", 0):
            write_sessions(folder / "clicks", pl.scan_parquet(parts))
        sessions = Sessions.load(folder / "clicks")
        data = SessionData(sessions, Sessions.from_lists([[0, 1]]), Vocabulary(range(ITEMS))).save(folder / "data")
        del sessions
        disk = sum(path.stat().st_size for path in data.folder.iterdir()) if data.folder else 0
        print(f"{options.clicks:,} clicks, {disk / 1e9:.2f} GB on disk")
        del data
        with peak("load the folder", disk):
            data = SessionData.load(folder / "data")
        with peak("load, and count for the report", disk):
            data.facts()
        with peak("load, and build batches", disk):
            module = SessionDataModule(data.train, None, data.num_items)
            started = time.perf_counter()
            clicks = sum(batch.alias_index.numel() for batch in islice(module.train_dataloader(), options.batches))
            print(f"{clicks:,} clicks in {options.batches:,} batches, {time.perf_counter() - started:.1f} s")
        for title in CHEAP:
            with peak(f"load, and count for {title}", disk):
                BASELINES[title]().build(data.num_items).observe(data.train)


def make_parts(folder: Path, clicks: int) -> list[Path]:
    """Writes random sessions, which mostly walk along the shelf of a popular item, as Parquet files."""
    paths = []
    for begin in range(0, clicks, PART):
        click = pl.arange(begin, min(begin + PART, clicks), eager=True)
        session = click // CLICKS_PER_SESSION
        generator = np.random.default_rng(begin)
        entry = (generator.random(len(click)) ** 3 * ITEMS).astype(np.int64)
        walk = entry[(click - click % CLICKS_PER_SESSION - begin).to_numpy()] + generator.integers(0, 20, len(click))
        item = np.where(generator.random(len(click)) < JUMPS, entry, walk % ITEMS)
        paths.append(folder / f"{begin:012d}.parquet")
        pl.DataFrame({"session": session, "item": item}).write_parquet(paths[-1])
    return paths


@contextmanager
def peak(title: str, disk: int) -> Iterator[None]:
    """Prints the peak of the anonymous memory within the block, also as a multiple of the size on disk."""
    highest, ended = anonymous_memory(), threading.Event()

    def watch() -> None:
        nonlocal highest
        while not ended.wait(0.01):
            highest = max(highest, anonymous_memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    share = f", {(highest - BEFORE) / disk:.2f} times the disk" if disk else ""
    print(f"{title}: {(highest - BEFORE) / 1e9:.2f} GB{share}", flush=True)


def anonymous_memory() -> int:
    """The bytes of this process that no file backs (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


BEFORE = anonymous_memory()

if __name__ == "__main__":
    main()
