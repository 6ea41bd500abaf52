"""Commands to detect, and the answers to them: types and JSON (topic PREFIX.commands; key: model).

A command is in the partition of its model, which has the same number as in the feature topic. An
answer follows it in the same partition. It has the offset at which the command was applied, so that
a process that reads both topics from their beginning applies the command at the same place.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from monitor.records import Source

MAX_REFERENCE_RECORDS = 1_000_000
"""Records of an accepted reference at most: they are in memory while it is built."""

_Name = Annotated[str, Meta(min_length=1, max_length=1_000)]
_Text = Annotated[str, Meta(max_length=1_000)]
_Id = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
_Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Records = Annotated[int, Meta(ge=1, le=MAX_REFERENCE_RECORDS)]

Outcome = Literal["applied", "refused"]


class CommandError(Exception):
    """The bytes are neither a command nor an answer, or one of a type that is not known."""


class AcceptReference(msgspec.Struct, frozen=True, kw_only=True, tag="accept_reference"):
    """Make the traffic in a range of the feature topic the reference of a model.

    The records are those of the log. id: see `command_id`.
    segment: None for the model and all its segments; otherwise this segment only, "" for the whole
    traffic without its segments.
    first, last: offsets of the model's feature partition; `last` is not part of the range.
    records: the reference consists of the newest records in the range, so many at most.
    at: the command is applied before the chunk at this offset.
    """

    id: _Id
    model: _Name
    segment: _Text | None = None
    first: _Offset
    last: _Offset
    records: _Records
    at: _Offset

    def __post_init__(self) -> None:
        """Reject a range that is empty or not complete when the command is applied."""
        if not self.first < self.last <= self.at:
            raise ValueError("the range of a reference is empty or ends after its command")


class AcceptSourceReference(AcceptReference, frozen=True, kw_only=True, tag="accept_source"):
    """Make records of another source than the log the reference of this source of a model.

    It has a type of its own: a version that knows only the log skips it.
    """

    source: Source


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """The result of a command.

    command: its id. reason: why it was refused. at: offset of the feature partition at which it was
    applied or refused.
    records, reference: size and id of the new reference of the model, or of the chosen segment.
    first_time, last_time: of its records, in epoch seconds.
    segments: number of segments that have a new reference. kept: number of segments that keep
    theirs, because the range has too few records of them.
    alarms: number of alarms that ended.
    configured: id of the configured reference that the new one replaces; "" if there is none.
    """

    command: _Id
    model: _Name
    outcome: Outcome
    reason: _Text = ""
    at: _Offset
    records: _Offset = 0
    reference: _Text = ""
    first_time: float = 0.0
    last_time: float = 0.0
    segments: _Offset = 0
    kept: _Offset = 0
    alarms: _Offset = 0
    configured: _Text = ""


_decoder = msgspec.json.Decoder(AcceptReference | AcceptSourceReference | Answer)


def source_of(command: AcceptReference) -> Source:
    """Return the source whose reference a command replaces."""
    return command.source if isinstance(command, AcceptSourceReference) else Source.LOG


def command_id(model: str, first: int, last: int, nonce: str) -> str:
    """Return the id of a command: a hash that the nonce keeps apart from equal commands."""
    content = msgspec.json.encode((model, first, last, nonce))
    return hashlib.sha256(content).hexdigest()[:16]


def encode_command(command: AcceptReference | Answer) -> bytes:
    """Return a command or an answer as JSON."""
    return msgspec.json.encode(command)


def decode_command(content: bytes) -> AcceptReference | Answer:
    """Return the command or the answer of a JSON text.

    Raises CommandError for all other bytes.
    """
    try:
        command: AcceptReference | Answer = _decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CommandError(str(error)) from None
    return command
