"""The service: what each route answers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import torch
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json

from srgnn.errors import ArgumentError, UserError
from srgnn.serving.batching import Batcher
from srgnn.serving.forms import (
    Form,
    LikeOthers,
    ManySessions,
    NextClick,
    OneSession,
    WithVector,
    explain_forms,
    new_item_forms,
    parse,
    recommend_forms,
    similar_forms,
)
from srgnn.serving.graph import explain
from srgnn.serving.items import find_items, similar_items
from srgnn.serving.limits import Limits
from srgnn.serving.model import Answered, LoadedModel, ServedModel
from srgnn.serving.problems import Refusal, busy
from srgnn.serving.responses import answer_content
from srgnn.serving.store import SessionStore
from srgnn.serving.telemetry import Metrics

logger = logging.getLogger(__name__)

ASIDE = 8  # searches and explanations at a time: recommendations come first

F = TypeVar("F", bound=Form)
R = TypeVar("R")


class Json(JSONResponse):
    """Plain values as a response."""

    def render(self, content: Any) -> bytes:
        return to_json(content)


class Service:
    """The service over one model: each method answers one route.

    Args:
        model: The model that answers.
        limits: How much a request may hold, and how many may wait.
        store: Keeps sessions between clicks; None keeps nothing.
        api_key: The key that requests have to bear; None asks for none.

    Raises:
        ArgumentError: if the key is empty.
    """

    def __init__(
        self,
        model: ServedModel,
        limits: Limits | None = None,
        store: SessionStore | None = None,
        api_key: str | None = None,
    ):
        if api_key is not None and not api_key.strip():
            raise ArgumentError("api_key", repr(api_key), "a text, or nothing at all to ask for no key")
        self.model, self.limits, self.store, self.api_key = model, limits or Limits(), store, api_key
        self.metrics = Metrics(lambda: self.batcher.num_waiting)
        self.batcher: Batcher[Answered] = Batcher(
            self.model.answer, self.limits.batch, self.limits.waiting, self.metrics.batches.observe
        )
        self.recommend_forms = recommend_forms(self.limits, self.store is not None)
        self.explain_forms = explain_forms(self.limits)
        self.similar_forms = similar_forms(self.limits)
        self.new_item_forms = new_item_forms(self.limits)
        self._aside = 0

    async def recommend(self, request: Request) -> Response:
        """The best next items of one session or of many. Unknown ids are skipped, and a session without a known one
        gets the items with the most training clicks."""
        form = await self._form(request, self.recommend_forms)
        async with self._in_time():
            if isinstance(form, ManySessions):
                answered = await self.batcher.answer([form.query(each) for each in form.sessions])
                contents = [answer_content(each.recommendations) for each in answered]
                return Json({"answers": contents, "model": answered[0].model})
            if isinstance(form, OneSession):
                session: Sequence[int | str] = form.session
            elif isinstance(form, NextClick) and self.store is not None:
                self.batcher.check_room(1)  # before the click is stored: it will be sent again
                session = await self.store.add(form.session_id, form.click, self.limits.clicks)
            (answer,) = await self.batcher.answer([form.query(session)])
            return Json(answer_content(answer.recommendations) | {"model": answer.model})

    async def explain(self, request: Request) -> Response:
        """The graph of a session, with the attention and the messages of SR-GNN if that is the model."""
        form = await self._form(request, self.explain_forms)
        model = self.model.current
        async with self._in_time():
            graph = await self._beside(lambda: explain(model.recommender, form.session))
        return Json(graph | {"model": model.fingerprint})

    async def find_items(self, query: str, limit: int) -> Response:
        """The items whose id or title contains a text; the most clicked ones for an empty text."""
        model = self.model.current
        async with self._in_time():
            items = await self._beside(lambda: find_items(model, query, limit))
        return Json({"items": items, "model": model.fingerprint})

    async def similar(self, request: Request) -> Response:
        """The items that are most similar to an item, by the cosine of their embeddings."""
        form = await self._form(request, self.similar_forms)
        model = self.model.current
        k = min(form.k, len(model.recommender.vocabulary) - 1)
        async with self._in_time():
            try:
                items = await self._beside(lambda: similar_items(model, form.item, k))
            except UserError as error:
                raise Refusal(409, str(error)) from error
        return Json({"items": items, "model": model.fingerprint})

    async def add_item(self, request: Request) -> Response:
        """Adds an item that is not trained: it is recommended from now on, until the checkpoint is loaded anew."""
        if self.api_key is None:
            raise Refusal(403, "Adding items needs an API key: set one.")
        form = await self._form(request, self.new_item_forms)
        likeness = torch.tensor(form.vector) if isinstance(form, WithVector) else cast(LikeOthers, form).like
        titles = {} if form.title is None else {form.id: form.title}
        async with self._in_time():
            try:
                grown = await self._beside(lambda: self.model.add_items({form.id: likeness}, titles))
            except UserError as error:
                raise Refusal(409, str(error)) from error
        return Json(_state_of(grown))

    async def health(self) -> Response:
        """Whether the process lives."""
        return Json({"status": "alive"})

    async def ready(self) -> Response:
        """Whether a model is loaded: the service listens only when one is."""
        return Json(_state_of(self.model.current))

    async def show_metrics(self) -> Response:
        """Metrics for Prometheus."""
        return Response(self.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    async def reload_on_request(self) -> Response:
        """Loads the checkpoint anew. The old model answers until the new one is whole, and stays if it is broken."""
        if self.api_key is None:
            raise Refusal(403, "Reloading by request needs an API key: send the process SIGHUP, or set a key.")
        await self.reload()
        return Json(_state_of(self.model.current))

    async def reload(self) -> None:
        """Loads the checkpoint anew.

        Raises:
            Refusal: if the new one is broken; the old model stays.
        """
        try:
            loaded = await asyncio.to_thread(self.model.reload)
        except UserError as error:
            self.metrics.reloads.labels("refused").inc()
            logger.error("reload refused", extra={"about": {"error": str(error)}})
            raise Refusal(503, f"The old model stays, because the new one cannot be used. {error}") from error
        self.metrics.reloads.labels("loaded").inc()
        logger.info("reloaded", extra={"about": {"model": loaded.fingerprint}})

    async def close(self) -> None:
        """Gives up the thread and the connections."""
        self.batcher.close()
        if self.store is not None:
            await self.store.close()

    async def _form(self, request: Request, forms: dict[str, type[F]]) -> F:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(415, "Expected a body of the content type application/json.")
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await _read(request, self.limits.body)
        except TimeoutError as error:
            raise Refusal(408, f"The body did not arrive within {self.limits.seconds:g} s.") from error
        return parse(body, forms)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError as error:
            raise Refusal(504, f"No answer within {self.limits.seconds:g} s: try again.") from error

    async def _beside(self, work: Callable[[], R]) -> R:
        """Does work in another thread, or refuses it if too much is being done there."""
        if self._aside >= ASIDE:
            raise busy(f"{self._aside} other searches, explanations and new items are at work")
        self._aside += 1
        task = asyncio.get_running_loop().run_in_executor(None, work)
        task.add_done_callback(self._done)  # also after a time-out, which does not end a thread
        return await task

    def _done(self, _: "asyncio.Future[Any]") -> None:
        self._aside -= 1


def _state_of(model: LoadedModel) -> dict[str, Any]:
    return {"model": model.fingerprint, "items": len(model.recommender.vocabulary)}


async def _read(request: Request, most: int) -> bytes:
    """The body of a request, of at most this number of bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Refusal(413, f"The body is larger than {most:,} bytes.")
        parts.append(part)
    return b"".join(parts)
