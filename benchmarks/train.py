"""Speed and memory of training, against what the machine can do: the rate of its large matrix products.

python benchmarks/train.py dataset=diginetica --batch-sizes 100 512                 # any setting of conf/train.yaml
python benchmarks/train.py dataset=diginetica --batch-sizes 100 512 --reference ../SR-GNN
python benchmarks/train.py trainer=gpu                                              # all variants for a GPU
python benchmarks/train.py dataset=synthetic dataset.items_per_category=50000 loss=sampled_softmax batch_size=512

Without dataset= it generates sessions of the size of Diginetica. The limit is the time of the three products of
2·B·d·V operations that no exact full softmax avoids: scores, gradient of the sessions, gradient of the items.
"""

import argparse
import contextlib
import importlib.util
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import Module

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import door  # noqa: E402
from srgnn.data import SessionData, Sessions  # noqa: E402
from srgnn.data.datamodule import evaluation_batch  # noqa: E402
from srgnn.data.graphs import SessionGraphs  # noqa: E402
from srgnn.errors import UserError  # noqa: E402
from srgnn.metrics import rank  # noqa: E402
from srgnn.module import NextItemModule  # noqa: E402
from srgnn.nn import LOSSES, SRGNN  # noqa: E402
from srgnn.nn.losses import FullSoftmax, OfScores, SampledSoftmax  # noqa: E402

AS_DIGINETICA = ["dataset.sessions=200000", "dataset.items_per_category=2155"]  # 20 shelves: 43,100 items
PARTS = ["batch", "forward", "loss", "backward", "optimizer"]
PRODUCT = {"cpu": 2048, "cuda": 8192}  # rows and columns of the large product; on a CPU 4096 is as fast


@dataclass
class Trained:
    """One way to train, step by step. The loss makes the gradients of its own inputs, but for plain scores."""

    name: str
    step: Callable[[Tensor, Callable[[str], None]], Any]  # prefixes, and what to call after each part
    rounds: list[dict[str, float]] = field(default_factory=list)
    memory: float | None = None  # at its peak, in GB, where it can be told from that of the others

    def time(self, batches: list[Tensor], synchronize: Callable[[], None]) -> None:
        """Adds a round: seconds per step, and those of its parts, which are taken in steps of their own."""
        parts = dict.fromkeys(PARTS, 0.0)
        synchronize()
        last = time.perf_counter()

        def lap(part: str) -> None:
            nonlocal last
            synchronize()
            now = time.perf_counter()
            parts[part] += now - last
            last = now

        for batch in batches:
            self.step(batch, lap)
        synchronize()
        started = time.perf_counter()
        for batch in batches:
            self.step(batch, lambda part: None)
        synchronize()
        seconds = time.perf_counter() - started
        self.rounds.append({name: value / len(batches) for name, value in {**parts, "step": seconds}.items()})

    def median(self, name: str = "step") -> float:
        return statistics.median(each[name] for each in self.rounds)

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a share of the median."""
        quartiles = statistics.quantiles([each["step"] for each in self.rounds], n=4)
        return (quartiles[2] - quartiles[0]) / 2 / self.median()


def ours(
    name: str,
    config: dict[str, Any],
    data: SessionData,
    graphs: SessionGraphs,
    loss: Module | None = None,
    matmul: str = "highest",
    precision: str = "32-true",
    compiled: bool = False,
) -> Trained:
    """What `python src/train.py` does in a step, without Lightning's loop."""
    device = graphs.items.device
    torch.manual_seed(config["seed"])
    clicks = torch.bincount(data.train.items, minlength=data.num_items)
    with door.within("model"):
        model = SRGNN(data.num_items, **config["model"])
    module = NextItemModule(model, config["loss"], clicks, config["sampling"], **config["optimizer"]).to(device)
    optimizer = module.configure_optimizers()["optimizer"]
    if loss is not None:
        module.loss = loss
    model.item_embedding.sparse = isinstance(module.loss, SampledSoftmax) and device.type == "cpu"
    if compiled:
        model._embed = torch.compile(model._embed, dynamic=True)

    def step(prefixes: Tensor, lap: Callable[[str], None]) -> None:
        torch.set_float32_matmul_precision(matmul)
        optimizer.zero_grad()
        batch = graphs[prefixes]
        lap("batch")
        with torch.autocast(device.type, torch.bfloat16, enabled="bf16" in precision):
            embedded = module.embed(batch)
            lap("forward")
            value = module.loss(*embedded, batch.y)
            lap("loss")
        value.backward()
        lap("backward")
        optimizer.step()
        lap("optimizer")

    return Trained(name, step)


class InItsOwnProcess(Trained):
    """The authors' PyTorch code, as it runs by itself: with its own memory, and the allocator as it is."""

    def __init__(self, path: Path, config: dict[str, Any], data: SessionData):
        super().__init__("the authors' code", lambda prefixes, lap: None)
        context = torch.multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        told = (other, path, config, data.train, data.num_items)
        self.process = context.Process(target=serve_reference, args=told, daemon=True)
        self.process.start()

    def time(self, batches: list[Tensor], synchronize: Callable[[], None]) -> None:
        self.pipe.send(batches)
        measured, self.memory = self.pipe.recv()
        self.rounds.append(measured)


def serve_reference(pipe: Any, path: Path, config: dict[str, Any], train: Sessions, num_items: int) -> None:
    warnings.filterwarnings("ignore", message="Creating a tensor from a list of numpy.ndarrays")
    way = reference(path, config, train, num_items)
    with contextlib.suppress(EOFError):  # the end of the other process
        while True:
            way.time(pipe.recv(), lambda: None)
            pipe.send((way.rounds[-1], door.peak_memory()))


def reference(path: Path, config: dict[str, Any], train: Sessions, num_items: int) -> Trained:
    """The authors' PyTorch code, from a checkout of CRIPAC-DIG/SR-GNN, on the same prefixes."""
    code = {}
    for name in ("utils", "model"):
        spec = importlib.util.spec_from_file_location(f"reference_{name}", path / "pytorch_code" / f"{name}.py")
        code[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(code[name])
    sessions = [session.tolist() for session in train]
    prefixes = [[item + 1 for item in session[:n]] for session in sessions for n in range(len(session) - 1, 0, -1)]
    targets = [session[n] + 1 for session in sessions for n in range(len(session) - 1, 0, -1)]
    samples = code["utils"].Data((prefixes, targets))
    steps, optimizer = config["model"]["propagation_steps"], config["optimizer"]
    options = SimpleNamespace(
        hiddenSize=config["model"]["hidden_size"],
        batchSize=config["batch_size"],
        nonhybrid=config["model"]["readout"] == "global",
        step=steps,
        lr=optimizer["lr"],
        l2=optimizer["weight_decay"],
        lr_dc=optimizer["lr_decay"],
        lr_dc_step=optimizer["lr_decay_every"],
    )
    model = code["model"].SessionGraph(options, num_items + 1)

    def step(indices: Tensor, lap: Callable[[str], None]) -> None:
        # Its own loop, `train_test` and `forward`, taken apart: the batch is cut when it is asked for.
        model.optimizer.zero_grad()
        slices = samples.get_slice(indices.numpy())
        lap("batch")
        cut = SimpleNamespace(get_slice=lambda i: slices)
        targets, scores = code["model"].forward(model, indices, cut)
        lap("forward")
        loss = model.loss_function(scores, torch.tensor(targets).long() - 1)
        lap("loss")
        loss.backward()
        lap("backward")
        model.optimizer.step()
        lap("optimizer")

    return Trained("the authors' code", step)


def variants(config: dict[str, Any], data: SessionData, graphs: SessionGraphs) -> Iterator[Trained]:
    own = {"matmul": config["matmul_precision"], "precision": config["trainer"]["precision"]}
    yield ours("this project", config, data, graphs, **own)
    if config["loss"] != "cross_entropy":
        return
    scores = OfScores(LOSSES["cross_entropy"])
    if graphs.items.device.type == "cpu":
        yield ours("with all scores", config, data, graphs, scores)
        return
    chunked = FullSoftmax("chunked")
    yield ours("with all scores", config, data, graphs, scores)
    yield ours("TF32", config, data, graphs, chunked, "high")
    yield ours("TF32, with all scores", config, data, graphs, scores, "high")
    yield ours("TF32, compiled", config, data, graphs, chunked, "high", compiled=True)
    yield ours("bf16", config, data, graphs, chunked, precision="bf16-mixed")
    yield ours("bf16, with all scores", config, data, graphs, scores, precision="bf16-mixed")
    yield ours("bf16, compiled", config, data, graphs, chunked, precision="bf16-mixed", compiled=True)
    if importlib.util.find_spec("cut_cross_entropy"):
        yield ours("bf16, cut-cross-entropy", config, data, graphs, FullSoftmax("cut"), precision="bf16-mixed")


def product_rate(device: torch.device, synchronize: Callable[[], None]) -> float:
    """Operations per second of a large float32 matrix product: the median of five."""
    torch.set_float32_matmul_precision("highest")
    size = PRODUCT[device.type]
    a, b = torch.randn(2, size, size, device=device)
    out = torch.empty_like(a)
    seconds = []
    for _ in range(6):
        synchronize()
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(seconds[1:])


def measure(batch_size: int, arguments: argparse.Namespace, config: dict[str, Any], data: SessionData) -> None:
    on_gpu = config["trainer"]["accelerator"] == "gpu"
    device = torch.device("cuda" if on_gpu else "cpu")
    synchronize = torch.cuda.synchronize if on_gpu else lambda: None
    config = {**config, "batch_size": batch_size}
    graphs = SessionGraphs(data.train, data.num_items, device)
    generator = torch.Generator().manual_seed(config["seed"])

    def draw() -> list[Tensor]:
        return list(torch.randperm(len(graphs), generator=generator).split(batch_size)[: arguments.steps])

    ways, before = [], 0
    for way in variants(config, data, graphs):
        try:
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            way.time(draw(), synchronize)  # warm
        except Exception as error:  # a variant that this GPU or torch cannot do says so, and the others go on
            if not on_gpu:
                raise
            print(f"{way.name}: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
            continue
        if on_gpu:
            way.memory = (torch.cuda.max_memory_allocated() - before) / 1e9  # without what the ways before it hold
            before = torch.cuda.memory_allocated()
        elif not ways and batch_size == (arguments.batch_sizes or [batch_size])[0]:  # nothing else has run yet
            way.memory = door.peak_memory()
        ways.append(way)
    if arguments.reference:
        ways.append(InItsOwnProcess(arguments.reference, config, data))
        ways[-1].time(draw(), synchronize)
    rates = []
    for way in ways:
        way.rounds.clear()
    for _ in track(range(arguments.rounds), description=f"Batch {batch_size}", transient=True):
        rates.append(product_rate(device, synchronize))
        batches = draw()
        for way in ways:  # in turns, on the same prefixes
            way.time(batches, synchronize)

    operations = 6 * batch_size * config["model"]["hidden_size"] * data.num_items
    limits = [operations / rate for rate in rates]
    epoch = -(-len(graphs) // batch_size)
    columns = ["prefixes/s", "step, ms", "±", "of the limit", *PARTS, "epoch, s", "peak GB"]
    table = door.new_table(
        f"Batch {batch_size}, d = {config['model']['hidden_size']}, {data.num_items:,} items: the limit is "
        f"{1e3 * statistics.median(limits):.1f} ms at {statistics.median(rates) / 1e9:,.0f} GFLOP/s",
        "",
        *columns,
    )
    for way in ways:
        share = statistics.median(limit / each["step"] for limit, each in zip(limits, way.rounds, strict=True))
        table.add_row(
            way.name,
            f"{batch_size / way.median():,.0f}",
            f"{1e3 * way.median():.2f}",
            f"{way.spread:.0%}",
            f"{share:.0%}" if config["loss"] != "sampled_softmax" else "",
            *(f"{1e3 * way.median(part):.2f}" for part in PARTS),
            f"{epoch * way.median():,.0f}",
            f"{way.memory:.2f}" if way.memory else "",
        )
    Console(width=160).print(table)
    for way in ways[1:]:
        ratios = [each["step"] / own["step"] for each, own in zip(way.rounds, ways[0].rounds, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(f"{way.name}: {statistics.median(ratios):.2f} times as long as {ways[0].name} ({low:.2f} to {high:.2f})")


def measure_evaluation(config: dict[str, Any], data: SessionData) -> None:
    """Ranks and the best 20 items of all test prefixes, among all items."""
    device = torch.device("cuda" if config["trainer"]["accelerator"] == "gpu" else "cpu")
    model = SRGNN(data.num_items, **config["model"]).to(device).eval()
    graphs = SessionGraphs(data.test, data.num_items, device)
    size = evaluation_batch(data.num_items, device)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        ranked = rank(model, (graphs[i : i + size] for i in range(0, len(graphs), size)), top=20)
        ranked.rank.sum().item()
        seconds.append(time.perf_counter() - started)
    print(f"Evaluation: ranks and top 20 of {len(graphs):,} test prefixes in {statistics.median(seconds):.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of conf/train.yaml, such as dataset=diginetica model=srgnn_fast")
    parser.add_argument("--batch-sizes", type=int, nargs="+", help="one table for each; that of the configuration")
    parser.add_argument("--rounds", type=int, default=9, help="of which the median is shown")
    parser.add_argument("--steps", type=int, default=10, help="in each round, twice")
    parser.add_argument("--reference", type=Path, help="a checkout of CRIPAC-DIG/SR-GNN, timed in alternation")
    arguments = parser.parse_intermixed_args()
    if arguments.rounds < 2:
        parser.error("--rounds: two at least, for a spread")
    chosen = arguments.overrides
    if not any(text.startswith("dataset=") for text in chosen):
        chosen = [*AS_DIGINETICA, *chosen]
    if arguments.reference and not (arguments.reference / "pytorch_code" / "model.py").is_file():
        sys.exit(f"Error: --reference {arguments.reference}: expected a checkout of CRIPAC-DIG/SR-GNN.")
    with initialize_config_dir(str(door.CONF), version_base="1.3"):
        config = compose("train", [*chosen, "~logger"])
    dataset = door.build(config, "dataset")
    config = door.plain(config)
    on_gpu = config["trainer"]["accelerator"] == "gpu"
    if on_gpu and not torch.cuda.is_available():
        raise UserError("trainer=gpu: torch sees no GPU here; leave it out to measure the CPU.")
    door.keep_freed_memory()
    data = dataset.load()
    name = torch.cuda.get_device_name() if on_gpu else f"{os.cpu_count()} cores"
    print(f"{data.manifest['name']} on {name}, torch {torch.__version__}")
    for batch_size in arguments.batch_sizes or [config["batch_size"]]:
        measure(batch_size, arguments, config, data)
    measure_evaluation(config, data)


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with door.one_sentence():
        main()
