"""A local server that speaks OpenAI's completions and chat completions over HTTP, with faults.

Completions offer `echo` with log probabilities, and `/tokenize` as vLLM does; a token is a byte.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

EOS: Final = 256
"""Token that ends a text; the others are bytes."""


@dataclass(frozen=True)
class Fault:
    """A response other than an answer.

    status, body, headers: sent as they are. delay: seconds before it. drop: closes the connection
    without a response.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False


UNAUTHORIZED: Final = Fault(401, b'{"error": {"message": "Incorrect API key provided"}}')
BUSY: Final = Fault(429, b'{"error": {"message": "Rate limit"}}', {"Retry-After": "0"})
BROKEN: Final = Fault(500, b'{"error": {"message": "Internal error"}}')
HANG: Final = Fault(delay=30.0, drop=True)
DEAD: Final = Fault(drop=True)
NO_JSON: Final = Fault(body=b"<html>Welcome to the proxy</html>")
WRONG_JSON: Final = Fault(body=b'{"result": {"output": "Paris"}}')
NULL: Final = Fault(
    body=b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": null}, '
    b'"text": null, "finish_reason": "length"}]}'
)
TOO_LONG: Final = Fault(400, b'{"error": {"message": "maximum context length exceeded"}}')

Answer = Callable[[str], str]
"""From the text of a prompt, all its messages joined by lines, to the response."""
Likelihood = Callable[[str], float]
"""From a text to the log probability of its last token."""
Disturb = Callable[[int, str], Fault | None]
"""From the number of the request, from 0, and its prompt to a fault or None."""


@dataclass(frozen=True)
class Received:
    """A request. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    prompt: str


@dataclass
class OpenAIServer:
    """The server, in threads of its own, on a free port of the loopback address.

    answer: gives the response to a prompt. likelihood: gives log probabilities for `echo`.
    disturb: gives faults. key: the key that requests must have; empty: any.
    tokenize: whether `/tokenize` is offered. delay: seconds before each answer.
    received: the valid requests for answers. requests: number of all of them.
    most_at_once: most that were open together.
    """

    answer: Answer = lambda _: "OK"
    likelihood: Likelihood = lambda _: -1.0
    disturb: Disturb = lambda _number, _prompt: None
    key: str = ""
    tokenize: bool = True
    delay: float = 0.0
    received: list[Received] = field(default_factory=list)
    most_at_once: int = 0
    requests: int = 0

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._open = 0
        self._stop = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Base URL of the protocol."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def prompts(self) -> list[str]:
        """Prompts that were received, in order."""
        return [request.prompt for request in self.received]

    def respond(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Fault:
        """Return the response to a request."""
        with self._lock:
            self.requests += 1
        if not path.endswith(("/completions", "/chat/completions")):
            return self._tokens(path, body)
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return UNAUTHORIZED
        prompt = _prompt(body)
        with self._lock:
            number = len(self.received)
            self.received.append(Received(path, headers, body, prompt))
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        try:
            fault = self.disturb(number, prompt)
            self._stop.wait(self.delay if fault is None else fault.delay)
            return fault or _json(self._answer(path, body, prompt))
        finally:
            with self._lock:
                self._open -= 1

    def _answer(self, path: str, body: dict[str, Any], prompt: str) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        if path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": self.answer(prompt)}
        elif body.get("echo"):
            choice |= {"text": prompt, "logprobs": self._logprobs(body)}
        else:
            choice["text"] = self.answer(prompt)
        return {"id": "1", "created": int(time.time()), "model": body["model"], "choices": [choice]}

    def _logprobs(self, body: dict[str, Any]) -> dict[str, Any]:
        """Log probabilities of the prompt's tokens and of one more, as `echo` gives them."""
        tokens = [*_tokens(body["prompt"]), EOS]
        values = [self.likelihood(_decode(tokens[: end + 1])) for end in range(len(tokens))]
        return {
            "token_logprobs": [None, *values[1:]],
            "top_logprobs": [None, *({"x": value} for value in values[1:])],
        }

    def _tokens(self, path: str, body: dict[str, Any]) -> Fault:
        """`/tokenizer_info`, `/tokenize` and `/detokenize` of vLLM."""
        if not self.tokenize:
            return Fault(404)
        if path.endswith("/tokenizer_info"):
            return _json({"eos_token": "<eos>", "bos_token": "<eos>", "pad_token": "<eos>"})
        if path.endswith("/detokenize"):
            return _json({"prompt": _decode(body["tokens"])})
        text = body.get("prompt", "")
        tokens = [EOS] if text == "<eos>" else list(text.encode())
        return _json({"count": len(tokens), "max_model_len": 100_000, "tokens": tokens})


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    owner: OpenAIServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer `/tokenizer_info`."""
        self._send(self.owner.respond(self.path, {}, {}))

    def do_POST(self) -> None:
        """Answer a request, or disturb it."""
        size = int(self.headers.get("Content-Length", "0"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.owner.respond(self.path, headers, json.loads(self.rfile.read(size))))

    def _send(self, response: Fault) -> None:
        if response.drop:
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def handle(self) -> None:
        """Ignore clients that go away."""
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Write no log."""


def _json(content: dict[str, Any]) -> Fault:
    return Fault(body=json.dumps(content).encode())


def _prompt(body: dict[str, Any]) -> str:
    """Text of a request's prompt or messages."""
    if "messages" in body:
        return "\n".join(str(message["content"]) for message in body["messages"])
    return _decode(_tokens(body["prompt"]))


def _tokens(prompt: Any) -> list[int]:
    """Tokens of a prompt: a text, a list of one text, tokens, or a list of one list of tokens."""
    first = prompt[0] if isinstance(prompt, list) and prompt else prompt
    if isinstance(first, int):
        return [int(token) for token in prompt]
    if isinstance(first, list):
        return [int(token) for token in first]
    return list(str(first).encode())


def _decode(tokens: list[int]) -> str:
    return bytes(token for token in tokens if token != EOS).decode(errors="replace")


def prefer(right: Callable[[str], str], mark: str = "?") -> Likelihood:
    """Return likelihoods that prefer one continuation of a question, which ends with `mark`.

    right: gives the continuation for the question.
    """

    def likelihood(text: str) -> float:
        question, _, begun = text.rpartition(mark)
        return -0.1 if right(question).startswith(begun.strip()) else -9.0

    return likelihood
