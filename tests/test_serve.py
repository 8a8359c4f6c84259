"""The program that serves, as a process of its own: its end, its restart and its reload while requests arrive."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from services import ITEMS, matches, write_checkpoint

from srgnn.recommender import Recommender

SESSIONS = [["A"], ["A", "B"], ["B", "x", 5], ["D", "A", "D", "C"], []]


class Running:
    """A service that was started, and has begun to listen."""

    def __init__(self, program: Any, *options: str) -> None:
        self.process = program.start("serve.py", "checkpoint=model.ckpt", *options)
        (line,) = self.wait_for("listening")
        self.url, self.model = line["url"], line["model"]

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.process.stdout.splitlines(keepends=True) if line.endswith("\n")]

    def wait_for(self, event: str, seconds: float = 100) -> list[dict[str, Any]]:
        """The lines of an event, of which there is one at least."""
        deadline = time.monotonic() + seconds
        while not (found := [line for line in self.log if line["event"] == event]):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {event}:\n{self.process.stdout}\n{self.process.stderr}")
            time.sleep(0.02)
        return found


class Load:
    """Clients that ask one after the other, and again at once after a failure."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.url, self.clients, self.answers, self.failures = url, clients, [], []
        self.ended = False

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            await asyncio.gather(*(self._ask(client, number) for number in range(self.clients)))

    async def _ask(self, client: httpx.AsyncClient, number: int) -> None:
        while not self.ended:
            number += 1
            session = SESSIONS[number % len(SESSIONS)]
            try:
                response = await client.post("/recommend", json={"session": session, "k": 3})
            except httpx.TransportError as error:
                self.failures.append(error)
                await asyncio.sleep(0.02)
                continue
            assert response.status_code == 200, response.text
            self.answers.append((session, response.json()))

    def all_right(self, recommenders: dict[str, Recommender]) -> bool:
        """Whether every answer is that of the model that it names."""
        return all(
            matches(answer, recommenders[answer["model"]].recommend(session, 3)) for session, answer in self.answers
        )

    async def more(self, wanted: Callable[[dict[str, Any]], bool] = lambda answer: True, count: int = 20) -> None:
        """Waits for more answers of a kind."""
        begin, deadline = len(self.answers), time.monotonic() + 60
        while sum(wanted(answer) for _, answer in self.answers[begin:]) < count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


def under(load: Load, events: Callable[[Load], Any]) -> Load:
    """Lets events happen while clients ask."""

    async def both() -> None:
        asking = asyncio.create_task(load.run())
        try:
            await load.more()
            await events(load)
        finally:
            load.ended = True
            await asking

    asyncio.run(both())
    return load


def test_a_request_that_has_begun_is_answered_before_the_end(program, tmp_path: Path):
    recommender = Recommender.load(write_checkpoint(tmp_path / "model.ckpt"))
    running = Running(program, "port=0")
    address = httpx.URL(running.url)
    body = json.dumps({"session": ["A", "B"], "k": 3}).encode()
    head = (
        f"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port)) as begun:
        begun.sendall(head.encode() + body[:5])
        assert httpx.get(f"{running.url}/ready").json() == {"model": running.model, "items": len(ITEMS)}
        running.process.send_signal(signal.SIGTERM)
        while True:  # until it listens no more
            try:
                socket.create_connection((address.host, address.port)).close()
            except ConnectionError:
                break
            time.sleep(0.02)
        begun.sendall(body[5:])
        response = b"".join(iter(lambda: begun.recv(4096), b""))
    assert response.startswith(b"HTTP/1.1 200")
    assert matches(json.loads(response.partition(b"\r\n\r\n")[2]), recommender.recommend(["A", "B"], 3))
    assert running.process.wait() == 0
    assert running.log[-1]["event"] == "stopped"
    assert running.process.stderr == ""


def test_killed_and_restarted_under_load_it_gives_no_wrong_answer(program, tmp_path: Path):
    recommender = Recommender.load(write_checkpoint(tmp_path / "model.ckpt"))
    running = Running(program, "port=0")
    port = httpx.URL(running.url).port

    async def events(load: Load) -> None:
        await asyncio.to_thread(running.process.kill)
        await asyncio.to_thread(Running, program, f"port={port}")
        await load.more()

    load = under(Load(running.url), events)
    assert load.failures
    assert load.all_right({running.model: recommender})


def test_a_new_checkpoint_is_loaded_under_load_without_dropping_a_request(program, tmp_path: Path):
    checkpoint = write_checkpoint(tmp_path / "model.ckpt")
    recommenders = {}
    running = Running(program, "port=0")
    recommenders[running.model] = Recommender.load(write_checkpoint(tmp_path / "old.ckpt"))

    async def events(load: Load) -> None:
        checkpoint.write_bytes(b"broken")  # onto the file that was loaded
        running.process.send_signal(signal.SIGHUP)
        (refused,) = await asyncio.to_thread(running.wait_for, "reload refused")
        assert (
            refused["error"]
            == "model.ckpt cannot be read as a checkpoint (BadZipFile): give a file that train.py or export.py wrote."
        )
        await load.more()
        write_checkpoint(checkpoint, seed=1)
        running.process.send_signal(signal.SIGHUP)
        (loaded,) = await asyncio.to_thread(running.wait_for, "reloaded")
        recommenders[loaded["model"]] = Recommender.load(checkpoint)
        await load.more(lambda answer: answer["model"] == loaded["model"])

    load = under(Load(running.url), events)
    assert load.failures == []
    assert len(recommenders) == 2
    assert load.all_right(recommenders)


def test_wrong_options_give_one_sentence(program, tmp_path: Path):
    write_checkpoint(tmp_path / "model.ckpt")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options, sentence in (
            ([], "There is no finished run in outputs: train one with"),
            (["checkpoint=none.ckpt"], "There is no checkpoint none.ckpt: "),
            (["stoer=memory"], "stoer=memory: there is no option stoer; the configuration has checkpoint, "),
            (["checkpoint=model.ckpt", "limits.k=0"], "limits.k=0: expected an integer of at least 1."),
            (["checkpoint=model.ckpt", "threads=0"], "threads=0: expected an integer of at least 1."),
            (
                ["checkpoint=model.ckpt", "store=memory", "store.sessions=0"],
                "store.sessions=0: expected an integer of at least 1.",
            ),
            (
                ["checkpoint=model.ckpt", "store=redis", "store.url=localhost"],
                "store.url=localhost: expected an address such as redis://",
            ),
            (["checkpoint=model.ckpt", "api_key=''"], "api_key='': expected a text"),
            (
                ["checkpoint=model.ckpt", f"port={port}"],
                f"Cannot listen on 127.0.0.1, port {port} (Address already in use): choose others with",
            ),
        ):
            process = program("serve.py", *options)
            assert process.returncode == 1
            assert process.stderr.startswith(f"Error: {sentence}")
            assert process.stderr.count("\n") == 1


def test_listening_to_others_without_a_key_is_said(program, tmp_path: Path):
    write_checkpoint(tmp_path / "model.ckpt")
    assert [line["event"] for line in Running(program, "port=0", "host=0.0.0.0", "api_key=secret").log] == ["listening"]
    open_to_all = Running(program, "port=0", "host=0.0.0.0", "store=memory")
    assert open_to_all.log[0]["event"].startswith("Other machines can use this service, because it has no api_key")
    body = {"session_id": "one", "click": "A"}
    assert httpx.post(open_to_all.url.replace("0.0.0.0", "127.0.0.1") + "/recommend", json=body).status_code == 200
    open_to_all.process.send_signal(signal.SIGINT)
    assert open_to_all.process.wait() == 130
    assert open_to_all.process.stderr == "Interrupted.\n"
