"""One HTTP POST within bounds: of time, of bytes read, and of what its answer may make us do.

TLS is verified, redirects are not followed (they would carry a secret elsewhere), and of the
environment HTTPS_PROXY and NO_PROXY are heeded. Nothing that is returned holds a secret: errors of
the libraries may, and go no further than here.
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
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from monitor import __version__
from monitor.config_client import MASK
from monitor.notify.notice import Request, cut

SECONDS: Final = 10.0
"""How long a connection, an operation on it, and the whole answer may take, each."""
ANSWER_BYTES: Final = 4096
DETAIL_CHARS: Final = 200
LONGEST_WAIT: Final = 3600.0
"""The most that a Retry-After is taken to mean."""


Reason = Literal[
    "unreachable", "tls", "timeout", "rate_limited", "server_error", "redirected", "rejected"
]
REASONS: Final[tuple[Reason, ...]] = (
    "unreachable", "tls", "timeout", "rate_limited", "server_error", "redirected", "rejected",
)  # fmt: skip
PASSING: Final[frozenset[Reason]] = frozenset(
    {"unreachable", "tls", "timeout", "rate_limited", "server_error"}
)
"""What may be otherwise the next time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    status: of HTTP, None where no answer came. reason: why it failed, None where it did not.
    detail: the beginning of the answer or the kind of error, printable and without secrets.
    retry_after: seconds that the target asks us to wait.
    """

    status: int | None
    reason: Reason | None
    detail: str
    retry_after: float = 0.0

    @property
    def passing(self) -> bool:
        """Whether it is worth trying again."""
        return self.reason in PASSING


def post(request: Request, *, seconds: float = SECONDS) -> Answer:
    """Send a request and say what came of it; never raises."""
    try:
        return _exchange(request, seconds)
    except ssl.SSLError as error:
        return Answer(None, "tls", error.reason or type(error).__name__)
    except TimeoutError:
        return Answer(None, "timeout", f"no answer within {seconds:g} s")
    except OSError as error:
        return Answer(None, "unreachable", error.strerror or type(error).__name__)
    except (http.client.HTTPException, ValueError) as error:
        # its text may hold the URL
        return Answer(None, "unreachable", f"no HTTP: {type(error).__name__}")


def _exchange(request: Request, seconds: float) -> Answer:
    parts = urlsplit(request.url)
    connection = _connection(parts, seconds)
    until = time.monotonic() + seconds
    try:
        connection.connect()
        # a time-out counts from byte to byte: who sends one now and then is hung up on
        guard = threading.Timer(seconds, _hang_up, (connection.sock,))
        guard.daemon = True
        guard.start()
        try:
            connection.request("POST", _path(parts), request.body, _headers(request))
            response = connection.getresponse()
            text = _beginning(response)
        finally:
            guard.cancel()
    except (OSError, http.client.HTTPException):
        if time.monotonic() >= until:
            raise TimeoutError from None
        raise
    finally:
        connection.close()
    retry_after = _seconds(response.getheader("Retry-After"))
    return _judge(response.status, _detail(text, request), retry_after)


def _beginning(response: http.client.HTTPResponse) -> bytes:
    """The beginning of the body; the status has said what matters, so it may break off."""
    try:
        return response.read(ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":  # only ever to this machine
        return http.client.HTTPConnection(host, parts.port, timeout=seconds)
    context = ssl.create_default_context()
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(host):
        return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=context)
    way = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    tunnel = http.client.HTTPSConnection(
        way.hostname or "", way.port or 3128, timeout=seconds, context=context
    )
    tunnel.set_tunnel(host, parts.port or 443, _proxy_headers(way))
    return tunnel


def _proxy_headers(way: SplitResult) -> dict[str, str]:
    if way.username is None:
        return {}
    word = f"{unquote(way.username)}:{unquote(way.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(word.encode()).decode()}


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        sock.shutdown(socket.SHUT_RDWR)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _headers(request: Request) -> dict[str, str]:
    ours = {"User-Agent": f"plumbline/{__version__}", "Connection": "close"}
    return ours | dict(request.headers)


def _judge(status: int, detail: str, retry_after: float) -> Answer:
    reason: Reason | None = "rejected"
    if 200 <= status < 300:
        reason = None
    elif 300 <= status < 400:
        reason = "redirected"
    elif status == 408:
        reason = "timeout"
    elif status == 429:
        reason = "rate_limited"
    elif status >= 500:
        reason = "server_error"
    return Answer(status, reason, detail, retry_after)


def _seconds(value: str | None) -> float:
    """What a Retry-After header asks for: a number of seconds, or a date."""
    if value is None:
        return 0.0
    if re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
        return min(float(value), LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError, TypeError):
        return 0.0
    return min(max(0.0, wait), LONGEST_WAIT)


def _detail(text: bytes, request: Request) -> str:
    """The beginning of an answer, in which the target may have repeated what it was sent."""
    shown = " ".join(text.decode("utf-8", "replace").split())
    for secret in sorted(request.secrets, key=len, reverse=True):
        shown = shown.replace(secret, MASK)
    return cut(shown, DETAIL_CHARS)
