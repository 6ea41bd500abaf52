"""/metrics, /healthz and /readyz on one port, loopback by default."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn

import structlog
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from monitor.health import Health

log = structlog.get_logger(__name__)

Response = tuple[HTTPStatus, str, bytes]
TEXT = "text/plain; charset=utf-8"


class WebServer:
    """Serves in a thread of its own; use it as a context manager.

    Raises OSError where the address cannot be had.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        routes: dict[str, Callable[[str], Response]] = {
            "/metrics": lambda accept: _metrics(registry, accept),
            "/healthz": lambda _: _verdict("stalled", health.stalled()),
            "/readyz": lambda _: _verdict("not ready", sorted(health.waiting)),
        }
        server = _Server6 if ":" in host else _Server
        self._server = server((host, port), _handler(routes))
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    """A thread a request; unlike http.server's, it does not ask the DNS for its own name."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 32

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no error; all else is logged, not printed."""
        if not isinstance(sys.exception(), OSError):
            log.exception("request failed")


class _Server6(_Server):
    address_family = socket.AF_INET6


def _metrics(registry: CollectorRegistry, accept: str) -> Response:
    encode, content_type = choose_encoder(accept)
    return HTTPStatus.OK, content_type, encode(registry)


def _verdict(trouble: str, roles: list[str]) -> Response:
    if roles:
        text = f"{trouble}: {', '.join(roles)}\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, text.encode()
    return HTTPStatus.OK, TEXT, b"ok\n"


def _handler(routes: dict[str, Callable[[str], Response]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that sends nothing must not hold a thread for ever

        def do_GET(self) -> None:
            """Answer from the routes."""
            self.wfile.write(self._head())

        def do_HEAD(self) -> None:
            """The same without the body."""
            self._head()

        def _head(self) -> bytes:
            """Send status and headers; the body that belongs to them."""
            route = routes.get(self.path.partition("?")[0])
            if route is None:
                status, kind, body = HTTPStatus.NOT_FOUND, TEXT, b"not found\n"
            else:
                status, kind, body = route(self.headers.get("Accept") or "")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            return body

        def version_string(self) -> str:
            """No version of anything to strangers."""
            return "plumbline"

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not news."""

    return Handler
