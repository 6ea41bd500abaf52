"""The format that a mapping of the configuration describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from monitor.config.sections.ingest.mapping import MappingConfig
from monitor.ingest.decode.bodies.calls import inference_of
from monitor.ingest.decode.bodies.requests import request_of
from monitor.ingest.decode.bodies.responses import response_of
from monitor.ingest.decode.formats.mapping.places import Place, Places
from monitor.ingest.decode.formats.mapping.readers import body_reader, condition, field_reader
from monitor.ingest.decode.formats.mapping.usual import usual_messages
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import MAX_RECORD_BYTES, json_decoder
from monitor.ingest.decode.message import BatchReader, Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

MAX_RECORDS: Final = 10_000
"""Records of a message that are read."""
NO_RECORDS: Final = "no_records"

_decode_any: Callable[[bytes], Any] = json_decoder(Any)


class MappingFormat:
    """A mapping, compiled to the types of the parts of a message and readers of the fields."""

    def __init__(self, config: MappingConfig) -> None:
        self._places = places = Places(config.records)
        self._conditions = [(condition(each, places), each.kind) for each in config.where]
        self._readers = {
            name: field_reader(name, getattr(config, name), places)
            for name in Inference.__struct_fields__
            if getattr(config, name) is not None
        }
        self._with_bodies = config.bodies.request or config.bodies.response
        self._request = body_reader(config.bodies.request, places)
        self._response = body_reader(config.bodies.response, places)
        places.seal()
        self._decode: Callable[[bytes], Any] = json_decoder(places.root.kind)
        plan = usual_messages(config)
        self.reader: BatchReader | None = None
        if plan is not None:
            self.reader = plan.reader(self._document, MAX_RECORD_BYTES, several=False)

    def recognizes(self, message: LogMessage) -> bool:
        """Return True: a mapping is chosen, not recognized."""
        return True

    def decode(self, message: LogMessage) -> Iterator[Found]:
        """Yield the records of a message, and those that are skipped or rejected.

        Raises RejectedRecord if the message is not JSON, or has nothing where its records are.
        """
        root = self._root(message.value)
        texts: dict[int, Any] = {}
        records = self._places.records(root, texts)
        if not records:
            yield Skipped(NO_RECORDS)
        for record in records[:MAX_RECORDS]:
            try:
                yield self._found(Place(record, root, texts))
            except RejectedRecord as error:
                yield error.with_traceback(None)
        if len(records) > MAX_RECORDS:
            yield RejectedRecord(
                RejectReason.TOO_LARGE, f"{len(records)} records, at most {MAX_RECORDS}"
            )

    def _document(self, value: bytes) -> Iterator[Found]:
        try:
            yield from self.decode(LogMessage(value))
        except RejectedRecord as error:
            yield error.with_traceback(None)

    def _root(self, payload: bytes) -> Any:
        """Return a message, as the types of the mapping, or as any JSON if it has other types."""
        try:
            return self._decode(payload)
        except RejectedRecord as error:
            if error.reason is not RejectReason.WRONG_TYPE:
                raise
        return _decode_any(payload)

    def _found(self, place: Place) -> Inference | Skipped:
        for holds, kind in self._conditions:
            if not holds(place):
                return Skipped(kind)
        fields = {name: read(place) for name, read in self._readers.items()}
        if not self._with_bodies:
            return Inference(**fields)
        request, response = self._request(place), self._response(place)
        return inference_of(request_of(request), response_of(response), **fields)
