import asyncio
import threading
from collections.abc import Sequence

import pytest

from srgnn.answers import Query
from srgnn.serving.batching import Batcher
from srgnn.serving.problems import Refusal


class Model:
    """Answers with the first id of each session, once it is allowed to; the id `bad` is an error."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun, self.may_answer = threading.Event(), threading.Event()

    def answer(self, queries: Sequence[Query]) -> list[str]:
        self.batches.append([str(query.session[0]) for query in queries])
        self.begun.set()
        self.may_answer.wait(10)
        if "bad" in self.batches[-1]:
            raise ValueError("bad")
        return self.batches[-1]


async def begun(model: Model, batcher: Batcher[str], *names: str) -> list["asyncio.Task[list[str]]"]:
    """Requests, of which the first one is being answered and the others wait."""
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(batcher.answer([Query([name])])))
        await asyncio.sleep(0)
        if name == names[0]:
            await asyncio.to_thread(model.begun.wait, 10)
    return tasks


def test_what_is_waiting_is_answered_together_up_to_the_limit():
    model, sizes = Model(), []

    async def talk() -> list[list[str]]:
        batcher = Batcher(model.answer, batch=3, waiting=10, observe=sizes.append)
        tasks = await begun(model, batcher, *"abcdef")
        assert batcher.num_waiting == 5
        model.may_answer.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(talk()) == [[name] for name in "abcdef"]
    assert model.batches == [["a"], ["b", "c", "d"], ["e", "f"]]
    assert sizes == [1, 3, 2]


def test_a_request_larger_than_a_batch_is_answered_alone():
    model = Model()
    model.may_answer.set()
    queries = [Query([name]) for name in "abcde"]
    assert asyncio.run(Batcher(model.answer, batch=2, waiting=10).answer(queries)) == list("abcde")
    assert model.batches == [list("abcde")]


def test_more_than_may_wait_are_refused():
    model = Model()

    async def talk() -> None:
        batcher = Batcher(model.answer, batch=2, waiting=2)
        tasks = await begun(model, batcher, *"abc")
        with pytest.raises(Refusal, match="2 sessions are waiting") as refused:
            await batcher.answer([Query(["d"])])
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        model.may_answer.set()
        assert await asyncio.gather(*tasks) == [["a"], ["b"], ["c"]]
        assert await batcher.answer([Query(["d"])]) == ["d"]

    asyncio.run(talk())


def test_a_request_that_fails_does_not_fail_those_beside_it():
    model = Model()

    async def talk() -> list[object]:
        tasks = await begun(model, Batcher(model.answer, batch=9, waiting=9), "a", "b", "bad", "c")
        model.may_answer.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, bad, third = asyncio.run(talk())
    assert (first, second, third) == (["a"], ["b"], ["c"])
    assert isinstance(bad, ValueError)


def test_a_request_that_was_given_up_is_not_computed():
    model = Model()

    async def talk() -> None:
        batcher = Batcher(model.answer, batch=9, waiting=9)
        first, second, third = await begun(model, batcher, *"abc")
        second.cancel()
        await asyncio.sleep(0)
        model.may_answer.set()
        await asyncio.gather(first, third)

    asyncio.run(talk())
    assert model.batches == [["a"], ["c"]]


def test_it_answers_again_after_it_was_closed():
    model = Model()
    model.may_answer.set()
    batcher = Batcher(model.answer, batch=9, waiting=9)
    for name in "ab":
        assert asyncio.run(batcher.answer([Query([name])])) == [name]  # in a loop of its own
        batcher.close()
