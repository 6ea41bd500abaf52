"""HTTP requests to a provider: JSON in, JSON out, everything else is a `CallFailed`.

aiohttp instead of the client of the anthropic package: with 64 concurrent calls of 200 ms that
client reaches 85 to 87 % of the ideal rate, because it takes a millisecond of CPU a call; aiohttp
reaches 92 to 97 % (`make bench-judges`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec

from judges.calls import CallFailed, UnscoredReason, Usage
from judges.client.failures import TransientFailure, lost, of_status
from judges.client.settings import ClientSettings, is_loopback

MAX_RESPONSE_BYTES: Final = 1024**2
"""A response is some kilobytes: `max_tokens` bounds it. Longer ones are not read."""
MAX_STREAM_BYTES: Final = 16 * 1024**2
"""The same for a stream of events, each of which has some 250 bytes for one token."""
_CONNECT_SECONDS: Final = 10.0
_MAX_TOKEN_COUNT: Final = 10**9
_MAX_NAME_CHARS: Final = 200


class JsonEndpoint:
    """Sends JSON to the paths of one base URL. Used from one event loop, closed at the end."""

    def __init__(self, settings: ClientSettings, headers: Mapping[str, str]) -> None:
        self._base_url = settings.base_url.rstrip("/")
        self._concurrency = settings.concurrency
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            # Not compressed: a response stays within its limit, and takes less CPU.
            "accept-encoding": "identity",
            "user-agent": "plumbline",
            **headers,
        }
        if settings.key is not None:
            self._headers["authorization"] = f"Bearer {settings.key.get_secret_value()}"
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: object) -> dict[str, Any]:
        """Return the JSON object of a response with status 200. Raises CallFailed."""
        async with self._sent(path, body) as response:
            received = await _read(response)
        return decode_object(received)

    async def stream(self, path: str, body: object) -> AsyncGenerator[bytes]:
        """Yield the data of each server-sent event of a response with status 200, until `[DONE]`.

        The body of a response that is no stream of events is yielded whole, as one.
        Raises CallFailed, also if the stream ends without `[DONE]`.
        """
        async with self._sent(path, body) as response:
            if response.content_type != "text/event-stream":
                yield await _read(response)
                return
            received = 0
            async for line in response.content:
                received += len(line)
                if received > MAX_STREAM_BYTES:
                    response.close()
                    raise lost(f"the response is longer than {MAX_STREAM_BYTES} bytes")
                if line.startswith(b"data:"):
                    data = line.removeprefix(b"data:").strip()
                    if data == b"[DONE]":
                        return
                    yield data
            raise lost("the stream ended early")

    @asynccontextmanager
    async def _sent(self, path: str, body: object) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response with status 200, whose body is not read. Raises CallFailed."""
        try:
            content = msgspec.json.encode(body)
        except UnicodeEncodeError:
            detail = "the request contains text that is not valid Unicode"
            raise CallFailed(UnscoredReason.UNAVAILABLE, detail) from None
        try:
            async with self._open().post(
                self._base_url + path, data=content, allow_redirects=False
            ) as response:
                if response.status != 200:
                    received = await _read(response)
                    retry_after = response.headers.get("retry-after")
                    raise of_status(response.status, received, retry_after)
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # Not sent, so not charged.
            raise TransientFailure(f"no connection: {type(error).__name__}", Usage()) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Only the type: the text of an error may repeat what the server has sent.
            raise lost(f"connection failed: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """Return the session, which must be created within the event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=self._concurrency),
                # The deadline of a call is total and includes retries: RetryingClient sets it.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                proxy=_proxy(self._base_url),
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body. Raises CallFailed if it is too long."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_RESPONSE_BYTES:
            response.close()
            raise lost(f"the response is longer than {MAX_RESPONSE_BYTES} bytes")
    return bytes(body)


def decode_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises CallFailed if it is something else."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise lost("the response is not JSON") from None
    if not isinstance(content, dict):
        raise lost("the response is not a JSON object")
    return content


def token_count(value: object, default: int | None = None) -> int | None:
    """Return a number of tokens: the default if it is absent, None if it is not a count."""
    if value is None:
        return default
    if type(value) is int and 0 <= value <= _MAX_TOKEN_COUNT:
        return value
    return None


def model_name(value: object) -> str:
    """Return the name of the model that answered, empty if it is not a name."""
    is_name = isinstance(value, str) and len(value) <= _MAX_NAME_CHARS and value.isprintable()
    return str(value) if is_name else ""


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for a URL.

    aiohttp would read the environment, and credentials from ~/.netrc, for every request.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)
