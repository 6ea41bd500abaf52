"""HTTP server for /metrics, /healthz, /readyz and the JSON API."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from socketserver import TCPServer, ThreadingMixIn

import structlog
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import CollectorRegistry

from monitor.telemetry.health import Health
from monitor.telemetry.http.api import Answer, Api
from monitor.telemetry.http.ofrep import FLAGS, MAX_BODY_BYTES

log = structlog.get_logger(__name__)

Response = tuple[HTTPStatus, str, bytes]
MIN_COMPRESSED_BYTES = 1024
PLAIN_TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BODY_SECONDS = 10.0
"""Time for the body of a request."""
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


def _refused(length: str) -> Response | None:
    """Return the response to a request whose body is not read. length: header of the request."""
    if not (length.isascii() and length.isdigit()):
        return HTTPStatus.LENGTH_REQUIRED, PLAIN_TEXT, b"Content-Length is required\n"
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PLAIN_TEXT, b"too large\n"
    return None


def _read_within(stream: BufferedIOBase, length: int, seconds: float) -> bytes:
    """Return the body of a request. Raises TimeoutError if the client sends it too slowly."""
    deadline, parts, missing = time.monotonic() + seconds, [], length
    while missing:
        part = stream.read1(missing)
        if not part:
            raise ConnectionAbortedError("the body of a request is incomplete")
        parts.append(part)
        missing -= len(part)
        if time.monotonic() > deadline:
            raise TimeoutError("the body of a request is late")
    return b"".join(parts)


def _api_answer(answer: Answer | None) -> Response:
    if answer is None:
        return HTTPStatus.NOT_FOUND, PLAIN_TEXT, b"not found\n"
    status, body = answer
    return status, JSON, body


class _QuietHandler(BaseHTTPRequestHandler):
    timeout = 10  # seconds; an idle client must not block a thread forever

    def version_string(self) -> str:
        """Return the Server header: no versions."""
        return "plumbline"

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


def _evaluation(api: Api | None, request: BaseHTTPRequestHandler) -> Response | None:
    """Return the response to a POST request; None if its path is not that of a flag."""
    path = request.path.partition("?")[0]
    if api is None or not path.startswith(FLAGS):
        return None
    length = request.headers.get("Content-Length") or ""
    refused = _refused(length)
    if refused is not None:
        return refused
    body = _read_within(request.rfile, int(length), BODY_SECONDS)
    return _api_answer(api.evaluation(path, body))


def _handler(
    routes: dict[str, Callable[[str], Response]], api: Api | None
) -> type[BaseHTTPRequestHandler]:
    class Handler(_QuietHandler):
        def do_GET(self) -> None:
            """Send the response of the route."""
            self.wfile.write(self._send_head())

        def do_HEAD(self) -> None:
            """Send the response of the route without its body."""
            self._send_head()

        def do_POST(self) -> None:
            """Evaluate a flag; nothing else is posted."""
            if response := _evaluation(api, self):
                self.wfile.write(self._send(response))
            else:
                self.send_error(HTTPStatus.NOT_IMPLEMENTED)

        def _send_head(self) -> bytes:
            """Send status and headers; return the body."""
            path, _, query = self.path.partition("?")
            route = routes.get(path)
            if route is None:
                return self._send(_api_answer(api.answer(path, query) if api else None))
            return self._send(route(self.headers.get("Accept") or ""))

        def _send(self, response: Response) -> bytes:
            """Send status and headers of a response; return its body."""
            status, content_type, body = response
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

    return Handler
