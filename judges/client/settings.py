"""Settings of a client: where the provider is, the key, and the limits of its calls."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

CacheTtl = Literal["none", "5m", "1h"]


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings of a client of a provider. Raises ValueError if one of them is not valid.

    base_url: URL that the paths of the API are appended to; https, except on this machine.
    key: sent as `Authorization: Bearer`; None for an endpoint without authentication.
    concurrency: highest number of requests at the same time.
    timeout_seconds: deadline of a call, with its retries and the wait for a free request.
    retries: highest number of requests of a call after the first one.
    backoff_seconds: longest pause before a retry, whatever `retry-after` says.
    cache_ttl: how long the provider caches the instructions.
    """

    base_url: str
    key: SecretStr | None = None
    concurrency: int = 32
    timeout_seconds: float = 60.0
    retries: int = 2
    backoff_seconds: float = 8.0
    cache_ttl: CacheTtl = "5m"

    def __post_init__(self) -> None:
        problem = url_problem(self.base_url)
        if problem is not None:
            raise ValueError(f"base_url {problem}")
        if self.concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        if self.retries < 0:
            raise ValueError("retries must not be negative")
        if not 0 < self.timeout_seconds < float("inf"):
            raise ValueError("timeout_seconds must be a positive number")
        if not 0 <= self.backoff_seconds < float("inf"):
            raise ValueError("backoff_seconds must not be negative")


def secret(text: str | None) -> SecretStr | None:
    """Return a key that is not printed; None if there is none."""
    return SecretStr(text) if text else None


def url_problem(url: str) -> str | None:
    """Return why a key must not be sent to this URL, None if it may. The text has no part of it."""
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isascii() or not url.isprintable() or " " in url:
        return "must be a URL, such as https://api.example.com"
    if parts.username is not None or parts.password is not None:
        return "must not contain a user or password"
    if parts.query or parts.fragment:
        return "must not contain a query or fragment"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        return "must begin with https://; http:// is allowed only for this machine"
    return None


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def same_origin(url: str, base_url: str) -> bool:
    """Return whether both URLs have the same scheme, host and port."""
    try:
        return _origin(url) == _origin(base_url)
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default
