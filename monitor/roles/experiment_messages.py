"""Messages of the state topic of experiments.

Every message names what it belongs to, because followers see values only. A value larger than
PART_BYTES is divided into parts, which have the same sequence number and are written in one
transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from monitor.experiments.exposures.columns import key_of

VERSION: Final = 1
PART_BYTES: Final = 512 * 1024
"""Maximum size of a part: half of the broker's default limit of a message."""
MAX_PARTS: Final = 1_000

Kind = Literal["closed", "rest", "decisions", "result", "offset"]
"""Closed sums and the rest of a shard; state of decisions; result; offset of a partition."""


class StateMessage(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A value in the state topic.

    experiment: "" for the offset of a partition. shard: 0 unless the kind is of a shard.
    partition: of the exposures topic that the state belongs to.
    """

    version: int
    kind: Kind
    experiment: str
    shard: int
    partition: int
    sequence: int
    part: int
    parts: int
    payload: bytes

    @property
    def name(self) -> Name:
        """What the payload is a part of."""
        return Name(self.kind, self.experiment, self.shard, self.partition)


@dataclass(frozen=True, slots=True)
class Name:
    """What a value is, as in `StateMessage`."""

    kind: Kind
    experiment: str
    shard: int
    partition: int

    def key(self, part: int) -> bytes:
        """Return the key of a part of the value."""
        if self.kind == "offset":
            return b"offset"
        shard = key_of(self.experiment, self.shard)
        if self.kind in ("decisions", "result"):
            shard = self.experiment.encode()
        return shard + f"/{self.kind}".encode() + (f"/{part}".encode() if part else b"")


_decode = msgspec.msgpack.Decoder(StateMessage).decode


def encode(name: Name, payload: bytes, sequence: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of the messages of a payload.

    sequence: differs from that of the payload before.
    """
    parts = max(1, -(-len(payload) // PART_BYTES))
    for part in range(parts):
        piece = payload[part * PART_BYTES : (part + 1) * PART_BYTES]
        place = name.kind, name.experiment, name.shard, name.partition
        message = StateMessage(VERSION, *place, sequence, part, parts, piece)
        yield name.key(part), msgspec.msgpack.encode(message)


def decode(value: bytes) -> StateMessage | None:
    """Return the message of a value; None if it is none of this version."""
    try:
        message = _decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    known = message.version == VERSION and 0 <= message.part < message.parts <= MAX_PARTS
    return message if known else None


@dataclass(slots=True)
class Assembled:
    """Payload and sequence number of a value whose parts were all read."""

    payload: bytes
    sequence: int


class Assembler:
    """Joins the parts of values, from messages in the order of their partition."""

    def __init__(self) -> None:
        self._parts: dict[Name, dict[int, StateMessage]] = {}

    def add(self, message: StateMessage) -> Assembled | None:
        """Add a part; return the value if it is complete."""
        if message.parts == 1:
            self._parts.pop(message.name, None)
            return Assembled(message.payload, message.sequence)
        parts = self._parts.setdefault(message.name, {})
        for number, part in list(parts.items()):
            if part.sequence != message.sequence:
                del parts[number]
        parts[message.part] = message
        if len(parts) < message.parts:
            return None
        del self._parts[message.name]
        payload = b"".join([part.payload for _, part in sorted(parts.items())])
        return Assembled(payload, message.sequence)


def assemble(values: dict[bytes, bytes]) -> dict[Name, Assembled]:
    """Return all complete values among the newest messages by key."""
    found: dict[Name, Assembled] = {}
    messages = [message for message in map(decode, values.values()) if message is not None]
    assembler = Assembler()
    # A part of an earlier, longer value may be left: sequences of a name are added in their order.
    for message in sorted(messages, key=lambda each: (each.sequence, each.part)):
        value = assembler.add(message)
        if value is not None:
            found[message.name] = value
    return found
