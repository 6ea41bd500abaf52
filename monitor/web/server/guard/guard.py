"""The guard: an ASGI application around the other one.

The stages are in `Guard._refusal`. A request is identified before its body is read, so that a
stranger cannot make the process keep bodies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.database.errors import StoreError
from monitor.telemetry.counters.web import WebMetrics
from monitor.web.server.guard.checks import (
    Refusal,
    check_host,
    check_origin,
    check_request,
    content_length,
)
from monitor.web.server.guard.rates import RateLimit
from monitor.web.sign_in.identity import Headers, Identity, Refused, SignIn

log = structlog.get_logger(__name__)

BODY_BYTES: Final = 256 * 1024
LARGE_BODY_BYTES: Final = 8 * 1024 * 1024
"""Limit of requests that add items to a queue: an item may have a text of a megabyte."""
STATIC: Final = "/static/"
"""Files of the program, which everyone may read: browsers fetch them before a person signs in."""
NO_ROUTE: Final = "none"
"""Label of requests that reached no route."""
PEER_PER_MINUTE: Final = 6_000.0
PERSON_PER_MINUTE: Final = 1_200.0
FAILURES_PER_MINUTE: Final = 20.0
SECURITY_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src"
        b" 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


class Guard:
    """Refuses what must not reach a route, and adds the headers of all responses.

    hosts: names of the Host header. own_headers: of the proxy. clock: monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        sign_in: SignIn,
        hosts: Collection[str],
        own_headers: Collection[str],
        metrics: WebMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._sign_in = sign_in
        self._hosts = frozenset(hosts)
        self._own = frozenset(own_headers)
        self._metrics = metrics
        self._clock = clock
        self._peers = RateLimit(PEER_PER_MINUTE, 600, clock)
        self._people = RateLimit(PERSON_PER_MINUTE, 300, clock)
        self._failures = RateLimit(FAILURES_PER_MINUTE, 20, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started, status = self._clock(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_security(message.get("headers", []), scope["path"])
            await send(message)

        try:
            refusal = self._refusal(scope) or await self._identified(scope)
            if refusal is None:
                body = await _body(scope, receive)
                if isinstance(body, Refusal):
                    refusal = body
                else:
                    await self._app(scope, _replayed(body, receive), observed)
            if refusal is not None:
                self._metrics.count_refusal(refusal.reason)
                await _refuse(scope, observed, refusal)
        finally:
            route = getattr(scope.get("route"), "path", None) or NO_ROUTE
            seconds = self._clock() - started
            self._metrics.count_request(route, status, seconds, stream=route.endswith("/stream"))

    def _refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused, by its headers and its peer."""
        headers, method = scope["headers"], scope["method"]
        target = scope["raw_path"] + b"?" + scope["query_string"]
        refusal = (
            check_request(method, target, headers, self._own)
            or check_host(headers, self._hosts)
            or check_origin(method, headers)
        )
        if refusal is not None:
            return refusal
        wait = self._peers.take(_peer(scope))
        return _too_many(wait) if wait else None

    async def _identified(self, scope: Scope) -> Refusal | None:
        """Store who makes the request in the scope, or return why that is not known."""
        if scope["path"].startswith(STATIC):
            return None
        peer, headers = _peer(scope), scope["headers"]
        with_token = any(name == b"authorization" for name, _ in headers)
        if with_token and (wait := self._failures.empty(peer)):
            return _too_many(wait)
        try:
            identity = await run_in_threadpool(self._sign_in.identify, headers, peer)
        except Refused as refused:
            if with_token:
                self._failures.take(peer)
            return Refusal(
                403 if refused.reason == "disabled" else 401,
                f"sign_in_{refused.reason}",
                str(refused),
            )
        except StoreError as error:
            log.warning("sign-in failed", error=str(error))
            return Refusal(503, "store", "the database is not available; try again")
        scope.setdefault("state", {})["identity"] = identity
        wait = self._people.take(identity.person)
        return _too_many(wait) if wait else None


def identity_of(scope: Scope) -> Identity:
    """Return who makes a request that has passed the guard."""
    found: Identity = scope["state"]["identity"]
    return found


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _too_many(wait: int) -> Refusal:
    return Refusal(429, "rate", f"too many requests; try again in {wait} s", wait)


def body_limit(path: str) -> int:
    """Return the largest body of a request, in bytes."""
    return LARGE_BODY_BYTES if path.endswith("/items") else BODY_BYTES


async def _body(scope: Scope, receive: Receive) -> bytes | Refusal:
    """Return the whole body, or a refusal if it is too large or its client has gone."""
    limit = body_limit(scope["path"])
    try:
        announced = content_length(scope["headers"])
    except ValueError as error:
        return Refusal(400, "length", str(error))
    too_large = Refusal(413, "body", f"a body has at most {limit:,} bytes")
    if announced is not None and announced > limit:
        return too_large
    parts, received, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return Refusal(400, "disconnected", "the connection was closed")
        part = message.get("body", b"")
        received += len(part)
        if received > limit:
            return too_large
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives the body once, and then what the connection gives."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_security(headers: Headers, path: str) -> list[tuple[bytes, bytes]]:
    known = {name.lower() for name, _ in headers}
    added = [(name, value) for name, value in SECURITY_HEADERS if name not in known]
    if b"cache-control" not in known:
        kept = b"no-cache" if path.startswith(STATIC) else b"no-store"
        added.append((b"cache-control", kept))
    return [*headers, *added]


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Send a refusal: JSON for the API, text for pages."""
    if scope["path"].startswith("/api/"):
        kind, body = b"application/json", msgspec.json.encode({"error": refusal.message})
    else:
        kind, body = b"text/plain; charset=utf-8", f"{refusal.message}\n".encode()
    headers: list[Any] = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # the body was not read
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.retry_after:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
