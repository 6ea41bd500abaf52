"""The HTTP API of a running daemon, for commands."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException

from monitor.config.schema import Config
from monitor.errors import UserError

HTTP_SECONDS = 15.0
"""Time limit of a request; the daemon may have to read a topic first."""


def address(config: Config) -> str:
    """Return the address of a daemon with this configuration, for a client on its machine."""
    anyaddress = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = anyaddress.get(config.http.host, config.http.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.http.port}/"


def get(url: str) -> bytes:
    """Return the content of a page, without a proxy. Raises UserError."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=HTTP_SECONDS) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read(1000).decode(errors="replace").strip()
        raise UserError(f"{url}: status {error.code}: {detail}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{url}: {reason}; is the daemon running there? See --url") from None
