"""Decode messages of spans in both encodings, for the tests of this package."""

from __future__ import annotations

from typing import Any

from monitor.ingest.decode.formats.otlp.otlp import OTLP
from monitor.ingest.decode.inference import Inference, ModelNaming, inference_of, whole_record
from monitor.ingest.decode.message import LogMessage, NativeRecord, Skipped
from monitor.records import RejectedRecord, WholeRecord
from tests.monitor.ingest.decode.encoders.otlp import ENCODINGS

Outcome = list[WholeRecord | str]


def outcome_of(message: LogMessage) -> Outcome:
    """The records of a message; "skipped KIND" and "rejected REASON" for the others."""
    found: Outcome = []
    try:
        for each in OTLP.decode(message):
            if isinstance(each, Skipped):
                found.append(f"skipped {each.kind}")
            elif isinstance(each, RejectedRecord):
                found.append(f"rejected {each.reason}: {each.detail}")
            else:
                assert isinstance(each, Inference | NativeRecord)
                found.append(_record(each))
    except RejectedRecord as error:
        found.append(f"rejected {error.reason}: {error.detail}")
    return found


def _record(inference: Inference | NativeRecord) -> WholeRecord | str:
    try:
        if isinstance(inference, NativeRecord):
            inference = inference_of(inference)
        return whole_record(inference, ModelNaming())
    except RejectedRecord as error:
        return f"rejected {error.reason}: {error.detail}"


def decoded(*entries: dict[str, Any], resource: dict[str, Any] | None = None) -> Outcome:
    """What is in spans or log records; both encodings give the same."""
    outcomes = []
    for encode in ENCODINGS.values():
        message = encode(*entries, resource=resource)
        assert OTLP.recognizes(message)
        outcomes.append(outcome_of(message))
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


def record_of(*entries: dict[str, Any], resource: dict[str, Any] | None = None) -> WholeRecord:
    """The only record in spans or log records."""
    [record] = [each for each in decoded(*entries, resource=resource) if not isinstance(each, str)]
    return record
