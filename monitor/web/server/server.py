"""Run the application in a thread."""

from __future__ import annotations

import socket
import threading
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import Server

from monitor.web.server.protocol import DeadlineProtocol

MAX_CONNECTIONS: Final = 500
MAX_HEADER_BYTES: Final = 32 * 1024
KEEP_ALIVE_SECONDS: Final = 15
STOP_SECONDS: Final = 5
START_SECONDS: Final = 30.0
_BACKLOG: Final = 128


class _StoppingServer(Server):
    """A server that ends event streams before it waits for its connections."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


class WebServer:
    """Serves an application until it is closed; a context manager.

    stopping: is set when the server stops, so that event streams end.
    Raises OSError if the address is not available.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        stopping: threading.Event,
        protocol: type[DeadlineProtocol] = DeadlineProtocol,
    ) -> None:
        self._socket = listen(host, port)
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # believed from loopback by default
            limit_concurrency=MAX_CONNECTIONS,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _StoppingServer(config, stopping)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="web", daemon=True
        )

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._socket.getsockname()[1])

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._thread.is_alive()

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS + START_SECONDS)
        self._socket.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. It exists before a thread starts, so that errors are seen."""
    name = host if host != "localhost" else "127.0.0.1"
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((name, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
