"""Requests that arrive together are answered as one batch, in one thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from srgnn.answers import Query
from srgnn.serving.problems import busy

R = TypeVar("R")


@dataclass(frozen=True)
class _Request(Generic[R]):
    """The queries of one request, and what will hold their answers."""

    queries: Sequence[Query]
    answered: "asyncio.Future[list[R]]"


class Batcher(Generic[R]):
    """Answers queries in batches: each one takes what is waiting, up to a limit, and waits for nothing more.

    A batch that fails is halved until the request is found that is to blame: the others are answered.

    Args:
        answer: Answers queries, computed together; it runs in a thread of its own, one call at a time.
        batch: Queries of a batch; a larger request makes one of its own.
        waiting: Queries that may wait.
        observe: Called with the number of queries of every batch.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Query]], list[R]],
        batch: int,
        waiting: int,
        observe: Callable[[int], None] = lambda size: None,
    ):
        self.compute, self.batch, self.room, self.observe = answer, batch, waiting, observe
        self.num_waiting = 0
        self._requests: deque[_Request[R]] = deque()
        self._thread: ThreadPoolExecutor | None = None
        self._running: asyncio.Task[None] | None = None

    def check_room(self, number: int) -> None:
        """Checks that this number of queries may wait.

        Raises:
            Refusal: if too many wait already.
        """
        if self.num_waiting + number > self.room:
            raise busy(f"{self.num_waiting} sessions are waiting for their turn")

    async def answer(self, queries: Sequence[Query]) -> list[R]:
        """The answers to queries, once it is their turn. Requests that are cancelled before are not computed.

        Raises:
            Refusal: if too many wait already.
            UserError: if they cannot be answered.
        """
        self.check_room(len(queries))
        request = _Request(queries, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self.num_waiting += len(queries)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await request.answered

    def close(self) -> None:
        """Ends the thread once it has done what it is at; the next request would start another one."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._thread = self._thread or ThreadPoolExecutor(1, "answers")
        try:
            while batch := self._take():
                outcomes = await loop.run_in_executor(self._thread, self._outcomes, batch)
                for request, outcome in zip(batch, outcomes, strict=True):
                    if request.answered.done():  # cancelled meanwhile
                        continue
                    if isinstance(outcome, Exception):
                        request.answered.set_exception(outcome)
                    else:
                        request.answered.set_result(outcome)
        finally:
            self._running = None

    def _take(self) -> list[_Request[R]]:
        """The requests of the next batch."""
        batch: list[_Request[R]] = []
        size = 0
        while self._requests and (not batch or size + len(self._requests[0].queries) <= self.batch):
            request = self._requests.popleft()
            self.num_waiting -= len(request.queries)
            if not request.answered.done():
                batch.append(request)
                size += len(request.queries)
        if batch:
            self.observe(size)
        return batch

    def _outcomes(self, batch: Sequence[_Request[R]]) -> list[list[R] | Exception]:
        """The answers to each request of a batch, or its error."""
        try:
            answers = iter(self.compute([query for request in batch for query in request.queries]))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            half = len(batch) // 2
            return self._outcomes(batch[:half]) + self._outcomes(batch[half:])
        return [[next(answers) for _ in request.queries] for request in batch]
