"""A local HTTP server that responds as targets of notifications do, and keeps the requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Received:
    """A request; `time` is monotonic."""

    time: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body; raises ValueError if it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """A response. seconds: delay; drip: seconds between two bytes of its head."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    drip: float = 0.0


Respond = Callable[[Received], Reply]


def slack(request: Received) -> Reply:
    """Respond as Slack does: `ok`, or the name of an error in the payload."""
    message = request.json
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return Reply(400, b"invalid_payload")
    if not isinstance(message, dict) or not (message.get("text") or message.get("attachments")):
        return Reply(400, b"no_text")
    return Reply()


def pagerduty(request: Received) -> Reply:
    """Respond as the Events API v2 does: 202 with the key, or 400 with the errors."""
    event, errors = request.json, []
    action = event.get("event_action")
    if len(event.get("routing_key", "")) < 8:
        errors.append("'routing_key' is invalid")
    if action not in {"trigger", "acknowledge", "resolve"}:
        errors.append("'event_action' is missing or invalid")
    if len(event.get("dedup_key", "")) > 255 or (action == "resolve" and not event["dedup_key"]):
        errors.append("'dedup_key' is invalid")
    if action == "trigger":
        payload = event.get("payload", {})
        if not 0 < len(payload.get("summary", "")) <= 1024:
            errors.append("'payload.summary' is missing or too long")
        if not payload.get("source"):
            errors.append("'payload.source' is missing or blank")
        if payload.get("severity") not in {"critical", "error", "warning", "info"}:
            errors.append("'payload.severity' is invalid")
    if errors:
        invalid = {"status": "invalid event", "message": "Event object is invalid"}
        return Reply(400, json.dumps(invalid | {"errors": errors}).encode())
    accepted = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
    return Reply(202, json.dumps(accepted).encode())


def alertmanager(request: Received) -> Reply:
    """Respond as Alertmanager's API v2 does: 200, or 400 with the errors."""
    errors = []
    for alert in request.json:
        if not alert["labels"] or not all(alert["labels"].values()):
            errors.append("at least one label pair required")
        times = [datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt")]
        if any(time.tzinfo is None for time in times):
            errors.append("must be a date-time")
        if times[0] > times[1]:
            errors.append("start time must be before end time")
        if not all(isinstance(value, str) for value in alert["annotations"].values()):
            errors.append("annotations must be of type string")
        if "generatorURL" in alert and not urlsplit(alert["generatorURL"]).netloc:
            errors.append("generatorURL must be a URI")
    return Reply(400, json.dumps(errors).encode()) if errors else Reply()


class Receiver:
    """The server, in a thread of its own; `answer` may be changed at any time."""

    def __init__(self, answer: Respond = slack, port: int = 0) -> None:
        self.answer = answer
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Keep the request and respond."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Received(time.monotonic(), self.path, headers, body)
                receiver.received.append(request)
                reply = receiver.answer(request)
                time.sleep(reply.seconds)
                self._send(reply)

            def _send(self, reply: Reply) -> None:
                lines = [f"HTTP/1.1 {reply.status} X", f"Content-Length: {len(reply.body)}"]
                lines += [f"{key}: {value}" for key, value in reply.headers.items()]
                head = ("\r\n".join(lines) + "\r\n\r\n").encode()
                try:
                    if reply.drip:
                        for byte in head:
                            self.wfile.write(bytes([byte]))
                            time.sleep(reply.drip)
                    else:
                        self.wfile.write(head)
                    self.wfile.write(reply.body)
                except OSError:  # the client has closed the connection
                    pass

            def log_message(self, format: str, *args: object) -> None:
                """Do not log requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """Return the TCP port."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return a URL whose path is a secret."""
        return f"http://127.0.0.1:{self.port}/services/T000/s3cret-path"

    def __enter__(self) -> Self:
        """Start the server."""
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server and release the port."""
        self._server.shutdown()
        self._server.server_close()
