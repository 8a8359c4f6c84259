"""The routes of the service."""

import hmac
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

import srgnn
from srgnn.errors import ArgumentError, UserError
from srgnn.serving.forms import Search, body_description, search_form
from srgnn.serving.problems import Refusal, invalid
from srgnn.serving.responses import Answer, Answers, FoundItems, Graph, Health, Problem, SimilarItems, State
from srgnn.serving.service import Json, Service
from srgnn.serving.telemetry import Observed

logger = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked for anew, so that page and service are of one version
}
PROBLEMS = {
    400: "The body is not JSON",
    401: "The API key is missing or wrong",
    403: "The service does not allow this",
    408: "The body did not arrive in time",
    409: "The model that answers cannot take this",
    413: "The body is too large",
    415: "The body has another content type",
    422: "A value is not accepted",
    503: "The service is busy, or cannot answer now",
    504: "No answer in time",
}


def build_app(service: Service) -> FastAPI:
    """The service as an ASGI application, with its OpenAPI description and its page."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPI(
        title="srgnn",
        version=srgnn.__version__,
        description="Recommendations of the next items in a session.",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.add_middleware(Observed, metrics=service.metrics)
    keyed = [] if service.api_key is None else [Depends(_Key(service.api_key))]

    def add(
        path: str, method: str, call: Callable[..., Any], answer: Any, problems: Sequence[int] = (), forms: Any = None
    ) -> None:
        app.router.add_api_route(
            path,
            call,
            methods=[method],
            response_class=Json,
            responses=_responses(answer, problems if service.api_key is None else (*problems, 401)),
            openapi_extra=None if forms is None else body_description(forms),
            dependencies=keyed,
            route_class_override=None if forms is None else _Direct,
        )

    of_bodies = (400, 408, 413, 415, 422, 503, 504)
    add("/recommend", "POST", service.recommend, Answer | Answers, of_bodies, service.recommend_forms)
    add("/explain", "POST", service.explain, Graph, of_bodies, service.explain_forms)
    add("/similar", "POST", service.similar, SimilarItems, (*of_bodies, 409), service.similar_forms)
    add("/items", "GET", _items_route(service), FoundItems, (422, 503, 504))
    add("/items", "POST", service.add_item, State, (*of_bodies, 403, 409), service.new_item_forms)
    add("/reload", "POST", service.reload_on_request, State, (403, 503))
    text = {"description": "The metrics", "content": {"text/plain": {}}}
    app.add_api_route(
        "/metrics", service.show_metrics, response_class=Response, responses={200: text}, dependencies=keyed
    )
    for path, call, answer in (("/health", service.health, Health), ("/ready", service.ready, State)):
        app.add_api_route(path, call, response_class=Json, responses=_responses(answer, ()))
    for file in PAGE.iterdir():
        route = "/" if file.name == "index.html" else f"/{file.name}"
        app.add_api_route(route, _file_route(file), methods=["GET", "HEAD"], include_in_schema=False)
    _handle_problems(app)
    return app


def _responses(answer: Any, problems: Sequence[int]) -> dict[int | str, dict[str, Any]]:
    """The described responses of a route, by their status."""
    refused: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": PROBLEMS[status]} for status in problems
    }
    return refused if answer is None else {200: {"model": answer, "description": "The answer"}, **refused}


def _items_route(service: Service) -> Callable[..., Any]:
    async def items(search: Search) -> Response:
        return await service.find_items(search.query, search.limit)

    items.__doc__ = service.find_items.__doc__
    items.__annotations__["search"] = Annotated[search_form(service.limits), Query()]
    return items


def _file_route(file: Path) -> Callable[[], Any]:
    async def page() -> Response:
        return FileResponse(file, headers=PAGE_HEADERS)

    return page


class _Direct(APIRoute):
    """A route that FastAPI describes and does not run: its call takes the request, once its dependencies let it pass.

    It takes a tenth of the time that FastAPI needs to find out what a call takes.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        checks: list[Callable[..., Any]] = [each.dependency for each in self.dependencies if each.dependency]

        async def handle(request: Request) -> Response:
            for check in checks:
                await check(request)
            response: Response = await self.endpoint(request)
            return response

        return handle


class _Key(HTTPBearer):
    """The check that a request bears the API key."""

    def __init__(self, key: str):
        about = "The key that the service was started with"
        super().__init__(auto_error=False, scheme_name="HTTPBearer", description=about)
        self.key = key.encode()

    async def __call__(self, request: Request) -> HTTPAuthorizationCredentials:  # type: ignore[override]
        given = await super().__call__(request)
        if given is None or not hmac.compare_digest(given.credentials.encode(), self.key):
            sentence = "Expected the API key of this service, as the header Authorization: Bearer KEY."
            raise Refusal(401, sentence, {"WWW-Authenticate": "Bearer"})
        return given


def _handle_problems(app: FastAPI) -> None:
    """Answers whatever goes wrong with one sentence."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return Json({"error": error.sentence}, error.status, error.headers)

    @app.exception_handler(UserError)
    async def user_error(_: Request, error: Exception) -> Response:
        if isinstance(error, ArgumentError):  # without its value, which may be long
            return Json({"error": f"{error.argument}: expected {error.expected}."}, 422)
        logger.error("cannot answer", extra={"about": {"error": str(error), "cause": repr(error.__cause__)}})
        return Json({"error": str(error)}, 503)

    @app.exception_handler(RequestValidationError)
    async def invalid_query(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        refusal = invalid(error.errors())
        return Json({"error": refusal.sentence}, refusal.status)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentences = {
            404: "There is nothing here: /docs lists what there is.",
            405: f"{request.method} is not possible here: /docs lists what is.",
        }
        sentence = sentences.get(error.status_code, f"{error.detail}.")
        return Json({"error": sentence}, error.status_code, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def bug(_: Request, __: Exception) -> Response:
        return Json({"error": "The service has a bug: its log says where."}, 500)
