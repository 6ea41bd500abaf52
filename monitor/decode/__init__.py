"""Formats of inference logs: a file each, and a line in the registry.

A decoder turns the bytes of one message into a `Record` or raises `RefusedError`; it never raises
anything else, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from monitor.decode import native
from monitor.decode.decoded import Decoded
from monitor.records import Record


class Decode(Protocol):
    """What decodes one format."""

    def __call__(self, payload: bytes) -> Record:
        """The record of one message, or RefusedError."""
        ...

    def many(self, payloads: Sequence[bytes]) -> Decoded:
        """What becomes of a batch of messages: the very records and refusals, at less cost.

        `decoded.one_by_one` is enough for a start.
        """
        ...


FORMATS: dict[str, Callable[[bool], Decode]] = {"native": native.NativeDecoder}
"""Format -> what makes its decoder; the argument says whether metadata is needed."""


def decoder(name: str, *, metadata: bool) -> Decode:
    """The decoder of a format; "auto" knows one format so far, the native one.

    Raises KeyError for an unknown format.
    """
    return FORMATS["native" if name == "auto" else name](metadata)
