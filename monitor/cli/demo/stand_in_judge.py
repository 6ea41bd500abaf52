"""A stand-in for an LLM judge, so that the demo shows judged quality offline and without a key.

It is no language model and knows nothing about quality: a hash of the judged text decides the
score. Everything else is real: the role judge, its client, the Messages API over HTTP, the rubric,
the validation of the verdict and the budget.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

NAME: Final = "offline-stand-in"
"""The name of its model, so that nobody takes its scores for those of a judge."""
SCORES: Final = (3, 4, 4, 4, 5, 5)
"""Scores from which the hash chooses."""
_TOKEN: Final = re.compile("[0-9a-f]{32}")
_MAX_BODY: Final = 4 * 1024 * 1024


class StandInJudge:
    """An HTTP server on a free port of the loopback address, with POST /v1/messages."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="stand-in judge", daemon=True
        )

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> StandInJudge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers each request with a verdict of the schema that the request states."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer POST."""
        length = min(int(self.headers.get("Content-Length", 0)), _MAX_BODY)
        self._send(json.dumps(_message(json.loads(self.rfile.read(length)))).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the demo prints what matters."""


def _message(request: dict[str, Any]) -> dict[str, Any]:
    """Return a message with a verdict, as the Messages API returns it."""
    schema = request["output_config"]["format"]["schema"]
    dimensions = schema["properties"]["scores"]["properties"]
    # without the random token of the delimiters, so that equal texts have equal scores
    text = _TOKEN.sub("", json.dumps(request["messages"]))
    digest = hashlib.blake2b(text.encode(), digest_size=len(dimensions)).digest()
    scores = {
        name: SCORES[byte % len(SCORES)] for name, byte in zip(dimensions, digest, strict=True)
    }
    verdict = {"reasoning": "stand-in", "scores": scores, "strengths": [], "weaknesses": []}
    return {
        "id": "msg_" + digest.hex(),
        "type": "message",
        "role": "assistant",
        "model": NAME,
        "content": [{"type": "text", "text": json.dumps(verdict)}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": len(text) // 4, "output_tokens": 60},
    }
