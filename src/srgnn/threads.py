"""Work in parts on all cores of a CPU, in which a thread without a core holds up nobody.

An operator of torch splits its work over all threads, and ends when the last one is done. Beside other busy processes
that is the thread that has no core, in every operator anew. Here each thread computes whole parts on its own core, and
takes the next one when it has done the last.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

PARTS_PER_THREAD = 8  # the last parts leave at most an eighth of a thread's time unused


def num_parts() -> int:
    """The number of parts into which work is divided: a multiple of torch's number of threads."""
    threads = torch.get_num_threads()
    return PARTS_PER_THREAD * threads if threads > 1 else 1


def run_parts(work: Callable[[int, int], None], parts: int) -> None:
    """Calls `work(part, thread)` for every part, on as many threads as torch uses, without gradients.

    Which thread does a part is left to chance: results must not depend on it.

    Args:
        work: Does the part with this number, from 0; `thread`, from 0, is a number that no other thread has meanwhile.
        parts: Number of parts.
    """
    threads = min(torch.get_num_threads(), parts)
    remaining = iter(range(parts))  # its `next` is atomic

    def take(thread: int) -> None:
        with torch.inference_mode():
            for part in remaining:
                work(part, thread)

    if threads <= 1:
        take(0)
        return
    for ended in [_pool(threads).submit(take, thread) for thread in range(threads)]:
        ended.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "srgnn", initializer=torch.set_num_threads, initargs=(1,))


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
