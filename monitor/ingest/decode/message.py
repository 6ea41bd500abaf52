"""A message of a log before decoding, and what a format finds in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from monitor.ingest.decode.inference import Inference
from monitor.records import RejectedRecord


@dataclass(frozen=True, slots=True)
class LogMessage:
    """One message.

    headers: by name in lower case; of repeated names the last value.
    topic: where it comes from; empty for files.
    """

    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)
    topic: str = ""


def with_value(message: LogMessage, value: bytes) -> LogMessage:
    """Return a message with another value; the same object if it has this value already."""
    return message if value is message.value else replace(message, value=value)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a message that is no inference, such as a span of a tool or a health check.

    kind: one of a few names that the format defines, a label of a metric; never text of a log.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class CallPart:
    """Some fields of an inference whose other fields are in other messages.

    call: identifier that all parts of the call share. role: which of the parts it is, such as
    "request"; a label of a metric. roles: those that make a record together.
    fields: of `Inference`, by name.
    number: position among several parts of one role. texts: pieces of texts by name, which are
    joined in the order of the numbers.
    alone: whether the part makes a record if no others arrive within a minute.
    time: epoch seconds of the log entry, which decides how long the part waits for the others.
    size: bytes of the part, approximately. more: whether the message has further parts of the call.
    finish: makes the inference; None: the fields are merged once all roles are there.
    """

    call: str
    role: str
    roles: tuple[str, ...]
    fields: Mapping[str, object]
    number: int = 0
    texts: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    time: float | None = None
    size: int = 0
    more: bool = False
    finish: Finish | None = None


Finish = Callable[[Sequence[CallPart], bool], Inference | Skipped | None]
"""Returns what the parts of one call make, or None if others are missing.

Arguments are the parts, ordered by role and number, and whether no others will be waited for.
"""

NativeRecord = bytes
"""An inference as the JSON of a native record, which native code writes. It has the fields of
`Inference`, and the rules of `whole_record` change none of them but the model's name."""

Found = Inference | NativeRecord | Skipped | CallPart | RejectedRecord
"""What a format finds. Rejections are values, because a message may hold other inferences."""


class Format(Protocol):
    """A log format. Its functions keep no state between messages."""

    def recognizes(self, message: LogMessage) -> bool:
        """Return whether a message has the headers or the shape of the format.

        It accepts no native record and no message of another format, and it is fast: `format: auto`
        calls it for every message that is not native. It raises nothing, whatever the bytes.
        """
        ...

    def decode(self, message: LogMessage) -> Iterable[Found]:
        """Yield everything that is in a message, in the order of the message.

        Raises RejectedRecord, and no other exception, if the whole message is invalid.
        """
        ...


class BatchReader(Protocol):
    """Reads the values of many messages at once, faster than `decode`, with the same result."""

    def read(self, payloads: Sequence[bytes]) -> Sequence[Sequence[Found] | None]:
        """Return what is in each message; None for those that `decode` has to read.

        A format that recognizes messages recognizes those that are not None. Raises nothing.
        """
        ...


@runtime_checkable
class BatchFormat(Protocol):
    """A format with a reader of batches; None if that is not installed."""

    @property
    def reader(self) -> BatchReader | None:
        """Reads the values of many messages at once."""
        ...


MessageAt = Callable[[int], LogMessage]
"""Returns the message of a batch with an index. Headers are read only for those that need them."""


def without_headers(payloads: Sequence[bytes]) -> MessageAt:
    """Return the messages of payloads that have no headers, as in files."""
    return lambda index: LogMessage(payloads[index])
