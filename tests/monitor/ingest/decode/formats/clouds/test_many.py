"""Messages with very many entries are rejected as a whole: none of them is left out silently."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import pytest

from monitor.ingest.decode.formats.clouds import bedrock, kserve
from monitor.ingest.decode.formats.clouds.azure import format as azure
from monitor.ingest.decode.framing.documents import MAX_BYTES, MAX_DOCUMENTS
from monitor.ingest.decode.message import LogMessage
from monitor.records import RejectedRecord, RejectReason

BATCH = {"content-type": b"application/cloudevents-batch+json"}
SUBSCRIPTION = b'{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":['
EACH = pytest.mark.parametrize(
    ("module", "before", "entry", "after", "headers"),
    [
        (kserve, b"[", b"{}", b"]", BATCH),
        (azure, b'{"records":[', b"{}", b"]}", {}),
        (
            bedrock,
            b'{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[',
            b'{"message":""}',
            b"]}",
            {},
        ),
    ],
    ids=["kserve", "azure", "bedrock"],
)


def found(module: ModuleType, value: bytes, headers: Mapping[str, bytes]) -> int:
    """Return the number of results of a message."""
    return len(list(module.decode(LogMessage(value, headers))))


@EACH
def test_each_entry_has_a_result_up_to_the_limit(
    module: ModuleType, before: bytes, entry: bytes, after: bytes, headers: Mapping[str, bytes]
) -> None:
    """One entry more, and the message is rejected."""
    value = before + b",".join([entry] * MAX_DOCUMENTS)
    assert found(module, value + after, headers) == MAX_DOCUMENTS
    with pytest.raises(RejectedRecord, match="100001 objects") as caught:
        found(module, value + b"," + entry + after, headers)
    assert caught.value.reason is RejectReason.TOO_LARGE


@pytest.mark.parametrize("module", [kserve, azure], ids=["kserve", "azure"])
def test_a_huge_message_is_rejected_before_it_is_parsed(module: ModuleType) -> None:
    """Empty objects need twenty times their size in memory."""
    with pytest.raises(RejectedRecord) as caught:
        found(module, b"[" + b"{}," * (MAX_BYTES // 3) + b"{}]", BATCH)
    assert caught.value.reason is RejectReason.TOO_LARGE
