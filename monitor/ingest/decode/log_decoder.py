"""Decode the messages of logs in the configured format, or in the formats that are recognized.

Native records are the fast path: a batch is decoded at once, and only messages that are not native
are looked at one by one. Topics whose messages are of another format skip that attempt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import structlog

from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.decode.framing.compression import decompressed
from monitor.ingest.decode.framing.duplicates import without_repeated
from monitor.ingest.decode.framing.framing import Framing
from monitor.ingest.decode.framing.schemas import is_framed
from monitor.ingest.decode.inference import Inference, ModelNaming, inference_of, whole_record
from monitor.ingest.decode.message import (
    BatchFormat,
    BatchReader,
    CallPart,
    Format,
    Found,
    LogMessage,
    MessageAt,
    NativeRecord,
    Skipped,
    with_value,
    without_headers,
)
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.pieces import OneByOne, Piece, join, piece_of
from monitor.records import RejectedRecord, Texts, WholeRecord

log = structlog.get_logger(__name__)

AUTO: Final = "auto"
NATIVE: Final = "native"
MAX_SHOWN: Final = 100
"""Topics and formats whose first recognition is logged."""

Result = WholeRecord | Skipped | RejectedRecord


class LogDecoder:
    """Decoder of messages.

    chosen: AUTO, NATIVE, or a name in `formats`.
    native: decodes native records. formats: the others by name, in the order in which they are
    tried. naming: of models in the other formats.
    framing: handles schemas, calls in several messages, and repeated records. After its
    `roll_back`, messages since its last `commit` are decoded to the same records as before.
    """

    def __init__(
        self,
        chosen: str,
        native: NativeDecoder,
        formats: Mapping[str, Format],
        naming: ModelNaming,
        framing: Framing | None = None,
    ) -> None:
        self._chosen = chosen
        self._native = native
        self._formats = formats
        self._readers = _readers_of(formats)
        self._naming = naming
        self._foreign_topics: dict[str, str] = {}
        self._shown: set[tuple[str, str]] = set()
        self._framed_topics: set[str] = set()
        self._joining = NATIVE  # name of the format whose parts are joined
        self.framing = framing or Framing()

    def whole(self, payload: bytes) -> WholeRecord:
        """Return all fields of a native record. Raises RejectedRecord if it is not one."""
        return self._native.whole(payload)

    def texts(self, payload: bytes) -> Texts:
        """Return the texts of a native record. Raises RejectedRecord if it is not one."""
        return self._native.texts(payload)

    def many(self, payloads: Sequence[bytes], message_at: MessageAt | None = None) -> Decoded:
        """Decode a batch of messages.

        message_at: returns the messages of the payloads, with headers and topics if they have any.
        Raises RegistryUnavailable if the schema of a message cannot be read now.
        """
        decoded = self._many(payloads, message_at)
        framing = self.framing
        if framing.duplicates is None or not len(decoded.fields):
            return decoded
        return without_repeated(decoded, framing.duplicates, drop=framing.drop)

    def rest(self) -> Decoded:
        """Return what the parts of calls make that still wait for others, at the end of files.

        The index of each is -1. Parts that make nothing are skipped, as `lost_ROLE`.
        """
        batch = OneByOne()
        for result in map(self._result, self.framing.parts.rest()):
            self._add_result(batch, -1, self._joining, result)
        return self._joined([], batch)

    def _many(self, payloads: Sequence[bytes], message_at: MessageAt | None) -> Decoded:
        at = _remembered(message_at or without_headers(payloads), len(payloads))
        others = self._not_native(payloads, at)
        if len(others) == len(payloads):
            return self._joined([], self._each(others, at))
        tried = payloads
        natives = list(range(len(payloads)))
        if others:
            chosen = set(others)
            natives = [index for index in natives if index not in chosen]
            tried = [payloads[index] for index in natives]
        decoded = self._native.many(tried)
        if not others and not decoded.rejected:
            decoded.formats[NATIVE] = len(decoded.fields)
            return decoded
        retried = [natives[index] for index, _ in decoded.rejected]
        batch = self._each(sorted(others + retried), at)
        if not len(decoded.fields):
            return self._joined([], batch)
        batch.formats[NATIVE] += len(decoded.fields)
        indices = np.array(natives)[decoded.indices]
        piece = Piece(decoded.fields, indices, np.zeros(len(indices), np.int64), {})
        return self._joined([piece], batch)

    def found(self, message: LogMessage) -> Iterator[Result]:
        """Yield the records of a message with all their fields, what is skipped and rejected."""
        try:
            opened, name = self._opened(message)
            if name == NATIVE:
                yield self._native.whole(opened.value)
                self._foreign_topics.pop(message.topic, None)
            else:
                yield from self._results(name, self._formats[name].decode(opened))
        except RejectedRecord as error:
            yield error.with_traceback(None)

    def _not_native(self, payloads: Sequence[bytes], at: MessageAt) -> list[int]:
        """Return the indices of the messages that are probably not native."""
        if self._chosen == NATIVE:
            return []
        if self._chosen != AUTO:
            return list(range(len(payloads)))
        if not self._foreign_topics and not self._framed_topics:
            return []
        foreign = self._foreign_topics.keys() | self._framed_topics
        return [index for index in range(len(payloads)) if at(index).topic in foreign]

    def _each(self, indices: Sequence[int], at: MessageAt) -> OneByOne:
        """Decode messages one by one."""
        batch = OneByOne()
        read = self._read_together(indices, at) if self._readers else {}
        for index in indices:
            if index in read:
                self._add_found(batch, index, *read[index])
                continue
            message = at(index)
            try:
                opened, name = self._opened(message)
                if name == NATIVE:
                    self._add_native(batch, index, opened, wrapped=opened is not message)
                else:
                    self._add_found(batch, index, name, self._formats[name].decode(opened))
            except RejectedRecord as error:  # the traceback would keep the batch in memory
                batch.rejected.append((index, error.with_traceback(None)))
        return batch

    def _read_together(
        self, indices: Sequence[int], at: MessageAt
    ) -> dict[int, tuple[str, Sequence[Found]]]:
        """Return what is in the messages that the reader of their expected format reads.

        Each has the name of the format.
        """
        by_format: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for index in indices:
            message = at(index)
            name = self._foreign_topics.get(message.topic) if self._chosen == AUTO else self._chosen
            if name in self._readers and not is_framed(message):
                by_format[name].append((index, message.value))
        read = {}
        for name, chosen in by_format.items():
            found = self._readers[name].read([value for _, value in chosen])
            for (index, _), each in zip(chosen, found, strict=True):
                if each is not None:
                    read[index] = name, each
        return read

    def _joined(self, pieces: list[Piece], batch: OneByOne) -> Decoded:
        """Return records in the order of their messages.

        pieces: native records. batch: what is in the other messages.
        """
        if batch.natives:
            pieces.append(self._written(batch))
        if batch.records or not pieces:
            pieces.append(piece_of(batch, self._native.needed))
        joined = join(pieces)
        batch.rejected.sort(key=lambda entry: entry[0])
        return Decoded(
            joined.fields,
            joined.indices,
            batch.rejected,
            joined.wholes,
            batch.skipped,
            batch.formats,
        )

    def _written(self, batch: OneByOne) -> Piece:
        """Return the native records that formats wrote.

        The others among them are decoded for the reason of their rejection, or because they are
        larger than a native record may be.
        """
        indices, places, natives = zip(*batch.natives, strict=True)
        written = self._native.many(natives)
        left = np.ones(len(natives), np.bool_)
        left[written.indices] = False
        for number in np.flatnonzero(left).tolist():
            result = self._result(natives[number])
            if isinstance(result, WholeRecord):
                batch.records.append((indices[number], places[number], result, result))
            elif isinstance(result, RejectedRecord):
                batch.rejected.append((indices[number], result))
        return Piece(
            written.fields,
            np.array(indices)[written.indices],
            np.array(places)[written.indices],
            {row: natives[number] for row, number in enumerate(written.indices.tolist())},
        )

    def _add_native(
        self, batch: OneByOne, index: int, message: LogMessage, *, wrapped: bool
    ) -> None:
        record = self._native(message.value)
        self._foreign_topics.pop(message.topic, None)
        whole = self._native.whole(message.value) if wrapped else None
        batch.records.append((index, batch.place, record, whole))
        batch.formats[NATIVE] += 1

    def _add_found(self, batch: OneByOne, index: int, name: str, found: Iterable[Found]) -> None:
        """Add what a format found in a message."""
        natives = self._naming.is_default
        for each in found:
            if natives and isinstance(each, NativeRecord):  # most are: no detour for them
                batch.natives.append((index, batch.place, each))
                batch.formats[name] += 1
            else:
                for result in self._results(name, (each,)):
                    self._add_result(batch, index, name, result)

    def _add_result(self, batch: OneByOne, index: int, name: str, result: Result) -> None:
        if isinstance(result, RejectedRecord):
            batch.rejected.append((index, result.with_traceback(None)))
        elif isinstance(result, Skipped):
            batch.skipped[result.kind] += 1
        else:
            batch.records.append((index, batch.place, result, result))
            batch.formats[name] += 1

    def _opened(self, message: LogMessage) -> tuple[LogMessage, str]:
        """Return a message without compression and schema, and the name of its format."""
        opened = with_value(message, decompressed(message.value))
        if is_framed(opened):
            if message.topic:
                self._framed_topics.add(message.topic)
            opened = with_value(opened, decompressed(self.framing.open_schema(opened)))
        return opened, self._format_of(opened)

    def _results(self, name: str, found: Iterable[Found]) -> Iterator[Result]:
        """Yield the results of what a format found in a message."""
        for each in found:
            if isinstance(each, CallPart):
                self._joining = name
                yield from map(self._result, self.framing.parts.add(each))
            else:
                yield self._result(each)

    def _result(self, found: Inference | NativeRecord | Skipped | RejectedRecord) -> Result:
        """Return the record of an inference."""
        if isinstance(found, NativeRecord):
            found = inference_of(found)
        if not isinstance(found, Inference):
            return found
        try:
            return whole_record(found, self._naming)
        except RejectedRecord as error:
            return error.with_traceback(None)

    def _format_of(self, message: LogMessage) -> str:
        """Return the name of the format of a message; NATIVE if no other one recognizes it."""
        if self._chosen != AUTO:
            return self._chosen
        expected = self._foreign_topics.get(message.topic)
        if expected is not None and self._formats[expected].recognizes(message):
            return expected
        for name, each in self._formats.items():
            if name != expected and each.recognizes(message):
                self._remember(message.topic, name)
                return name
        return NATIVE

    def _remember(self, topic: str, name: str) -> None:
        """Expect a format in a topic, and log the first message of each."""
        self._foreign_topics[topic] = name
        if (topic, name) not in self._shown and len(self._shown) < MAX_SHOWN:
            self._shown.add((topic, name))
            log.info("format recognized", topic=topic or None, format=name)


def _readers_of(formats: Mapping[str, Format]) -> dict[str, BatchReader]:
    """Return the readers of batches by the name of their format."""
    found = {}
    for name, each in formats.items():
        if isinstance(each, BatchFormat) and each.reader is not None:
            found[name] = each.reader
    return found


def _remembered(at: MessageAt, n: int) -> MessageAt:
    """Return the same function, which makes each of the n messages once."""
    messages: list[LogMessage | None] = [None] * n

    def remembered(index: int) -> LogMessage:
        found = messages[index]
        if found is None:
            found = messages[index] = at(index)
        return found

    return remembered
