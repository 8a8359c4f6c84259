"""Measures recommendations for many sessions in one process: `python benchmarks/recommend.py`.

The model has random weights and, unless told otherwise, the catalogue of Diginetica; the sessions are random, of about
the mean length of its test sessions. Each row is the median of several rounds.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch

from srgnn.memory import keep_freed_memory
from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender
from srgnn.scoring import Scorer
from srgnn.scoring.files import recommend_file

LENGTH = 5  # clicks of a session, about the mean of the test sessions of Diginetica
ALONE = 100  # as many times fewer sessions are answered one by one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=43_097)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    print(
        f"{options.items:,} items, d = {options.width}, k = {options.k}, {options.sessions:,} sessions, "
        f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    )
    table = make_sessions(options.sessions, options.items)
    few = table["items"].head(max(1, options.sessions // ALONE)).to_list()
    arrow = table.to_arrow()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = write_checkpoint(folder / "model.ckpt", options.items, options.width)
        table.write_parquet(folder / "sessions.parquet")
        recommender = Recommender.load(checkpoint)
        scorer, new_only = (Scorer(checkpoint, options.k, new_only=value) for value in (False, True))

        def from_file() -> None:
            output = folder / "recs.parquet"
            output.unlink(missing_ok=True)
            recommend_file(scorer, folder / "sessions.parquet", output)

        print(f"{'':<34} {'sessions/s':>10}")
        report("one by one", len(few), options.rounds, lambda: [recommender.recommend(ids, options.k) for ids in few])
        report("a table", len(table), options.rounds, lambda: scorer(arrow))
        report("a table, new_only", len(table), options.rounds, lambda: new_only(arrow))
        report("a file, to a file", len(table), options.rounds, from_file)


def make_sessions(count: int, items: int) -> pl.DataFrame:
    """Sessions of random lengths on random items, of which few are popular."""
    generator = np.random.default_rng(0)
    lengths = generator.geometric(1 / LENGTH, count)
    clicks = (generator.random(lengths.sum()) ** 3 * items).astype(np.int64)
    owner = pl.Series("session", np.repeat(np.arange(count), lengths))
    return pl.DataFrame({"session": owner, "items": clicks}).group_by("session", maintain_order=True).all()


def write_checkpoint(path: Path, items: int, width: int) -> Path:
    """Writes a checkpoint with random weights."""
    torch.manual_seed(0)
    model = SRGNNSettings(width).build(items)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    about = {"model": {"num_items": items, "hidden_size": width}, "vocabulary": list(range(items))}
    torch.save({"state_dict": state, "srgnn": about}, path)
    return path


def report(title: str, sessions: int, rounds: int, work: Callable[[], object]) -> None:
    """Prints the sessions per second of work that answers them; the first round, which loads the model, is left out."""
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    print(f"{title:<34} {sessions / statistics.median(seconds[1:]):>10,.0f}", flush=True)


if __name__ == "__main__":
    main()
