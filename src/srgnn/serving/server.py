"""The process that serves: its socket, its signals, and its end."""

import asyncio
import gc
import ipaddress
import logging
import signal
import socket
import sys
from contextlib import suppress

import uvicorn

from srgnn.errors import UserError, check_int
from srgnn.serving.app import build_app
from srgnn.serving.problems import Refusal
from srgnn.serving.service import Service

logger = logging.getLogger(__name__)

KEEP_ALIVE = 75  # seconds that an idle connection stays: longer than load balancers (60 s) keep theirs
# Seconds for which one thread may keep the interpreter while the other one waits. Computing asks for it some 200 times
# per batch; with Python's 5 ms, 99 of 100 requests at 62/s took up to 47 ms, and with this 10.
SWITCH = 1e-4


class _Server(uvicorn.Server):
    """A server that reloads its model at SIGHUP."""

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self.service = service
        self._reloads: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        async def reload() -> None:
            with suppress(Refusal):  # logged
                await self.service.reload()

        task = asyncio.create_task(reload())
        self._reloads.add(task)  # a task that nobody holds may be lost
        task.add_done_callback(self._reloads.discard)


def serve(service: Service, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT, and then finishes what it has begun. SIGHUP loads the checkpoint anew.

    Args:
        service: The service.
        host: Name or address to listen on.
        port: Port to listen on; 0 takes a free one.

    Raises:
        UserError: if it cannot listen there.
    """
    listener = listen(host, port)
    taken = listener.getsockname()[1]
    about = {
        "url": f"http://{f'[{host}]' if ':' in host else host}:{taken}",
        "model": service.model.current.fingerprint,
    }
    config = uvicorn.Config(
        build_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(2 * service.limits.seconds) + 1,  # body and answer
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if service.api_key is None and not is_loopback(listener.getsockname()[0]):
        logger.warning("Other machines can use this service, because it has no api_key and listens on %s.", host)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    gc.collect()
    gc.freeze()  # else each full collection walks through the model and its vocabulary, and all requests wait for it
    sys.setswitchinterval(SWITCH)
    logger.info("listening", extra={"about": about})
    try:
        _Server(config, service).run([listener])
    finally:  # uvicorn raises the signal again
        logger.info("stopped")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UserError: if the system refuses.
    """
    check_int("port", port, 0, 65535)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).partition(" (")[0]  # the address follows
        raise UserError(
            f"Cannot listen on {host}, port {port} ({reason}): choose others with host= and port=.", "host", "port"
        ) from error


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
