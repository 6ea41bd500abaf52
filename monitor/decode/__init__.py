"""Formats of inference logs: a file each, and a line in the registry.

A decoder turns the bytes of one message into a `Record` or raises `RefusedError`; it never raises
anything else, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.decode import native
from monitor.records import Record

Decode = Callable[[bytes], Record]

FORMATS: dict[str, Callable[[bool], Decode]] = {"native": native.decoder}
"""Format -> what makes its decoder; the argument says whether metadata is needed."""


def decoder(name: str, *, metadata: bool) -> Decode:
    """The decoder of a format; "auto" knows one format so far, the native one.

    Raises KeyError for an unknown format.
    """
    return FORMATS["native" if name == "auto" else name](metadata)
