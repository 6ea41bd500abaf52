"""HTTP server for /metrics, /healthz, /readyz and the JSON API."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn

import structlog
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import CollectorRegistry

from monitor.telemetry.health import Health
from monitor.telemetry.http.api import Api

log = structlog.get_logger(__name__)

Response = tuple[HTTPStatus, str, bytes]
MIN_COMPRESSED_BYTES = 1024
PLAIN_TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
KNOWN_VERSIONS = frozenset({"0.0.1", "0.0.4", "1.0.0"})
"""Versions of the text formats of Prometheus and OpenMetrics that are served."""


class WebServer:
    """Serve in a thread of its own; a context manager.

    Raises OSError if the address is unavailable.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Health,
        api: Api | None = None,
    ) -> None:
        routes: dict[str, Callable[[str], Response]] = {
            "/metrics": lambda accept: _metrics(registry, accept),
            "/healthz": lambda _: _status("stalled", health.stalled()),
            "/readyz": lambda _: _readiness(health),
        }
        server = _Server6 if ":" in host else _Server
        self._server = server((host, port), _handler(routes, api))
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """Return the TCP port of the server."""
        return int(self._server.server_address[1])

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    """A server with a thread per request. `http.server.HTTPServer` would query the DNS at start."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 32

    def handle_error(self, request: object, client_address: object) -> None:
        """Log an error of a request; ignore a closed connection."""
        if not isinstance(sys.exception(), OSError):
            log.exception("request failed")


class _Server6(_Server):
    address_family = socket.AF_INET6


def _metrics(registry: CollectorRegistry, accept: str) -> Response:
    try:
        encode, content_type = choose_encoder(_known_formats(accept))
    except Exception:  # the client library parses the header; nothing in it may cost the response
        encode, content_type = choose_encoder("")
    return HTTPStatus.OK, content_type, encode(registry)


def _known_formats(accept: str) -> str:
    """Return the accepted formats without those of an unknown version.

    The client library would use the version of the header as it is, or fail to parse it.
    """
    known = []
    for accepted in accept.split(","):
        _, *parameters = (part.strip() for part in accepted.split(";"))
        versions = {each.partition("=")[2] for each in parameters if each.startswith("version=")}
        if versions <= KNOWN_VERSIONS:
            known.append(accepted)
    return ",".join(known)


def _readiness(health: Health) -> Response:
    problem = "broker unreachable, not ready" if health.broker_away() else "not ready"
    return _status(problem, health.unready())


def _status(problem: str, roles: list[str]) -> Response:
    if roles:
        text = f"{problem}: {', '.join(roles)}\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, PLAIN_TEXT, text.encode()
    return HTTPStatus.OK, PLAIN_TEXT, b"ok\n"


def _api_response(api: Api | None, path: str, query: str) -> Response:
    answer = api.answer(path, query) if api else None
    if answer is None:
        return HTTPStatus.NOT_FOUND, PLAIN_TEXT, b"not found\n"
    status, body = answer
    return status, JSON, body


def _handler(
    routes: dict[str, Callable[[str], Response]], api: Api | None
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds; an idle client must not block a thread forever

        def do_GET(self) -> None:
            """Send the response of the route."""
            self.wfile.write(self._send_head())

        def do_HEAD(self) -> None:
            """Send the response of the route without its body."""
            self._send_head()

        def _send_head(self) -> bytes:
            """Send status and headers; return the body."""
            path, _, query = self.path.partition("?")
            route = routes.get(path)
            if route is None:
                status, content_type, body = _api_response(api, path, query)
            else:
                status, content_type, body = route(self.headers.get("Accept") or "")
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            if len(body) >= MIN_COMPRESSED_BYTES:
                self.send_header("Vary", "Accept, Accept-Encoding")
                if gzip_accepted(self.headers.get("Accept-Encoding") or ""):
                    body = gzip.compress(body, compresslevel=1)
                    self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            return body

        def version_string(self) -> str:
            """Return the Server header: no versions."""
            return "plumbline"

        def log_message(self, format: str, *args: object) -> None:
            """Do not log requests."""

    return Handler
