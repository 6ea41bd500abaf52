"""A schema registry with the part of Confluent's REST API that its clients use."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

Answer = tuple[int, dict[str, Any]]
_NOT_FOUND: Answer = (404, {"error_code": 40403, "message": "Schema not found"})


class SchemaRegistry:
    """A registry in a thread. As a context manager, it serves until the end of the block.

    available: whether it answers; otherwise each response has the status 503.
    requests: number of requests for schemas by their identifier.
    user: of basic authentication, as USER:PASSWORD; None if anyone may read.
    """

    def __init__(self, user: str | None = None) -> None:
        self.available = True
        self.requests = 0
        self.user = user
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, list[int]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Add a schema to a subject; return its identifier."""
        known = next((i for i, each in enumerate(self._schemas) if each == schema), None)
        if known is None:
            known = len(self._schemas)
            self._schemas.append(schema)
        versions = self._subjects.setdefault(subject, [])
        if known not in versions:
            versions.append(known)
        return known + 1

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """Return the status and the body of a response."""
        match [method, *(unquote(part) for part in urlsplit(path).path.strip("/").split("/"))]:
            case ["POST", "subjects", subject, "versions"]:
                return 200, self._described(self.register(subject, body) - 1)
            case ["POST", "subjects", subject]:
                found = [n for n in self._subjects.get(subject, []) if self._schemas[n] == body]
                return (200, self._described(found[0])) if found else _NOT_FOUND
            case ["GET", "subjects", subject, "versions", version]:
                versions = self._subjects.get(subject, [])
                return 200, self._described(versions[int(version) - 1])
            case ["GET", "schemas", "ids", identifier]:
                self.requests += 1
                number = int(identifier) - 1
                known = 0 <= number < len(self._schemas)
                return (200, self._described(number)) if known else _NOT_FOUND
            case ["GET", "schemas", "guids", guid]:
                self.requests += 1
                numbers = [n for n in range(len(self._schemas)) if _guid(n) == guid]
                return (200, self._described(numbers[0])) if numbers else _NOT_FOUND
        return _NOT_FOUND

    def _described(self, number: int) -> dict[str, Any]:
        subject, versions = next(
            (name, each) for name, each in self._subjects.items() if number in each
        )
        place = {"subject": subject, "version": versions.index(number) + 1}
        return self._schemas[number] | place | {"id": number + 1, "guid": _guid(number)}

    def _allows(self, authorization: str | None) -> bool:
        if self.user is None:
            return True
        return authorization == "Basic " + base64.b64encode(self.user.encode()).decode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._respond("GET")

            def do_POST(self) -> None:
                self._respond("POST")

            def _respond(self, method: str) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
                if not registry.available:
                    status, answer = 503, {"error_code": 50301, "message": "away"}
                elif not registry._allows(self.headers["Authorization"]):
                    status, answer = 401, {"error_code": 401, "message": "Unauthorized"}
                else:
                    status, answer = registry.answer(method, self.path, body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Write no log."""

        return Handler


def _guid(number: int) -> str:
    return str(uuid.UUID(int=number + 1))
