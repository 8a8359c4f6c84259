"""Sessions that the service keeps between clicks: in its own memory, or in Redis or Valkey."""

import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

from srgnn.errors import ArgumentError, UserError, check_float, check_int

UNREACHABLE = "The store of sessions does not answer: try again, or send the clicks as session."


class StoreError(UserError):
    """The store of sessions does not answer."""


class SessionStore(Protocol):
    """Keeps the latest clicks of sessions for a time after the last one."""

    async def add(self, session: str, click: int | str, most: int) -> list[int | str]:
        """Appends a click to a session, new or not, and returns its latest clicks, at most `most`, oldest first.

        Raises:
            StoreError: if the store does not answer.
        """

    async def close(self) -> None:
        """Gives up connections."""


class MemoryStore:
    """Sessions in the memory of this process: they end with it, and no other process sees them.

    Args:
        seconds: Time after the last click that a session is kept.
        sessions: Number of sessions; the one that was clicked in longest ago makes room for a new one.
        clock: Gives the time in seconds.
    """

    def __init__(self, seconds: float = 1800, sessions: int = 100_000, clock: Callable[[], float] = time.monotonic):
        self.seconds = check_float("seconds", seconds, 0, exclusive=True)
        self.sessions = check_int("sessions", sessions, 1)
        self.clock = clock
        self._kept: OrderedDict[str, tuple[float, deque[int | str]]] = OrderedDict()  # by the time of the last click

    def __len__(self) -> int:
        return len(self._kept)

    async def add(self, session: str, click: int | str, most: int) -> list[int | str]:
        now = self.clock()
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
        clicks = self._kept.pop(session, (now, deque[int | str](maxlen=most)))[1]
        clicks.append(click)
        self._kept[session] = now + self.seconds, clicks
        if len(self._kept) > self.sessions:
            self._kept.popitem(last=False)
        return list(clicks)

    async def close(self) -> None:
        self._kept.clear()


class RedisStore:
    """Sessions in Redis or Valkey, which several services may share.

    Each one is a list of its latest clicks that expires.

    Args:
        url: Address, such as `redis://localhost:6379/0` or `valkey://localhost`.
        seconds: Time after the last click that a session is kept.
        timeout: Seconds until the store counts as unreachable.
        prefix: Beginning of the keys.

    Raises:
        UserError: if the client is not installed, or the address is not one.
    """

    def __init__(self, url: str, seconds: float = 1800, timeout: float = 1.0, prefix: str = "srgnn:"):
        try:
            from redis import asyncio as client
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import ConnectionError, RedisError
        except ModuleNotFoundError as error:
            raise UserError("store=redis needs its client: pip install 'srgnn[serve]'.", "store") from error
        self.milliseconds = round(1000 * check_float("seconds", seconds, 0.001))
        check_float("timeout", timeout, 0, exclusive=True)
        self.prefix = prefix
        self._failures = (RedisError, OSError, ValueError)
        try:
            self._client: Any = client.Redis.from_url(
                url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                # Once, for connections that a restarted store has closed; after a time-out the click may be stored.
                retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
            )
        except ValueError as error:
            raise ArgumentError("url", url, "an address such as redis://localhost:6379/0") from error

    async def add(self, session: str, click: int | str, most: int) -> list[int | str]:
        key = f"{self.prefix}{session}"
        try:
            async with self._client.pipeline(transaction=True) as steps:
                steps.rpush(key, json.dumps(click)).ltrim(key, -most, -1).pexpire(key, self.milliseconds)
                *_, clicks = await steps.lrange(key, 0, -1).execute()
            return [json.loads(each) for each in clicks]
        except self._failures as error:
            raise StoreError(UNREACHABLE) from error

    async def close(self) -> None:
        await self._client.aclose()
