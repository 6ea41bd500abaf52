"""Send one HTTP POST request with limits on time and on the response.

TLS certificates are verified. Redirects are not followed, because they would send secrets to
another address. HTTPS_PROXY and NO_PROXY apply. A response contains no secret; exceptions of the
libraries may, and are therefore converted here.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Final, Literal, get_args
from urllib.parse import SplitResult, unquote, urlsplit

from monitor import __version__
from monitor.config.sections.base.fields import MASK
from monitor.notify.message import Request, truncate

TIMEOUT_SECONDS: Final = 10.0
"""Timeout of a connection, of each operation on it, and of the whole response."""
MAX_RESPONSE_BYTES: Final = 4096
MAX_DETAIL_CHARS: Final = 200
MAX_RETRY_AFTER_SECONDS: Final = 3600.0
"""Longer values of Retry-After are reduced to this."""

Reason = Literal[
    "unreachable", "tls", "timeout", "rate_limited", "server_error", "redirected", "rejected"
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
RETRYABLE: Final[frozenset[Reason]] = frozenset(
    {"unreachable", "tls", "timeout", "rate_limited", "server_error"}
)
"""Failures that a later attempt may not have."""


@dataclass(frozen=True, slots=True)
class Response:
    """Result of a request.

    status: HTTP status; None without a response.
    reason: cause of the failure; None on success.
    detail: start of the body, or the kind of error; printable and without secrets.
    retry_after: seconds to wait, as the target requires.
    """

    status: int | None
    reason: Reason | None
    detail: str
    retry_after: float = 0.0

    @property
    def retryable(self) -> bool:
        """Whether a later attempt may succeed."""
        return self.reason in RETRYABLE


def post(request: Request, *, timeout: float = TIMEOUT_SECONDS) -> Response:
    """Send a request and return the result; never raises."""
    try:
        return _send(request, timeout)
    except ssl.SSLError as error:
        return Response(None, "tls", error.reason or type(error).__name__)
    except TimeoutError:
        return Response(None, "timeout", f"no response within {timeout:g} s")
    except OSError as error:
        return Response(None, "unreachable", error.strerror or type(error).__name__)
    except (http.client.HTTPException, ValueError) as error:
        # The text of the exception may contain the URL.
        return Response(None, "unreachable", f"invalid HTTP response: {type(error).__name__}")


def post_to_all(request: Request) -> list[Response]:
    """Send a request to its URL and to its replicas at the same time; return their responses."""
    if not request.replicas:
        return [post(request)]
    responses: dict[str, Response] = {}

    def send(url: str) -> None:
        responses[url] = post(replace(request, url=url))

    urls = (request.url, *request.replicas)
    threads = [threading.Thread(target=send, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [responses[url] for url in urls]


def best(responses: Sequence[Response]) -> Response:
    """Return the response that decides: a success, else a failure that may pass, else the first."""
    return min(responses, key=lambda each: (each.reason is not None, not each.retryable))


def _send(request: Request, timeout: float) -> Response:
    parts = urlsplit(request.url)
    connection = _connection(parts, timeout)
    deadline = time.monotonic() + timeout
    try:
        connection.connect()
        # The timeout of a socket applies to each read; a target that sends single bytes needs this.
        timer = threading.Timer(timeout, _shut_down, (connection.sock,))
        timer.daemon = True
        timer.start()
        try:
            connection.request("POST", _path(parts), request.body, _headers(request))
            response = connection.getresponse()
            body = _read_start(response)
        finally:
            timer.cancel()
    except (OSError, http.client.HTTPException):
        if time.monotonic() >= deadline:
            raise TimeoutError from None
        raise
    finally:
        connection.close()
    return Response(
        response.status,
        _reason(response.status),
        _detail(body, request),
        _retry_after_seconds(response.getheader("Retry-After")),
    )


def _read_start(response: http.client.HTTPResponse) -> bytes:
    """Return the start of the body; empty if it is cut off, because the status is sufficient."""
    try:
        return response.read(MAX_RESPONSE_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _connection(parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":  # the configuration permits it for this machine only
        return http.client.HTTPConnection(host, parts.port, timeout=timeout)
    context = ssl.create_default_context()
    proxy_url = urllib.request.getproxies().get("https")
    if not proxy_url or urllib.request.proxy_bypass(host):
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    proxy = urlsplit(proxy_url if "//" in proxy_url else f"//{proxy_url}")
    tunnel = http.client.HTTPSConnection(
        proxy.hostname or "", proxy.port or 3128, timeout=timeout, context=context
    )
    tunnel.set_tunnel(host, parts.port or 443, _proxy_headers(proxy))
    return tunnel


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        sock.shutdown(socket.SHUT_RDWR)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _headers(request: Request) -> dict[str, str]:
    common = {"User-Agent": f"plumbline/{__version__}", "Connection": "close"}
    return common | dict(request.headers)


def _reason(status: int) -> Reason | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return "redirected"
    if status == 408:
        return "timeout"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 else "rejected"


def _retry_after_seconds(value: str | None) -> float:
    """Return the seconds of a Retry-After header, which has a number of seconds or a date."""
    if value is None:
        return 0.0
    if re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    try:
        wait = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError, TypeError):
        return 0.0
    return min(max(0.0, wait), MAX_RETRY_AFTER_SECONDS)


def _detail(body: bytes, request: Request) -> str:
    """Return the start of a body; secrets that the target repeats are masked."""
    text = " ".join(body.decode("utf-8", "replace").split())
    for secret in sorted(request.secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return truncate(text, MAX_DETAIL_CHARS)
