"""Speed and memory of training, against what the machine can do: the rate of its large matrix products.

python benchmarks/train.py dataset=diginetica --batch-sizes 100 512                 # any setting of conf/train.yaml
python benchmarks/train.py dataset=diginetica --batch-sizes 100 512 --reference ../SR-GNN
python benchmarks/train.py dataset=diginetica batch_size=512 --busy 2               # beside two busy processes, too
python benchmarks/train.py trainer=gpu                                              # all variants for a GPU
python benchmarks/train.py dataset=synthetic dataset.items_per_category=50000 dataset.titles=false loss=sampled_softmax

Without dataset= it generates a data set the size of Diginetica. The limit is the time of the three products of
2·B·d·V operations that no exact full softmax avoids: scores, gradient of the sessions, gradient of the items.
"""

from srgnn.cli import CONF  # first: srgnn sets how the threads of torch wait, before torch is loaded

# isort: split
import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from authors import AuthorsCode
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.progress import track
from timing import PARTS, Setting, Trained
from torch import Tensor

from srgnn.cli.config import build, plain
from srgnn.cli.errors import one_sentence
from srgnn.cli.tables import new_table, show_log
from srgnn.contracts import DataSet, Loss
from srgnn.data import SessionData
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import UserError
from srgnn.evaluation import rank
from srgnn.memory import keep_freed_memory, peak_memory
from srgnn.nn import FullSoftmax, ScoreLoss, build_loss
from srgnn.nn.losses import cross_entropy
from srgnn.nn.softmax import has_bfloat16

LIKE_DIGINETICA = ["dataset.sessions=200000", "dataset.items_per_category=2155"]  # 20 shelves: 43,100 items
PRODUCT = {"cpu": 2048, "cuda": 8192}  # rows and columns of the large product; on a CPU 4096 is as fast


def ours(
    name: str, setting: Setting, data: SessionData, graphs: SessionGraphs, loss: Loss | None = None, **changes: Any
) -> Trained:
    """A step of `python src/train.py`, without Lightning's loop.

    Args:
        name: Row of the table.
        setting: The training to measure.
        data: The data whose clicks determine the sample of a loss.
        graphs: Training prefixes.
        loss: A loss to use instead of that of the setting.
        changes: Values of the setting to change; `compiled=True` compiles the network.
    """
    compiled = changes.pop("compiled", False)
    setting = replace(setting, **changes)
    device = graphs.items.device
    torch.manual_seed(setting.seed)
    model = setting.model.build(data.num_items).to(device)
    optimizer = setting.optimizer.build(p for p in model.parameters() if p.requires_grad)["optimizer"]
    if loss is None:
        clicks = torch.bincount(data.train.items, minlength=data.num_items)
        loss = build_loss(setting.loss, clicks.to(device), setting.sampling)
    model.item_embedding.sparse = loss.sparse and device.type == "cpu"
    if compiled:
        model.encode = torch.compile(model.encode, dynamic=True)  # type: ignore[method-assign]
    encode = model.encode
    lap_of_step: list[Callable[[str], None]] = [lambda part: None]

    def encode_and_lap(states: Tensor, batch: Any) -> Tensor:
        session = encode(states, batch)
        lap_of_step[0]("forward")
        return session

    model.encode = encode_and_lap  # type: ignore[method-assign]

    def step(prefixes: Tensor, lap: Callable[[str], None]) -> None:
        lap_of_step[0] = lap
        torch.set_float32_matmul_precision(setting.matmul)
        optimizer.zero_grad()
        batch = graphs[prefixes]
        lap("batch")
        with torch.autocast(device.type, torch.bfloat16, enabled="bf16" in setting.precision):
            value = loss(model, batch)
            lap("loss")
        torch.autograd.backward(value)
        lap("backward")
        optimizer.step()
        lap("optimizer")

    return Trained(name, step, dtype=torch.bfloat16 if "bf16" in setting.precision else torch.float32)


def variants(setting: Setting, data: SessionData, graphs: SessionGraphs) -> Iterator[Trained]:
    """The variants of the training that are compared, this project's first."""
    yield ours("this project", setting, data, graphs)
    if setting.loss != "cross_entropy":
        return
    scores, chunked = ScoreLoss(cross_entropy), FullSoftmax("chunked")
    yield ours("with all scores", setting, data, graphs, scores)
    if graphs.items.device.type == "cpu":
        if has_bfloat16():
            yield ours("bf16", setting, data, graphs, precision="bf16-mixed")
        return
    yield ours("TF32", setting, data, graphs, chunked, matmul="high")
    yield ours("TF32, with all scores", setting, data, graphs, scores, matmul="high")
    yield ours("TF32, compiled", setting, data, graphs, chunked, matmul="high", compiled=True)
    yield ours("bf16", setting, data, graphs, chunked, precision="bf16-mixed")
    yield ours("bf16, with all scores", setting, data, graphs, scores, precision="bf16-mixed")
    yield ours("bf16, compiled", setting, data, graphs, chunked, precision="bf16-mixed", compiled=True)


def product_rate(device: torch.device, synchronize: Callable[[], None], dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product: the median of five."""
    torch.set_float32_matmul_precision("highest")
    size = PRODUCT[device.type]
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    out = torch.empty_like(a)
    seconds = []
    for _ in range(6):
        synchronize()
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(seconds[1:])


def measure(setting: Setting, arguments: argparse.Namespace, data: SessionData, alone: bool) -> None:
    """Prints the table of one batch size.

    Args:
        setting: The training to measure.
        arguments: Numbers of rounds and steps, and the checkout of the authors' code.
        data: The training sessions.
        alone: Whether nothing else has run in this process, so the peak memory is that of the first row.
    """
    device, on_gpu = setting.device, setting.device.type == "cuda"
    synchronize: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
    graphs = SessionGraphs(data.train, data.num_items, device)
    generator = torch.Generator().manual_seed(setting.seed)

    def draw() -> list[Tensor]:
        order = torch.randperm(len(graphs), generator=generator)
        return list(torch.split(order, setting.batch_size)[: arguments.steps])

    rows: list[Trained] = []
    before = 0
    for row in variants(setting, data, graphs):
        try:
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            row.time(draw(), synchronize)  # warm-up
        except Exception as error:  # a variant that this GPU or torch cannot run is reported; the others still run
            if not on_gpu:
                raise
            print(f"{row.name}: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
            continue
        if on_gpu:
            row.memory = (torch.cuda.max_memory_allocated() - before) / 1e9  # without what earlier variants hold
            before = torch.cuda.memory_allocated()
        elif not rows and alone:
            row.memory = peak_memory()
        rows.append(row)
    if arguments.reference:
        rows.append(AuthorsCode(arguments.reference, setting, data))
        rows[-1].time(draw(), synchronize)
    rates: dict[torch.dtype, list[float]] = {row.dtype: [] for row in rows}

    def time_in_turn() -> None:
        for row in rows:
            row.rounds.clear()
        for _ in track(range(arguments.rounds), description=f"Batch {setting.batch_size}", transient=True):
            for dtype, measured in rates.items():
                measured.append(product_rate(device, synchronize, dtype))
            batches = draw()
            for row in rows:  # on the same prefixes
                row.time(batches, synchronize)

    time_in_turn()
    print_table(setting, rows, rates, data.num_items, steps=-(-len(graphs) // setting.batch_size))
    if arguments.busy:
        alone_seconds = [row.median() for row in rows]
        with busy_processes(arguments.busy):
            time_in_turn()
        for row, before_seconds in zip(rows, alone_seconds, strict=True):
            print(
                f"{row.name}, beside {arguments.busy} busy processes: {1e3 * row.median():.0f} ms a step, "
                f"{row.median() / before_seconds:.1f} times as long as alone"
            )


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keeps this many other processes computing."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def print_table(
    setting: Setting, rows: list[Trained], rates: dict[torch.dtype, list[float]], num_items: int, steps: int
) -> None:
    """Prints the medians of all variants against the limit, and their ratios to the first; `steps` make an epoch."""
    operations = 6 * setting.batch_size * setting.model.hidden_size * num_items
    limits = {dtype: [operations / rate for rate in measured] for dtype, measured in rates.items()}
    names = {torch.float32: "float32", torch.bfloat16: "bf16"}
    limit = ", ".join(
        f"{1e3 * statistics.median(limits[dtype]):.1f} ms at {statistics.median(measured) / 1e9:,.0f} GFLOP/s in "
        f"{names[dtype]}"
        for dtype, measured in rates.items()
    )
    columns = ["prefixes/s", "step, ms", "±", "of the limit", *PARTS, "epoch, s", "peak GB"]
    table = new_table(
        f"Batch {setting.batch_size}, d = {setting.model.hidden_size}, {num_items:,} items: the limit is {limit}",
        "",
        *columns,
    )
    for row in rows:
        share = statistics.median(
            least / each["step"] for least, each in zip(limits[row.dtype], row.rounds, strict=True)
        )
        table.add_row(
            row.name,
            f"{setting.batch_size / row.median():,.0f}",
            f"{1e3 * row.median():.2f}",
            f"{row.spread:.0%}",
            f"{share:.0%}" if setting.loss != "sampled_softmax" else "",
            *(f"{1e3 * row.median(part):.2f}" for part in PARTS),
            f"{steps * row.median():,.0f}",
            f"{row.memory:.2f}" if row.memory else "",
        )
    Console(width=160).print(table)
    for row in rows[1:]:
        ratios = [each["step"] / own["step"] for each, own in zip(row.rounds, rows[0].rounds, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(f"{row.name}: {statistics.median(ratios):.2f} times as long as {rows[0].name} ({low:.2f} to {high:.2f})")


def measure_evaluation(setting: Setting, data: SessionData) -> None:
    """Times the ranks and the best 20 items of all test prefixes, among all items."""
    model = setting.model.build(data.num_items).to(setting.device).eval()
    graphs = SessionGraphs(data.test, data.num_items, setting.device)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        rank(model, graphs, top=20)
        seconds.append(time.perf_counter() - started)
    print(f"Evaluation: ranks and top 20 of {len(graphs):,} test prefixes in {statistics.median(seconds):.1f} s")


def configured(overrides: list[str]) -> tuple[Setting, DataSet]:
    """The setting and the data set of `conf/train.yaml` with these overrides."""
    if not any(text.startswith("dataset=") for text in overrides):
        overrides = [*LIKE_DIGINETICA, *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [*overrides, "~logger"])
    values = plain(config)
    setting = Setting(
        **{name: build(config, name) for name in ("model", "optimizer", "sampling")},
        **{name: values[name] for name in ("loss", "batch_size", "seed")},
        matmul=values["matmul_precision"],
        precision=values["trainer"]["precision"],
        accelerator=values["trainer"]["accelerator"],
    )
    return setting, build(config, "dataset")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "overrides", nargs="*", help="options of conf/train.yaml, such as dataset=diginetica recipe=srgnn_fast"
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", help="one table for each; by default, the configured one")
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds; their median is shown")
    parser.add_argument("--steps", type=int, default=10, help="steps in each round, taken twice")
    parser.add_argument("--busy", type=int, default=0, help="measure once more beside this many busy processes")
    parser.add_argument("--reference", type=Path, help="a checkout of CRIPAC-DIG/SR-GNN, timed in turn with the rest")
    arguments = parser.parse_intermixed_args()
    if arguments.rounds < 2:
        parser.error("--rounds: at least two, for the spread")
    if arguments.reference and not (arguments.reference / "pytorch_code" / "model.py").is_file():
        sys.exit(f"Error: --reference {arguments.reference}: expected a checkout of CRIPAC-DIG/SR-GNN.")
    setting, data_set = configured(arguments.overrides)
    on_gpu = setting.device.type == "cuda"
    if on_gpu and not torch.cuda.is_available():
        raise UserError("trainer=gpu: torch sees no GPU here; leave it out to measure the CPU.")
    keep_freed_memory()
    data = data_set.load()
    name = torch.cuda.get_device_name() if on_gpu else f"{os.cpu_count()} cores"
    print(f"{data.manifest['name']} on {name}, torch {torch.__version__}")
    for number, batch_size in enumerate(arguments.batch_sizes or [setting.batch_size]):
        measure(replace(setting, batch_size=batch_size), arguments, data, alone=number == 0)
    measure_evaluation(setting, data)


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"
    show_log()
    with one_sentence("train"):
        main()
