"""Measures steps of training with an item table that is sharded over processes: `python benchmarks/sharding.py`.

Each row is a training of its own, on random sessions of four clicks: memory of the largest process, bytes that are
reduced over all processes in a step, and seconds of a step. The columns beside are what the formulas in docs/scaling.md
expect.
"""

import argparse
import os
import socket
import statistics
import time
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.memory import forget_peak, keep_freed_memory, peak_memory
from srgnn.nn import Sampling, SRGNNSettings, build_loss
from srgnn.training.optimizer import LazyAdam
from srgnn.training.sharding import COPIES, SHARDS, average_gradients

CLICKS = 4  # of a session, about the mean of the published logs
WARM_UP = 2  # steps that are not timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--losses", nargs="+", default=["cross_entropy", "sampled_softmax"])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.items:,} items, d = {options.width}, batch {options.batch_size}, {os.cpu_count()} cores")
    print(f"{'loss':<16} processes  GB  expected  MB a step  expected  s a step")
    for loss in options.losses:
        for processes in options.processes:
            # Of every process, even of one, so that none inherits the memory of another.
            with torch.multiprocessing.get_context("spawn").Pool(processes) as pool, socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
                free.close()
                works = [(rank, processes, port, loss, options) for rank in range(processes)]
                measured = pool.starmap(measure, works, chunksize=1)
                pool.close()
                pool.join()  # their memory is free before the next ones begin
            gigabytes, sent, seconds = (max(values) for values in zip(*measured, strict=True))
            print(
                f"{loss:<16} {processes:9} {gigabytes:4.1f} {expected_memory(loss, processes, options):8.1f}  "
                f"{sent / 1e6:9.2f} {expected_traffic(loss, processes, options) / 1e6:9.2f} {seconds:9.2f}"
            )


def measure(rank: int, processes: int, port: int, loss_name: str, options: Any) -> tuple[float, int, float]:
    """Peak memory beyond that of the libraries in GB, bytes exchanged in a step, and seconds of a step."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    keep_freed_memory()
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    mesh = init_device_mesh("cpu", (1, processes), mesh_dim_names=(COPIES, SHARDS))
    generator = torch.Generator().manual_seed(0)
    count = options.batch_size * (WARM_UP + options.steps)
    clicks = torch.randint(options.items, (count, CLICKS + 1), generator=generator)
    graphs = SessionGraphs(Sessions.from_lists(clicks.tolist()), options.items)
    longest = (graphs.length == CLICKS).nonzero().view(-1)
    imported = peak_memory()
    model = SRGNNSettings(options.width).build(options.items)
    if processes > 1:
        model.item_embedding.shard_over(mesh[SHARDS])
    forget_peak()  # the whole table is drawn once, in every process
    loss = build_loss(loss_name, torch.ones(options.items, dtype=torch.long), Sampling())
    model.item_embedding.sparse = loss.sparse
    optimizer = LazyAdam(model.parameters(), fused=True)
    exchanged, seconds = count_exchanged(), []
    for step in range(WARM_UP + options.steps):
        torch.manual_seed(step)
        batch = graphs[longest[step * options.batch_size : (step + 1) * options.batch_size]]
        started, exchanged[0] = time.perf_counter(), 0
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()  # type: ignore[no-untyped-call]
        if processes > 1:
            average_gradients(model, mesh)
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    gigabytes = peak_memory() - imported
    dist.destroy_process_group()
    return gigabytes, exchanged[0], statistics.median(seconds[WARM_UP:])


def count_exchanged() -> list[int]:
    """A list of one number, to which every tensor that is reduced from now on adds its bytes."""
    reduce, total = dist.all_reduce, [0]

    def counted(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
        total[0] += tensor.nbytes
        return reduce(tensor, *arguments, **options)

    dist.all_reduce = counted
    return total


def expected_memory(loss: str, processes: int, options: Any) -> float:
    """GB of weights, moments and, for the full softmax, gradient and exponentials."""
    width: int = options.width
    numbers = (4 * width + options.batch_size) / processes  # for every item
    if loss == "sampled_softmax":
        numbers = 3 * width / processes + 3  # the probabilities of all items in every process
    return 4 * float(options.items * numbers) / 1e9


def expected_traffic(loss: str, processes: int, options: Any) -> float:
    """Bytes of the rows that are looked up, of the gradients of sessions, and of the other parameters' gradients."""
    if processes == 1:
        return 0
    batch: int = options.batch_size
    width: int = options.width
    rows = batch * CLICKS + batch + (Sampling().negatives if loss == "sampled_softmax" else batch)
    parameters = sum(p.numel() for p in SRGNNSettings(width).build(1).parameters()) - width
    return 4 * (rows * width + parameters)


if __name__ == "__main__":
    main()
