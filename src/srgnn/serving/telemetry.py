"""Metrics for Prometheus, and logs as lines of JSON. Neither holds ids, sessions or keys."""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
SESSIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """The metrics of one service.

    Args:
        waiting: Gives the number of sessions that wait for their turn.
    """

    def __init__(self, waiting: Callable[[], float]):
        self.registry = r = CollectorRegistry()
        self.requests = Counter("srgnn_requests", "Requests by route and status", ["route", "status"], registry=r)
        self.seconds = Histogram("srgnn_request_seconds", "Time of a request", ["route"], registry=r, buckets=SECONDS)
        self.batches = Histogram("srgnn_batch_sessions", "Sessions answered together", registry=r, buckets=SESSIONS)
        self.reloads = Counter("srgnn_reloads", "New checkpoints by outcome", ["outcome"], registry=r)
        Gauge("srgnn_waiting_sessions", "Sessions that wait for their turn", registry=r).set_function(waiting)

    def page(self) -> bytes:
        """The metrics as Prometheus reads them."""
        return generate_latest(self.registry)


class Observed:
    """Counts, times and logs every request to an app."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            seconds = time.perf_counter() - begun
            route = getattr(scope.get("route"), "path", "other")  # no path that a client made up
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            about = {"method": scope["method"], "route": route, "status": status, "ms": round(1000 * seconds, 2)}
            logger.info("request", extra={"about": about})


class JsonLines(logging.Formatter):
    """A line of JSON for each record: time, level, event, and the fields of `extra={"about": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_json_lines() -> None:
    """Sends the log of this process, and of its libraries, to the standard output as lines of JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.INFO)
    for name in ("srgnn", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
