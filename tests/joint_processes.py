"""Processes that compute together, for tests of what is sharded over several.

Not in conftest.py: processes find functions by the name of their module, and several folders have a conftest.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist


class Processes:
    """Four processes that work together on a function of a test. They are started once, which takes seconds."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(4, spawn, initializer=torch.set_num_threads, initargs=(1,))

    def __call__(self, count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Calls a function of a test module in `count` processes at the same time; returns what each returned.

        `torch.distributed` is ready there, and Lightning takes each for one of its own processes.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        works = [self.pool.submit(_in_process, rank, count, port, function, arguments) for rank in range(count)]
        try:
            return [work.result(200) for work in works]
        except (BrokenProcessPool, RuntimeError, TimeoutError):  # the next test would fail in these processes, too
            for process in multiprocessing.active_children():
                process.kill()
            self.start()
            raise


def _in_process(rank: int, count: int, port: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    environment = {
        "LOCAL_RANK": rank,
        "RANK": rank,
        "WORLD_SIZE": count,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    os.environ |= {name: str(value) for name, value in environment.items()}
    dist.init_process_group("gloo", timeout=timedelta(seconds=180))
    try:
        return function(*arguments)
    finally:
        dist.destroy_process_group()
