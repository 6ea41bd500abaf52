"""Azure Monitor's resource logs through Event Hubs: API Management and Azure OpenAI.

Sources: "Log token usage, prompts, and completions for language model APIs", the tables
ApiManagementGatewayLlmLog and ApiManagementGatewayLogs, and "Monitor Azure OpenAI" in Microsoft's
documentation. What it does not say is taken from consumers of the real hub: properties may be a
text, and a call to Azure OpenAI is logged twice, once nearly empty.

A message is {"records": [...]}, an array or one record. The categories of one call, and the pieces
of long messages in GatewayLlmLogs, are joined by their correlation id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec

from monitor.ingest.decode.formats.clouds.azure import api_management, openai
from monitor.ingest.decode.formats.clouds.azure.entry import Entry
from monitor.ingest.decode.framing.documents import MAX_DOCUMENTS, check_count, check_message_size
from monitor.ingest.decode.json_decoding import check_size, json_decoder, lenient_decoder
from monitor.ingest.decode.message import CallPart, Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

_RESOURCE: Final = "/subscriptions/"
_READERS: Final[dict[str, Callable[[Entry], Found]]] = {
    "GatewayLlmLogs": api_management.llm_part,
    "GatewayLogs": api_management.gateway_part,
    "RequestResponse": openai.call_part,
    "AzureOpenAIRequestUsage": openai.usage_part,
}
"""Category -> what reads its records."""


class _Mark(msgspec.Struct):
    """What distinguishes a record of a resource log."""

    resourceId: str = ""
    category: str | None = None
    metricName: str | None = None

    @property
    def is_record(self) -> bool:
        """Whether an object is a record, and not a list of them."""
        return bool(self.category or self.metricName or self.resourceId)


class _Shape(msgspec.Struct):
    records: list[_Mark]


class _Batch(msgspec.Struct):
    records: list[msgspec.Raw]


_mark = lenient_decoder(_Mark)
_shape = lenient_decoder(_Shape | list[_Mark])
_batch = json_decoder(_Batch)
_list = json_decoder(list[msgspec.Raw])
_entry = json_decoder(Entry)
_any = lenient_decoder(Any)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message has records of Azure Monitor."""
    value = message.value
    if b'"resourceId"' not in value and b'"category"' not in value:
        return False
    found = _mark(value)
    if found is not None and _is_azure(found):
        return True
    shape = _shape(value)
    records = shape.records if isinstance(shape, _Shape) else shape
    return bool(records) and all(map(_is_azure, records[:MAX_DOCUMENTS]))


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield what is in the records of a message.

    Only the last part of a call in a message may complete it, because the order of the categories
    within a message is arbitrary. Raises RejectedRecord if the message is invalid or too large.
    """
    check_message_size(message.value)
    records = _records(message.value)
    check_count(len(records))
    found = [_found(bytes(raw)) for raw in records]
    last = {part.call: index for index, part in enumerate(found) if isinstance(part, CallPart)}
    for index, each in enumerate(found):
        if isinstance(each, CallPart) and index != last[each.call]:
            yield replace(each, more=True)
        else:
            yield each


def _is_azure(mark: _Mark) -> bool:
    logged = mark.category is not None or mark.metricName is not None
    if mark.category in _READERS:  # whose names are enough
        return True
    return logged and mark.resourceId[: len(_RESOURCE)].lower() == _RESOURCE


def _records(value: bytes) -> list[Any]:
    """Return the undecoded records of a message. Raises RejectedRecord if it is invalid."""
    if value.lstrip()[:1] == b"[":
        return _list(value)
    mark = _mark(value)
    return [value] if mark is not None and mark.is_record else _batch(value).records


def _found(payload: bytes) -> Found:
    try:
        check_size(payload)
        entry = _entry(payload)
        if entry.category is None:
            return Skipped("metric")
        read = _READERS.get(entry.category)
        if read is None:
            return Skipped("other_category")
        if not entry.correlation:
            return RejectedRecord(RejectReason.MISSING_FIELD, "no correlationId")
        return read(entry)
    except RejectedRecord as error:
        return error.with_traceback(None)
