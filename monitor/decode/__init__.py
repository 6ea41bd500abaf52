"""Formats of inference logs: a file each, and a line in the registry.

A decoder turns the bytes of one message into a `Record` or raises `RefusedError`; it never raises
anything else, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from monitor.decode import native
from monitor.records import Record, RefusedError


class Decode(Protocol):
    """What decodes one format."""

    def __call__(self, payload: bytes) -> Record:
        """The record of one message, or RefusedError."""
        ...

    def many(self, payloads: Sequence[bytes]) -> list[Record] | None:
        """The records of messages where all are plain ones; None where one needs a closer look."""
        ...


FORMATS: dict[str, Callable[[bool], Decode]] = {"native": native.NativeDecoder}
"""Format -> what makes its decoder; the argument says whether metadata is needed."""


def decoder(name: str, *, metadata: bool) -> Decode:
    """The decoder of a format; "auto" knows one format so far, the native one.

    Raises KeyError for an unknown format.
    """
    return FORMATS["native" if name == "auto" else name](metadata)


def decode_batch(
    decode: Decode, payloads: Sequence[bytes], places: Sequence[int]
) -> tuple[list[Record], Sequence[int], list[tuple[int, RefusedError]]]:
    """(records, the places that they have, the indices of what was refused and why) of messages.

    places: where each message stands, as long as `payloads`.
    """
    plain = decode.many(payloads) if payloads else []
    if plain is not None:
        return plain, places, []
    records: list[Record] = []
    kept: list[int] = []
    refusals: list[tuple[int, RefusedError]] = []
    for index, (payload, place) in enumerate(zip(payloads, places, strict=True)):
        try:
            records.append(decode(payload))
        except RefusedError as refused:
            refusals.append((index, refused))
        else:
            kept.append(place)
    return records, kept, refusals
