"""What the logs of HTTP gateways have in common: the status of a response."""

from __future__ import annotations

from monitor.ingest.decode.bodies.values import parsed_number

_FIRST_ERROR = 400
_ABSENT = frozenset({None, "", "-"})


def error_of_status(status: object) -> str | None:
    """Return an HTTP status that is an error, as text; None for a success, or without a status.

    status: a number, or a text. 0 is what proxies log if there was no response.
    """
    found = parsed_number(status)
    if found is None or not (found == 0 or _FIRST_ERROR <= found < 1000):
        return None
    return str(int(found))


def present(value: object) -> object:
    """Return a value of a log; None for the marks that proxies write for a value that is absent."""
    return None if isinstance(value, str) and value in _ABSENT else value
