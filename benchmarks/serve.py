"""Measures the service under load: `python benchmarks/serve.py`.

Starts `src/serve.py` with a model of random weights, and sends it sessions over loopback from this second process. The
load is open: requests are due at a fixed rate whether or not earlier ones are answered, and their time counts from when
they were due. Beside a load of a fixed rate, the highest rate is searched for at which 99 of 100 requests take less
than 50 ms.
"""

import argparse
import json
import math
import os
import random
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import torch

from srgnn.data.sessions import Sessions
from srgnn.exporting import export_compiled
from srgnn.index import LISTS_PER_ROOT, POINTS_PER_LIST, ItemIndex, digest_of, embedding_of
from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord

SERVE = Path(__file__).resolve().parents[1] / "src" / "serve.py"
ITEMS = 43_097  # the catalogue of Diginetica
CLICKS_PER_SESSION = 4  # about the mean of the published logs
SESSIONS = 1000  # different ones, sent in turn
TUNED = 200  # sessions that the number of lists is chosen with
CONNECTIONS = 256  # at most; a request that finds none free waits, and its time counts
BOUND = 0.05  # seconds that 99 of 100 requests may take at the highest rate
STEP = 1.25  # between the rates of the search
REFINED = 2  # halvings of the last step
RUNNING = 0.97  # share of the requests that are answered in time: at a lower one, the queue grows


@dataclass(frozen=True)
class Measured:
    """What a load found: the rate at which requests were due and answered, and their seconds, ascending."""

    rate: float
    answered: float
    seconds: Sequence[float]
    refused: int
    batch: float

    def percentile(self, percent: float) -> float:
        """The time within which this share of the requests was answered."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * percent / 100))]

    @property
    def within_bound(self) -> bool:
        """Whether the service keeps up with the rate."""
        is_running = self.answered >= RUNNING * self.rate and not self.refused
        return is_running and self.percentile(99) < BOUND

    def __str__(self) -> str:
        p50, p90, p99 = (f"{1000 * self.percentile(percent):8.1f}" for percent in (50, 90, 99))
        return f"{self.rate:8,.0f} {self.answered:12,.0f} {p50} {p90} {p99} {self.batch:8.1f} {self.refused:8,}"


HEADER = f"{'due/s':>8} {'answered/s':>12} {'p50 ms':>8} {'p90 ms':>8} {'p99 ms':>8} {'batch':>8} {'refused':>8}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--width", type=int, default=100, help="of the item embeddings")
    parser.add_argument("--k", type=int, default=20, help="items of an answer")
    parser.add_argument("--rate", type=float, default=500, help="requests per second")
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--index", action="store_true", help="searches with an index of the items")
    parser.add_argument("--compiled", action="store_true", help="answers with the compiled model")
    parser.add_argument("--no-search", action="store_true", help="leaves out the search for the highest rate")
    parser.add_argument("--folder", type=Path, help="folder for the checkpoint; a temporary one by default")
    parser.add_argument("--threads", type=int, default=1, help="of torch in the service")
    parser.add_argument("options", nargs="*", help="options of the service, such as limits.batch=64")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        checkpoint = Path(folder, "model.ckpt")
        write_checkpoint(checkpoint, options.items, options.width)
        given = [f"threads={options.threads}", *options.options]
        if options.index:
            given.append(f"index={write_index(checkpoint, options.k)}")
        if options.compiled:
            compiled = checkpoint.with_name("model.compiled")
            export_compiled(Checkpoint.load(checkpoint), compiled)
            given.append(f"compiled={compiled}")
        print(
            f"{options.items:,} items, d = {options.width}, k = {options.k}, {options.seconds:g} s per load, "
            f"torch threads: {options.threads}, cores: {os.cpu_count()}"
        )
        with service(checkpoint, given) as url:
            requests = requests_of(url, options.items, options.k)
            measure(url, requests, options.k, min(50, options.rate), min(5, options.seconds))  # warms up
            print(HEADER)
            first = measure(url, requests, options.k, options.rate, options.seconds)
            print(first, flush=True)
            if not options.no_search:
                highest = search(url, requests, options.k, options.rate, options.seconds)
                print(f"highest rate with p99 < {1000 * BOUND:g} ms: {highest:,.0f} requests/s")


def write_checkpoint(path: Path, items: int, width: int) -> None:
    """Writes an SR-GNN with random weights, and items in groups: the next item of a group is this number further on."""
    torch.manual_seed(0)
    model = SRGNNSettings(width).build(items)
    groups = num_groups(items)
    centres = torch.empty(groups, width).uniform_(-1, 1) * width**-0.5
    with torch.no_grad():
        model.item_embedding.weight.mul_(0.3).add_(centres[torch.arange(items) % groups])
    arguments = {"num_items": items, "hidden_size": width}
    Checkpoint(CheckpointRecord(arguments, list(range(items)), clicks=[1] * items), model.state_dict()).save(path)


def num_groups(items: int) -> int:
    """The number of groups of items: that of the lists of an index."""
    return max(1, min(round(LISTS_PER_ROOT * math.sqrt(items)), items // POINTS_PER_LIST))


def write_index(checkpoint: Path, k: int) -> Path:
    """Writes an index whose lists are the groups of the items: to find lists for a million items takes many minutes."""
    import faiss

    recommender = Recommender.load(checkpoint)
    rows = recommender.item_embeddings.numpy()
    groups, width = num_groups(len(rows)), rows.shape[1]
    centres = np.stack([rows[first::groups].mean(axis=0) for first in range(groups)])
    quantizer = faiss.IndexFlatIP(width)
    quantizer.add(centres)
    lists = faiss.IndexIVFFlat(quantizer, width, groups, faiss.METRIC_INNER_PRODUCT)
    lists.train(centres)  # finds that the lists are known
    lists.add(rows)
    index = ItemIndex(lists, digest_of(embedding_of(recommender.model), recommender.vocabulary))
    draw = random.Random(1)
    sessions = Sessions.from_lists([session_of(draw, len(rows)) for _ in range(TUNED)])
    best = recommender.retrieval.best_items(sessions, k).items
    index.tune(recommender.retrieval.session_embeddings(sessions), best)
    print(f"{index.lists.nprobe:,} of {groups:,} lists are searched")
    path = checkpoint.with_name("items.index")
    index.save(path)
    return path


@contextmanager
def service(checkpoint: Path, options: Sequence[str]) -> Iterator[str]:
    """Runs the service, and gives its address."""
    command = [sys.executable, str(SERVE), f"checkpoint={checkpoint}", "port=0", *options]
    log = checkpoint.with_name("log")
    with log.open("w") as output, subprocess.Popen(command, stdout=output, cwd=checkpoint.parent) as process:
        try:
            while not (found := re.search(r'"event": "listening", "url": "([^"]+)"', log.read_text())):
                if process.poll() is not None:
                    sys.exit("The service did not start.")
                time.sleep(0.1)
            yield found[1]
        finally:
            process.terminate()


def requests_of(url: str, items: int, k: int) -> list[bytes]:
    """HTTP requests for the items after random sessions."""
    draw = random.Random(0)
    requests = []
    for _ in range(SESSIONS):
        body = json.dumps({"session": session_of(draw, items), "k": k})
        head = f"POST /recommend HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
        requests.append(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return requests


def session_of(draw: random.Random, items: int) -> list[int]:
    """A session of random items."""
    length = min(50, 1 + int(draw.expovariate(1 / (CLICKS_PER_SESSION - 0.5))))
    return [draw.randrange(items) for _ in range(length)]


class Connection:
    """A connection over which one request at a time is answered."""

    def __init__(self, url: str):
        place = urlsplit(url)
        self.socket = socket.create_connection((place.hostname, place.port))
        self.due, self.received = 0.0, b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def ask(self, request: bytes, due: float) -> None:
        """Sends a request that was due at a time."""
        self.due, self.received = due, b""
        self.socket.sendall(request)

    def answer(self) -> tuple[int, bytes] | None:
        """The status and the body of the answer; None if it is not whole yet."""
        part = self.socket.recv(2**16)
        if not part:
            raise ConnectionResetError
        self.received += part
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        return (int(head[9:12]), body) if end and length and len(body) >= int(length[1]) else None


def measure(url: str, requests: Sequence[bytes], k: int, rate: float, seconds: float) -> Measured:
    """Sends requests at a fixed rate."""
    before = batches(url)
    took, refused, lasted = send(url, requests, k, rate, max(1, round(rate * seconds)))
    sessions, number = (after - earlier for after, earlier in zip(batches(url), before, strict=True))
    return Measured(rate, (len(took) - refused) / lasted, sorted(took), refused, sessions / max(1, number))


def send(url: str, requests: Sequence[bytes], k: int, rate: float, number: int) -> tuple[list[float], int, float]:
    """Sends requests when they are due; returns their seconds, the number of refusals, and the seconds of all.

    Without asyncio, which takes three times as much of the cores that it shares with the service, and is late by up to
    a millisecond.
    """
    free: list[Connection] = []
    asking: set[Connection] = set()
    took: list[float] = []
    sent = refused = 0
    begun = time.perf_counter() + 0.01
    while len(took) < number:
        while sent < number and begun + sent / rate <= time.perf_counter() and len(asking) < CONNECTIONS:
            connection = free.pop() if free else Connection(url)
            connection.ask(requests[sent % len(requests)], begun + sent / rate)
            asking.add(connection)
            sent += 1
        is_sending = sent < number and len(asking) < CONNECTIONS
        patience = max(0, begun + sent / rate - time.perf_counter()) if is_sending else None
        for connection in select.select(asking, [], [], patience)[0]:
            if (answer := connection.answer()) is None:
                continue
            status, body = answer
            if status == 200 and body.count(b'"score"') != k:
                sys.exit(f"An answer does not hold {k} items: {body!r}")
            refused += status != 200
            took.append(time.perf_counter() - connection.due)
            asking.remove(connection)
            free.append(connection)
    for connection in free:
        connection.socket.close()
    return took, refused, time.perf_counter() - begun


def batches(url: str) -> tuple[float, float]:
    """The numbers of sessions and of batches that the service has answered."""
    with urlopen(f"{url}/metrics") as response:
        text = response.read().decode()
    sessions, number = (
        float(found[1]) if (found := re.search(rf"^srgnn_batch_sessions_{name} (\S+)", text, re.MULTILINE)) else 0.0
        for name in ("sum", "count")
    )
    return sessions, number


def search(url: str, requests: Sequence[bytes], k: int, rate: float, seconds: float) -> float:
    """The highest rate that the service keeps up with within the bound; 0 if it is below one request per second."""
    held, failed = 0.0, 0.0
    while rate >= 1:
        found = measure(url, requests, k, rate, seconds)
        print(found, flush=True)
        if found.within_bound:
            held = rate
        else:
            failed = rate
        if held and failed and failed / held < STEP ** (0.5**REFINED) * 1.001:
            break
        rate = STEP * held if not failed else failed / 2 if not held else (held * failed) ** 0.5
    return held


if __name__ == "__main__":
    main()
