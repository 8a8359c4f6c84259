"""Time and memory of preparing a generated log the size of Yoochoose, and the same rules in pandas on a tenth of it.

python benchmarks/prepare.py                                  # 33 million clicks: 6 minutes, 5 GB of disk
python benchmarks/prepare.py --engines polars duckdb duckdb,memory_limit=1GB spark --rounds 1 --no-pandas
python benchmarks/prepare.py --clicks 330e6 --engines duckdb,memory_limit=4GB --rounds 1 --no-pandas  # 50 GB of disk
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
ITEMS = 53_000
CLICKS_PER_SESSION = 3.59  # Yoochoose: 33.0 million clicks in 9.2 million sessions
DAYS = 182


def generate(path: Path, clicks: int, seed: int = 0) -> None:
    """Writes a log in the layout of yoochoose-clicks.dat: half a year, sessions nearly in the order of their start.

    More than a quarter of the sessions have one click, and the long tail of the items ends below the support of 5,
    so the rules have something to do.
    """
    rng = np.random.default_rng(seed)
    popularity = np.cumsum((np.arange(ITEMS) + 50.0) ** -1.6)
    ids = 214_500_000 + rng.permutation(500_000)[:ITEMS]
    sessions = round(clicks / CLICKS_PER_SESSION)
    chunk = 500_000
    with path.open("wb") as file:
        for first in track(range(0, sessions, chunk), description=f"Generating {clicks:,} clicks"):
            n = min(chunk, sessions - first)
            length = rng.geometric(1 / CLICKS_PER_SESSION, n)
            ends = np.cumsum(length)
            owner = np.repeat(np.arange(n), length)
            begin = ((first + np.arange(n)) / sessions * 0.95 + rng.random(n) * 0.05) * DAYS * 86_400_000
            pause = rng.exponential(90_000, ends[-1]).cumsum()  # 90 s between clicks
            after = pause - pause[ends - length][owner]
            log = pl.DataFrame(
                {
                    "session": first + owner + 1,
                    "time": (1_396_310_400_000 + begin[owner] + after).astype(np.int64),
                    "item": ids[np.searchsorted(popularity, rng.random(ends[-1]) * popularity[-1])],
                    "category": np.where(rng.random(ends[-1]) < 0.5, "0", "S"),
                }
            )
            stamp = pl.from_epoch("time", time_unit="ms").dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
            log.with_columns(stamp).write_csv(file, include_header=False)


def with_pandas(path: Path) -> dict[str, int]:
    """The same rules as dataset=yoochoose_log, written in the usual pandas way."""
    import pandas as pd  # only in the process that is measured

    log = pd.read_csv(path, names=["session", "time", "item", "category"], usecols=[0, 1, 2])
    log["time"] = pd.to_datetime(log["time"])
    log = log.sort_values(["session", "time"], kind="stable")
    log = log[log.groupby("session")["item"].transform("size") >= 2]
    log = log[log.groupby("item")["session"].transform("size") >= 5]
    log = log[log.groupby("session")["item"].transform("size") >= 2]
    when = log.groupby("session")["time"].transform("max")
    log["when"] = when
    log = log.sort_values("when", kind="stable")
    cut = when.max() - pd.Timedelta(days=1)
    train, test = log[log["when"] <= cut], log[log["when"] > cut]
    index = {item: i for i, item in enumerate(train["item"].unique())}
    test = test[test["item"].isin(index)]
    test = test[test.groupby("session")["item"].transform("size") >= 2]
    parts = {name: part["item"].map(index).groupby(part["session"], sort=False).agg(list)
             for name, part in (("train", train), ("test", test))}  # fmt: skip
    return {
        "train_sessions": len(parts["train"]),
        "train_prefixes": len(train) - len(parts["train"]),
        "test_prefixes": len(test) - len(parts["test"]),
        "items": len(index),
    }


def measure(command: list[str]) -> tuple[float, float, str]:
    """Seconds, peak resident memory in GB, and the output of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed.")
    return time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e9, output


def prepare(path: Path, engine: str) -> tuple[float, float, dict[str, int]]:
    """Prepares the log with an engine and its settings, such as `duckdb,memory_limit=1GB`."""
    name, *settings = engine.split(",")
    options = [f"engine={name}", *(f"engine.{setting}" for setting in settings)]
    if name == "spark":
        path = as_parquet(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as cache:
        program = [sys.executable, str(ROOT / "src" / "prepare.py")]
        seconds, memory, _ = measure(
            [*program, "dataset=yoochoose_log", f"dataset.path={path}", f"paths.cache={cache}", *options]
        )
        counts = json.loads(next(Path(cache).glob("*/manifest.json")).read_text())["counts"]
    counts.pop("trained_items")
    return seconds, memory, counts


def as_parquet(path: Path) -> Path:
    """The same log as Parquet, which Spark reads."""
    parquet = path.with_suffix(".parquet")
    if not parquet.exists():
        names = ["session", "time", "item", "category"]
        log = pl.scan_csv(path, has_header=False, new_columns=names, schema_overrides={"category": pl.String})
        log.sink_parquet(parquet)
    return parquet


def prepare_with_pandas(path: Path) -> tuple[float, float, dict[str, int]]:
    seconds, memory, output = measure([sys.executable, __file__, "--with-pandas", str(path)])
    return seconds, memory, json.loads(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=float, default=33e6)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; their medians are shown")
    parser.add_argument(
        "--engines", nargs="+", default=["polars", "duckdb"], metavar="NAME[,SETTING=VALUE]", help="what to compare"
    )
    parser.add_argument("--folder", type=Path, help="folder for the generated log; a temporary one by default")
    parser.add_argument("--no-pandas", action="store_true")
    parser.add_argument("--with-pandas", type=Path, metavar="LOG", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.with_pandas:
        print(json.dumps(with_pandas(arguments.with_pandas)))
        return
    if not arguments.no_pandas and importlib.util.find_spec("pandas") is None:
        sys.exit("pandas is not installed: pip install pandas, or leave it out with --no-pandas.")
    table = Table(title=f"Preparing a log, {os.cpu_count()} cores, polars {pl.__version__}", box=box.SIMPLE_HEAD)
    for column in ("", "clicks", "CSV, GB", "seconds", "peak memory, GB", "training prefixes"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)

    def compare(clicks: float, variants: dict[str, Any]) -> list[tuple[float, float]]:
        """Runs the variants in turn, and adds a row for each."""
        generate(log, int(clicks))
        log.with_suffix(".parquet").unlink(missing_ok=True)
        runs: dict[str, list[Any]] = {name: [] for name in variants}
        for _ in range(arguments.rounds):
            for name, variant in variants.items():
                runs[name].append(variant(log))
        if len(results := {json.dumps(counts) for rounds in runs.values() for *_, counts in rounds}) > 1:
            sys.exit(f"The results differ: {' and '.join(results)}.")
        medians = []
        for name, rounds in runs.items():
            seconds, memory = (statistics.median(run[i] for run in rounds) for i in (0, 1))
            size, prefixes = log.stat().st_size / 1e9, rounds[0][2]["train_prefixes"]
            table.add_row(name, f"{clicks:,.0f}", f"{size:.2f}", f"{seconds:.1f}", f"{memory:.2f}", f"{prefixes:,}")
            medians.append((seconds, memory))
        return medians

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        log = Path(folder) / "yoochoose-clicks.dat"
        engines = {engine: partial(prepare, engine=engine) for engine in arguments.engines}
        compare(arguments.clicks, engines)
        if not arguments.no_pandas:
            first = next(iter(engines))
            (fast, small), (slow, large) = compare(
                arguments.clicks / 10, {first: engines[first], "pandas": prepare_with_pandas}
            )
            table.caption = (
                f"pandas takes {slow / fast:.1f} times as long as {first} and {large / small:.1f} times the memory"
            )
        if any(engine.startswith("spark") for engine in engines):
            print("The memory of spark is that of the Python process: Java's is a setting, spark.driver.memory.")
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
