import asyncio
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from services import ITEMS, TITLES, ask, matches, write_checkpoint

from srgnn.answers import Query
from srgnn.baselines import BASELINES
from srgnn.data import Vocabulary
from srgnn.errors import ArgumentError, UserError
from srgnn.exporting import export_compiled
from srgnn.index import ItemIndex
from srgnn.recommender import Recommender
from srgnn.serving.graph import explain
from srgnn.serving.limits import Limits
from srgnn.serving.model import Answered, LoadedModel, ServedModel
from srgnn.serving.service import Service
from srgnn.serving.store import MemoryStore, RedisStore
from srgnn.serving.telemetry import JsonLines
from srgnn.training.checkpoint import Checkpoint

JSON = {"Content-Type": "application/json"}


def test_answers_are_those_of_the_recommender(model: ServedModel, checkpoint: Path):
    recommender = Recommender.load(checkpoint)
    sessions = [["A", "B", "x", 5], [], ["unknown", 7], ["5"]]

    async def talk(client: httpx.AsyncClient) -> None:
        for session in sessions:
            answer = (await client.post("/recommend", json={"session": session, "k": 3})).json()
            assert matches(answer, recommender.recommend(session, 3))
            assert answer["model"] == model.current.fingerprint
        wish = {"k": 2, "new_only": True, "without": ["D", "nothing"], "only": ["A", "C", 5, "nothing"]}
        answers = (await client.post("/recommend", json={"sessions": sessions, **wish})).json()
        for answer, session in zip(answers["answers"], sessions, strict=True):
            assert matches(answer, recommender.recommend(session, **wish))

    ask(Service(model), talk)


def test_an_index_proposes_the_items_and_has_to_be_that_of_the_checkpoint(model: ServedModel, checkpoint: Path):
    pytest.importorskip("faiss")
    recommender = model.current.recommender
    index = checkpoint.with_name("items.index")
    ItemIndex.build(recommender.model, recommender.vocabulary).save(index)
    indexed = ServedModel(lambda: checkpoint, index)

    async def talk(client: httpx.AsyncClient) -> None:
        answer = (await client.post("/recommend", json={"session": ["A", "B"], "k": 2})).json()
        assert matches(answer, recommender.recommend(["A", "B"], 2))

    ask(Service(indexed), talk)
    write_checkpoint(checkpoint, seed=1)
    with pytest.raises(UserError):
        indexed.reload()


def test_a_compiled_model_answers_and_has_to_be_that_of_the_checkpoint(model: ServedModel, checkpoint: Path):
    pytest.importorskip("onnxscript")
    recommender, compiled = model.current.recommender, checkpoint.with_name("model.compiled")
    export_compiled(Checkpoint.load(checkpoint), compiled)
    served = ServedModel(lambda: checkpoint, compiled=compiled)
    sessions = [["A", "B", "x", 5], [], ["5"]]

    async def talk(client: httpx.AsyncClient) -> None:
        for options in ({}, {"new_only": True}, {"only": ["A", "C"]}):
            wish = {"k": 2, **options}
            answers = (await client.post("/recommend", json={"sessions": sessions, **wish})).json()["answers"]
            for answer, session in zip(answers, sessions, strict=True):
                assert matches(answer, recommender.recommend(session, **wish))

    ask(Service(served), talk)
    write_checkpoint(checkpoint, seed=1)
    with pytest.raises(UserError, match="was compiled from another checkpoint"):
        served.reload()


def test_nothing_is_recommended_where_no_item_to_choose_from_is_known(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> None:
        for only in ([], ["unknown"]):
            answer = (await client.post("/recommend", json={"session": ["A", "x"], "only": only})).json()
            del answer["model"]
            assert answer == {"items": [], "skipped": ["x"], "by_popularity": False}

    ask(Service(model), talk)


def test_an_integer_may_be_written_as_5_0(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> None:
        answer = (await client.post("/recommend", json={"session": [5.0, 6.0], "k": 2.0})).json()
        assert (len(answer["items"]), answer["skipped"], answer["by_popularity"]) == (2, [6], False)

    ask(Service(model), talk)


def test_k_may_be_larger_than_the_catalogue(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> None:
        answer = (await client.post("/recommend", json={"session": ["A"]})).json()
        assert len(answer["items"]) == len(ITEMS)

    ask(Service(model), talk)


def test_requests_that_arrive_together_are_one_batch(model: ServedModel):
    service = Service(model)

    async def talk(client: httpx.AsyncClient) -> str:
        await asyncio.gather(*(client.post("/recommend", json={"session": ["A"]}) for _ in range(20)))
        return (await client.get("/metrics")).text

    lines = dict(line.rsplit(" ", 1) for line in ask(service, talk).splitlines() if not line.startswith("#"))
    assert lines["srgnn_batch_sessions_sum"] == "20.0"
    assert float(lines["srgnn_batch_sessions_count"]) < 10
    assert lines['srgnn_requests_total{route="/recommend",status="200"}'] == "20.0"
    assert lines['srgnn_request_seconds_count{route="/recommend"}'] == "20.0"
    assert lines["srgnn_waiting_sessions"] == "0.0"


SMALL = Limits(clicks=3, k=4, items=2, sessions=2, body=200)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "The body is not JSON (EOF"),
        (b'{"session": ["A"]', 400, "The body is not JSON (EOF"),
        (b"\xff\xfe", 400, "The body is not JSON ("),
        (b'{"session": ["\\ud800"]}', 400, "The body is not JSON ("),
        (b'{"session": [NaN]}', 400, "The body is not JSON ("),
        (b'{"session": ["A"], "k": Infinity}', 400, "The body is not JSON ("),
        (b"[" * 150, 400, "The body is not JSON ("),
        (b"null", 422, "The body has to be an object with one of session, sessions."),
        (b'["A"]', 422, "The body has to be an object with one of session, sessions."),
        (b"{}", 422, "The body has to be an object with one of session, sessions."),
        (b'{"session": [], "sessions": []}', 422, "The body has to be an object with one of session, sessions."),
        (
            b'{"session_id": "1", "click": "A"}',
            422,
            "session_id needs a service that keeps sessions: start it with store=memory or store=redis.",
        ),
        (b'{"session": "A"}', 422, "session: input should be a valid list."),
        (b'{"session": null}', 422, "session: input should be a valid list."),
        (b'{"session": ["A", 1.5]}', 422, "session[1]: expected an item id, a text"),
        (b'{"session": [true]}', 422, "session[0]: expected an item id, a text"),
        (b'{"session": [["A"]]}', 422, "session[0]: expected an item id, a text"),
        (b'{"session": [9223372036854775808]}', 422, "session[0]: expected an item id, a text"),
        (b'{"session": ["A", "B", "A", "B"]}', 422, "session: list should have at most 3 items"),
        (b'{"sessions": [["A"], ["A"], ["A"]]}', 422, "sessions: list should have at most 2 items"),
        (b'{"sessions": [["A"], ["A", "A", "A", "A"]]}', 422, "sessions[1]: list should have at most 3 items"),
        (b'{"sessions": []}', 422, "sessions: list should have at least 1 item"),
        (b'{"session": ["A"], "k": -1}', 422, "k: input should be greater than or equal to 1."),
        (b'{"session": ["A"], "k": 5}', 422, "k: input should be less than or equal to 4."),
        (b'{"session": ["A"], "k": "2"}', 422, "k: input should be a valid integer."),
        (b'{"session": ["A"], "k": 2.5}', 422, "k: input should be a valid integer."),
        (b'{"session": ["A"], "new_only": 1}', 422, "new_only: input should be a valid boolean."),
        (b'{"session": ["A"], "without": ["A", "B", "C"]}', 422, "without: list should have at most 2 items"),
        (b'{"session": ["A"], "K": 2}', 422, "K: extra inputs are not permitted."),
        (b'{"session": [%s]}' % b",".join([b'"A"'] * 10**6), 413, "The body is larger than 200 bytes."),
    ],
)
def test_bad_input_gives_one_sentence(model: ServedModel, body: bytes, status: int, sentence: str):
    async def talk(client: httpx.AsyncClient) -> None:
        response = await client.post("/recommend", content=body, headers=JSON)
        assert response.status_code == status
        (error,) = response.json().values()
        assert error.startswith(sentence)
        assert error.endswith(".")
        assert "\n" not in error

    ask(Service(model, SMALL), talk)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/recommend", {}, 415),
        ("POST", "/recommend", {"Content-Type": "text/plain"}, 415),
        ("POST", "/explain", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("GET", "/recommend", {}, 405),
        ("DELETE", "/health", {}, 405),
        ("POST", "/", {}, 405),
        ("GET", "/nothing", {}, 404),
        ("GET", "/../../etc/passwd", {}, 404),
        ("GET", "/items?limit=0", {}, 422),
        ("GET", "/items?limit=x", {}, 422),
        ("GET", "/items?q=lamp", {}, 422),
        ("GET", f"/items?query={'x' * 201}", {}, 422),
    ],
)
def test_other_requests_give_one_sentence_too(model: ServedModel, method: str, path: str, headers: dict, status: int):
    async def talk(client: httpx.AsyncClient) -> None:
        response = await client.request(method, path, content=b'{"session": []}', headers=headers)
        assert response.status_code == status
        assert list(response.json()) == ["error"]

    ask(Service(model), talk)


class HeldModel(ServedModel):
    """Answers once it is allowed to."""

    def __init__(self, checkpoint: Path):
        super().__init__(lambda: checkpoint)
        self.may_answer = threading.Event()

    def answer(self, queries: list[Query]) -> list[Answered]:
        self.may_answer.wait(10)
        return super().answer(queries)


def test_a_late_answer_is_a_time_out_and_a_full_queue_is_refused(checkpoint: Path):
    model = HeldModel(checkpoint)
    service = Service(model, Limits(seconds=0.2, sessions=2, waiting=2))

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        requests = [client.post("/recommend", json={"session": ["A"]}) for _ in range(4)]
        responses = await asyncio.gather(*requests)
        model.may_answer.set()
        return [*responses, await client.post("/recommend", json={"session": ["A"]})]

    late, alike, full, also_full, after = ask(service, talk)
    assert late.status_code == alike.status_code == 504
    assert also_full.status_code == 503
    assert late.json() == {"error": "No answer within 0.2 s: try again."}
    assert (full.status_code, full.headers["Retry-After"]) == (503, "1")
    assert full.json() == {"error": "2 sessions are waiting for their turn: try again in a second."}
    assert after.status_code == 200


def test_a_body_that_does_not_arrive_is_given_up(model: ServedModel):
    async def slow_body():
        yield b"{"
        await asyncio.sleep(10)

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/recommend", content=slow_body(), headers=JSON)

    response = ask(Service(model, Limits(seconds=0.1)), talk)
    assert (response.status_code, response.json()) == (408, {"error": "The body did not arrive within 0.1 s."})


def test_a_model_that_cannot_answer_gives_its_sentence(model: ServedModel):
    model.current = LoadedModel(Recommender(model.current.recommender.model, Vocabulary(ITEMS)), "without clicks")

    async def talk(client: httpx.AsyncClient) -> None:
        response = await client.post("/recommend", json={"session": ["unknown"]})
        assert response.status_code == 503
        assert "does not hold the popularity" in response.json()["error"]

    ask(Service(model), talk)


def test_a_bug_shows_no_traceback(model: ServedModel):
    model.current = None  # type: ignore[assignment]

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/ready")

    response = ask(Service(model), talk)
    assert response.json() == {"error": "The service has a bug: its log says where."}


def test_a_key_is_asked_for_wherever_there_is_something_to_learn_or_to_change(model: ServedModel):
    service = Service(model, api_key="secret-ü")

    async def talk(client: httpx.AsyncClient) -> None:
        for method, path in (
            ("POST", "/recommend"),
            ("POST", "/explain"),
            ("POST", "/similar"),
            ("POST", "/reload"),
            ("GET", "/items"),
            ("POST", "/items"),
        ):
            for key in (None, "secret", "secret-ü "):
                headers = {} if key is None else {"Authorization": f"Bearer {key}"}
                response = await client.request(method, path, headers={k: v.encode() for k, v in headers.items()})
                assert response.status_code == (401 if key != "secret-ü " else response.status_code)
                assert response.status_code != 401 or response.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/health", "/ready", "/"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/metrics")).status_code == 401

    ask(service, talk)
    with pytest.raises(ArgumentError, match="api_key=' ': expected a text"):
        Service(model, api_key=" ")


def test_a_new_checkpoint_replaces_the_old_one_and_a_broken_one_does_not(model: ServedModel, checkpoint: Path):
    service = Service(model, api_key="key")
    old = model.current.fingerprint

    async def talk(client: httpx.AsyncClient) -> None:
        async def reload() -> httpx.Response:
            return await client.post("/reload", headers={"Authorization": "Bearer key"})

        content = checkpoint.read_bytes()
        checkpoint.write_bytes(content[:5000])
        refused = await reload()
        assert refused.status_code == 503
        assert refused.json()["error"].startswith("The old model stays, because the new one cannot be used. ")
        assert str(checkpoint) in refused.json()["error"]
        assert (await client.get("/ready")).json() == {"model": old, "items": len(ITEMS)}
        write_checkpoint(checkpoint, seed=1)
        assert (await client.get("/ready")).json()["model"] == old  # not before it is asked to
        reloaded = (await reload()).json()
        assert reloaded["model"] != old
        key = {"Authorization": "Bearer key"}
        answer = (await client.post("/recommend", json={"session": ["A", "B"]}, headers=key)).json()
        assert answer["model"] == reloaded["model"]
        assert matches(answer, Recommender.load(checkpoint).recommend(["A", "B"], 5))
        metrics = (await client.get("/metrics", headers=key)).text
        assert 'srgnn_reloads_total{outcome="refused"} 1.0' in metrics
        assert 'srgnn_reloads_total{outcome="loaded"} 1.0' in metrics

    ask(service, talk)


KEY = {"Authorization": "Bearer key"}


def test_items_are_added_until_the_checkpoint_is_loaded_anew(model: ServedModel):
    old = model.current.fingerprint

    async def talk(client: httpx.AsyncClient) -> None:
        for new in ({"id": "E", "like": ["A"], "title": "A lamp"}, {"id": "F", "vector": [0.5] * 8}):
            added = (await client.post("/items", json=new, headers=KEY)).json()
        assert added == {"model": model.current.fingerprint, "items": len(ITEMS) + 2}
        assert added["model"] != old
        answer = (await client.post("/recommend", json={"session": ["E", "B"], "k": 7}, headers=KEY)).json()
        scores = {item["id"]: item["score"] for item in answer["items"]}
        assert scores["E"] == pytest.approx(scores["A"])
        assert not answer["skipped"]
        found = (await client.get("/items?query=a lamp", headers=KEY)).json()["items"]
        assert found == [{"id": "E", "title": "A lamp", "clicks": 0}]
        assert (await client.post("/reload", headers=KEY)).json() == {"model": old, "items": len(ITEMS)}

    ask(Service(model, api_key="key"), talk)


@pytest.mark.parametrize(
    ("item", "status", "sentence"),
    [
        ({"id": "A", "like": ["B"]}, 409, "an id that the checkpoint does not have yet"),
        ({"id": "E", "like": ["x"]}, 409, "similar items that the checkpoint has; x is not one of them"),
        ({"id": "E", "vector": [1.0]}, 409, "a vector of 8 finite numbers"),
        ({"id": "E", "vector": [1e300] * 8}, 409, "a vector of 8 finite numbers"),
        ({"id": "E", "vector": [3e38] * 8}, 409, "a vector of 8 finite numbers"),
        ({"id": 7, "like": ["A"]}, 409, "ids of the type of the others, str"),
        ({"id": "E"}, 422, "The body has to be an object with one of like, vector."),
        ({"id": "E", "like": ["A"], "vector": [1.0]}, 422, "The body has to be an object with one of like, vector."),
        ({"id": "E", "vector": "many"}, 422, "vector: input should be a valid list."),
        ({"id": "E", "like": []}, 422, "like: list should have at least 1 item"),
        ({"like": ["A"]}, 422, "id: field required."),
    ],
)
def test_an_item_that_cannot_be_added_leaves_the_model_as_it_is(
    model: ServedModel, item: dict, status: int, sentence: str
):
    old = model.current

    async def talk(client: httpx.AsyncClient) -> None:
        response = await client.post("/items", json=item, headers=KEY)
        assert sentence in response.json()["error"]
        assert response.status_code == status

    ask(Service(model, api_key="key"), talk)
    assert model.current is old


def test_without_a_key_nobody_adds_items(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/items", json={"id": "E", "like": ["A"]})

    assert ask(Service(model), talk).status_code == 403


def test_without_a_key_nobody_reloads_by_request(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/reload")

    response = ask(Service(model), talk)
    assert response.status_code == 403
    assert "send the process SIGHUP, or set a key" in response.json()["error"]


def test_a_model_stays_in_memory_when_its_file_is_overwritten(model: ServedModel, checkpoint: Path):
    before = model.current.recommender.recommend(["A", "B"], 5)
    checkpoint.write_bytes(b"\0" * checkpoint.stat().st_size)
    assert model.current.recommender.recommend(["A", "B"], 5).scores == before.scores


def test_the_fingerprint_is_that_of_the_answers(tmp_path: Path):
    one, copy, other = (
        write_checkpoint(tmp_path / f"{name}.ckpt", seed) for name, seed in (("1", 0), ("2", 0), ("3", 1))
    )
    prints = [LoadedModel.load(path).fingerprint for path in (one, copy, other)]
    assert prints[0] == prints[1] != prints[2]


def test_a_kept_session_is_answered_as_the_whole_session(model: ServedModel, checkpoint: Path):
    recommender = Recommender.load(checkpoint)

    async def talk(client: httpx.AsyncClient) -> None:
        clicks: list[int | str] = []
        for click in ("A", "x", 5, "B", "A"):
            clicks = [*clicks, click][-3:]
            answer = (await client.post("/recommend", json={"session_id": "one", "click": click, "k": 2})).json()
            assert matches(answer, recommender.recommend(clicks, 2))
        other = await client.post("/recommend", json={"session_id": "two", "click": "D", "k": 2})
        assert matches(other.json(), recommender.recommend(["D"], 2))
        for body in ({"session_id": "", "click": "A"}, {"session_id": "one"}, {"session_id": 1, "click": "A"}):
            assert (await client.post("/recommend", json=body)).status_code == 422

    ask(Service(model, Limits(clicks=3), MemoryStore()), talk)


def test_a_store_that_is_unreachable_gives_one_sentence(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        assert (await client.post("/recommend", json={"session": ["A"]})).status_code == 200
        return await client.post("/recommend", json={"session_id": "one", "click": "A"})

    response = ask(Service(model, store=RedisStore("redis://127.0.0.1:1")), talk)
    assert response.status_code == 503
    assert response.json() == {
        "error": "The store of sessions does not answer: try again, or send the clicks as session."
    }


def test_items_are_found_by_id_and_title_the_best_known_first(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> None:
        async def found(query: str, limit: int = 20) -> list[int | str]:
            response = await client.get("/items", params={"query": query, "limit": limit})
            return [item["id"] for item in response.json()["items"]]

        assert await found("") == ["B", "D", "A", 5, "C"]
        assert await found("", 2) == ["B", "D"]
        assert await found("lamp") == ["B", "A"]
        assert await found("RED") == ["A", 5]
        assert await found("chair") == ["C", 5]  # begins with it
        assert await found("d") == ["D", "A", 5]  # is it
        assert await found("5") == [5]
        assert await found("(") == []
        items = (await client.get("/items", params={"query": "D"})).json()["items"]
        assert items[0] == {"id": "D", "clicks": 4}
        assert items[1] == {"id": "A", "title": "Red lamp", "clicks": 3}

    ask(Service(model), talk)


def test_similar_items_have_titles_and_cosines(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> tuple[httpx.Response, ...]:
        forms = ({"item": "A", "k": 2}, {"item": "A"}, {"item": "unknown"}, {"item": "A", "k": 0})
        return tuple([await client.post("/similar", json=form) for form in forms])

    two, all_others, unknown, none = ask(Service(model), talk)
    expected = model.current.recommender.similar_items("A", 2)
    found = [(item["id"], item["cosine"], item.get("title")) for item in two.json()["items"]]
    assert found == list(zip(expected.items, expected.cosines, expected.titles or [], strict=True))
    assert len(all_others.json()["items"]) == len(model.current.recommender.vocabulary) - 1
    assert (unknown.status_code, none.status_code) == (409, 422)
    assert unknown.json()["error"] == "item=unknown: expected an id of the vocabulary, such as A."


def test_a_model_that_counts_has_no_similar_items(model: ServedModel, small):
    markov = BASELINES["Markov chain"]().build(small.num_items)
    markov.observe(small.train)
    model.current = replace(model.current, recommender=Recommender(markov, small.vocabulary, small.train_clicks))

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/similar", json={"item": small.vocabulary.ids[0]})

    response = ask(Service(model), talk)
    assert response.status_code == 409
    assert "need a model that is trained" in response.json()["error"]


def test_the_graph_of_a_session_has_attention_and_weights(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> dict:
        return (await client.post("/explain", json={"session": ["A", "B", "x", "A", "D"]})).json()

    graph = ask(Service(model), talk)
    assert [(node["id"], node["title"], node["clicks"]) for node in graph["nodes"]] == [
        *(("A", TITLES[0], 2), ("B", TITLES[1], 1), ("D", None, 1))
    ]
    assert all(isinstance(node["attention"], float) for node in graph["nodes"])
    edges = {
        (edge["source"], edge["target"]): (edge["times"], edge["along"], edge["against"]) for edge in graph["edges"]
    }
    assert edges == {(0, 1): (1, 1, 0.5), (1, 0): (1, 1, 1), (0, 2): (1, 1, 0.5)}
    assert graph["skipped"] == ["x"]


def test_the_graph_of_another_model_has_nodes_and_edges_alone(small):
    markov = BASELINES["Markov chain"]().build(small.num_items)
    markov.observe(small.train)
    recommender = Recommender(markov, small.vocabulary, small.train_clicks)
    a, b = small.vocabulary.ids[:2]
    graph = explain(recommender, [a, b, "x", b, a, b])
    assert [(node["id"], node["clicks"], node["attention"]) for node in graph["nodes"]] == [(a, 2, None), (b, 3, None)]
    edges = [(edge["source"], edge["target"], edge["times"], edge["along"]) for edge in graph["edges"]]
    assert edges == [(0, 1, 2, None), (1, 1, 1, None), (1, 0, 1, None)]
    assert explain(recommender, ["x"]) == {"nodes": [], "edges": [], "skipped": ["x"]}


def test_the_page_needs_nothing_from_elsewhere(model: ServedModel):
    async def talk(client: httpx.AsyncClient) -> None:
        for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")):
            response = await client.get(path)
            assert response.status_code == 200
            assert response.headers["Content-Type"].startswith(kind)
            assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")

    ask(Service(model), talk)


def test_the_log_has_a_line_of_json_per_request_without_its_content(model: ServedModel, caplog):
    async def talk(client: httpx.AsyncClient) -> None:
        await client.post("/recommend", json={"session": ["hidden-click"]})
        await client.post("/recommend", json={"session": ["A"], "hidden-key": 1})
        await client.get("/hidden-path")

    with caplog.at_level(logging.INFO, logger="srgnn"):
        ask(Service(model), talk)
    lines = [JsonLines().format(record) for record in caplog.records if record.name.startswith("srgnn")]
    assert "hidden" not in "".join(lines)
    shown = [{key: line[key] for key in ("event", "method", "route", "status")} for line in map(json.loads, lines)]
    assert shown == [
        {"event": "request", "method": "POST", "route": "/recommend", "status": 200},
        {"event": "request", "method": "POST", "route": "/recommend", "status": 422},
        {"event": "request", "method": "GET", "route": "other", "status": 404},
    ]


def test_limits_are_checked():
    for name in ("clicks", "k", "items", "sessions", "body", "batch", "waiting", "seconds"):
        with pytest.raises(ArgumentError, match=f"{name}=0"):
            Limits(**{name: 0})
    with pytest.raises(UserError, match="waiting=5: expected an integer of at least 100"):
        Limits(waiting=5)
