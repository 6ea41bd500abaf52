"""Checks of the headers of a request, before anything else is done with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from monitor.web.sign_in.identity import Headers

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
METHODS: Final = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
ONCE: Final = frozenset(
    {
        *(b"host", b"authorization", b"content-length", b"content-type", b"origin"),
        *(b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"transfer-encoding"),
    }
)
"""Headers that may be there once: two servers that choose another one disagree about a request."""
MAX_TARGET_BYTES: Final = 4_096
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is not answered. reason: a label of the metric."""

    status: int
    reason: str
    message: str
    retry_after: int = 0


def allowed_hosts(host: str, names: Collection[str]) -> frozenset[str]:
    """Return the names that a Host header may have, without a port.

    host: the address to listen on. A name that only resolves to it, by a DNS server of an attacker,
    is none of them.
    """
    found = {name.lower() for name in names}
    try:
        address = ip_address(host)
    except ValueError:
        found.add(host.lower())
    else:
        if not address.is_unspecified:
            found.add(f"[{address}]" if address.version == 6 else str(address))
        if not address.is_loopback:
            return frozenset(found)
    return frozenset({*found, *LOOPBACK_HOSTS})


def host_name(value: str) -> str:
    """Return the name of a Host header without its port, in lower case."""
    name, colon, port = value.rpartition(":")
    has_port = bool(colon) and port.isdigit() and (not name.startswith("[") or name.endswith("]"))
    return (name if has_port else value).lower()


def check_request(
    method: str, target: bytes, headers: Headers, own: Collection[str]
) -> Refusal | None:
    """Check method, length of the target and headers. own: headers of the proxy."""
    if method not in METHODS:
        return Refusal(405, "method", "this method is not supported")
    if len(target) > MAX_TARGET_BYTES:
        return Refusal(414, "target", "the address is too long")
    names = Counter(name for name, _ in headers)
    if b"content-length" in names and b"transfer-encoding" in names:
        return Refusal(400, "length", "a body has either a length or a transfer encoding")
    single = ONCE | {name.encode() for name in own}
    for name, count in names.items():
        if count > 1 and name in single:
            return Refusal(400, "duplicate_header", f"header {name.decode('latin-1')} is repeated")
        if b"_" in name and name.replace(b"_", b"-") in single:
            return Refusal(400, "underscore_header", "a header has an underscore for a hyphen")
    return None


def check_host(headers: Headers, hosts: Collection[str]) -> Refusal | None:
    """Refuse a request for another host: a page of a stranger whose name resolves to this one."""
    value = _value(headers, b"host")
    if value is None or host_name(value) not in hosts:
        message = "this host is not served here; add its name to web.allowed_hosts"
        return Refusal(421, "host", message)
    return None


def check_origin(method: str, headers: Headers) -> Refusal | None:
    """Refuse requests that a page of another origin makes a browser send, by fetch metadata.

    A request with a bearer token is none: browsers do not add one. Without fetch metadata the
    Origin has to be the Host. A read is refused only if it is no navigation.
    """
    if _value(headers, b"authorization") is not None:
        return None
    site, mode = _value(headers, b"sec-fetch-site"), _value(headers, b"sec-fetch-mode")
    foreign = Refusal(403, "origin", "this request comes from another site")
    if method in SAFE_METHODS:
        allowed = site in {None, "same-origin", "none"} or mode == "navigate"
        return None if allowed else foreign
    if site is not None:
        return None if site == "same-origin" else foreign
    origin, host = _value(headers, b"origin"), _value(headers, b"host")
    if origin is None or host is None or urlsplit(origin).netloc.lower() != host.lower():
        return foreign
    return None


def content_length(headers: Headers) -> int | None:
    """Return the announced length of the body; None if it is not announced. Raises ValueError."""
    value = _value(headers, b"content-length")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 15):
        raise ValueError("the content length is no number")
    return int(value)


def _value(headers: Headers, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key == name), None)
