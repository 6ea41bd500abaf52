"""A local server that speaks the Messages API, its batches, and OpenAI's chat completions.

It validates each request as the API does, keeps it, and responds as a function of the test decides.
Every fault of `tests.judges.replies` can be one of its responses.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

from aiohttp import web

from tests.judges.batch_store import BatchStore
from tests.judges.replies import Reply, completion, error, message, raw

API_VERSION: Final = "2026-10-21"
KEY: Final = "sk-test-0123456789"
_UNSUPPORTED: Final = ("temperature", "top_p", "top_k", "seed")
_MESSAGE_KEYS: Final = {
    *("model", "max_tokens", "messages", "system", "output_config", "metadata", "stream"),
    *("stop_sequences", "service_tier", "thinking", "tools", "tool_choice"),
}
_REQUEST_BYTES: Final = 32 * 1024**2


@dataclass(frozen=True)
class Received:
    """A request. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Respond = Callable[[Received], Reply]


def respond_score(request: Received) -> Reply:
    """Respond to any request with one valid answer."""
    return completion() if request.path.endswith("/chat/completions") else message()


@dataclass
class ModelServer:
    """The server, in a thread of its own, on a free port of the loopback address.

    respond: gives the response to a valid request; it runs in the server's thread.
    key: the key that requests must have, None if any is accepted.
    received: all requests; problems: why requests were invalid.
    most_at_once: the highest number of requests that were open at the same time.
    """

    respond: Respond = respond_score
    key: str | None = KEY
    batches: BatchStore = field(default_factory=BatchStore)
    received: list[Received] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    most_at_once: int = 0

    def __enter__(self) -> Self:
        self._open = 0
        self._ids = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the server has not started")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._port}"

    def requests(self, path: str = "/v1/messages") -> list[Received]:
        """Return the requests of one path."""
        return [request for request in self.received if request.path == path]

    def wait_until_idle(self) -> None:
        """Wait until no request is open; RuntimeError after ten seconds."""
        until = time.monotonic() + 10
        while self._open:
            if time.monotonic() > until:
                raise RuntimeError("a request is still open")
            time.sleep(0.005)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port: int = runner.addresses[0][1]
        self.batches.base_url = self.url
        started.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            body = await http.read()
            reply = self._reply(http, body)
            return await self._send(http, reply)
        finally:
            self._open -= 1

    def _reply(self, http: web.Request, body: bytes) -> Reply:
        headers = {name.lower(): value for name, value in http.headers.items()}
        try:
            content = json.loads(body) if body else None
        except ValueError:
            content = None
        request = Received(http.method, http.path, headers, content)
        self.received.append(request)
        problem = self._problem(request)
        if problem is not None:
            self.problems.append(problem)
            return error(400, problem)
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            return error(401, "invalid bearer token")
        if http.path.startswith("/v1/messages/batches"):
            return self.batches.reply(request.method, request.path, request.body)
        if http.path == "/v1/messages/count_tokens":
            return raw({"input_tokens": len(body) // 4})
        return self.respond(request)

    def _problem(self, request: Received) -> str | None:
        """Return why the API would reject the request, None if it would not."""
        if request.path.startswith("/v1/messages"):
            if request.headers.get("anthropic-version") != API_VERSION:
                return "anthropic-version: header is required"
            if request.path == "/v1/messages":
                return message_problem(request.body)
            return None
        if request.path == "/v1/chat/completions":
            return chat_problem(request.body)
        return f"no such path: {request.path}"

    async def _send(self, http: web.Request, reply: Reply) -> web.StreamResponse:
        headers = {
            "request-id": f"req_{next(self._ids):08d}",
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            **reply.headers,
        }
        if reply.fault == "hang":
            while not self._stopping.is_set() and not _is_closed(http):
                await asyncio.sleep(0.01)
        if reply.fault in {"hang", "reset"}:
            return _aborted(http)
        if reply.seconds and reply.fault != "drip":
            await asyncio.sleep(reply.seconds)
        if reply.fault == "none":
            return web.Response(status=reply.status, body=reply.body, headers=headers)
        headers["content-length"] = str(len(reply.body))
        response = web.StreamResponse(status=reply.status, headers=headers)
        await response.prepare(http)
        with suppress(ConnectionError):
            await self._send_badly(response, reply)
        return _aborted(http) if reply.fault == "cut" else response

    async def _send_badly(self, response: web.StreamResponse, reply: Reply) -> None:
        """Send a byte at a time, or half of the body."""
        if reply.fault == "cut":
            await response.write(reply.body[: len(reply.body) // 2])
            return
        for n in range(len(reply.body)):
            await response.write(reply.body[n : n + 1])
            await asyncio.sleep(reply.seconds)
            if self._stopping.is_set():
                return


def _is_closed(http: web.Request) -> bool:
    return http.transport is None or http.transport.is_closing()


def _aborted(http: web.Request) -> web.StreamResponse:
    """Abort the connection, so that the response that is returned is never sent."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response()


def message_problem(body: Any) -> str | None:
    """Return why the parameters of a message are invalid, None if they are not."""
    if not isinstance(body, dict):
        return "the body must be a JSON object"
    unsupported = [name for name in _UNSUPPORTED if name in body]
    unknown = sorted(body.keys() - _MESSAGE_KEYS)
    if unsupported or unknown:
        return f"{(unsupported + unknown)[0]}: is not supported for this model"
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return "max_tokens: must be at least 1"
    messages = body.get("messages")
    if not messages or messages[0].get("role") != "user" or not messages[0].get("content"):
        return "messages: at least one message of the user is required"
    system = _system_problem(body.get("system"))
    return system or _format_problem((body.get("output_config") or {}).get("format"))


def _system_problem(system: Any) -> str | None:
    for block in system if isinstance(system, list) else ():
        cache = block.get("cache_control", {"type": "ephemeral"})
        if not block.get("text"):
            return "system: text content blocks must be non-empty"
        if cache.get("type") != "ephemeral" or cache.get("ttl", "5m") not in {"5m", "1h"}:
            return "system.0.cache_control: invalid"
    return None


def _format_problem(output: Any) -> str | None:
    if output is None:
        return None
    if output.get("type") != "json_schema" or not isinstance(output.get("schema"), dict):
        return "output_config.format: must be a json_schema"
    if output["schema"].get("additionalProperties") is not False:
        return "output_config.format.schema: additionalProperties must be false"
    return None


def chat_problem(body: Any) -> str | None:
    """Return why the parameters of a chat completion are invalid, None if they are not."""
    if not isinstance(body, dict) or not body.get("model") or not body.get("messages"):
        return "model and messages are required"
    output = body.get("response_format")
    if output is not None and not isinstance(output.get("json_schema", {}).get("schema"), dict):
        return "response_format.json_schema.schema is required"
    return None
