"""Ids and JSON of drift events."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events.codec import (
    UnknownEventType,
    decode_event,
    encode_event,
    event_fields,
    event_id,
)
from monitor.events.types import Explanation, Summary
from monitor.records import Source
from tests.monitor.events.drift_events import EXPLANATION, event, numbers, shares

PURE = settings(deadline=None, derandomize=True, database=None)


IDS = st.fixed_dictionaries(
    {
        "model": st.text(max_size=4),
        "segment": st.text(max_size=4),
        "feature": st.text(max_size=4),
        "detector": st.sampled_from(["psi", "ks"]),
        "record": st.integers(0, 20),
        "time": st.sampled_from([0.0, 1.0, 1.5]),
        "reason": st.sampled_from(["", "judge"]),
        "source": st.sampled_from(Source),
    }
)


@PURE
@given(IDS, IDS)
def test_ids_are_equal_for_equal_findings_only(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two findings have the same id if and only if they are the same finding."""
    assert (event_id(**one) == event_id(**other)) == (one == other)


def test_id_separates_names() -> None:
    """Moving the end of one name to the beginning of the next changes the id."""
    rest: dict[str, Any] = {"feature": "f", "detector": "psi", "record": 1, "time": 0.0}
    apart = {event_id(model=m, segment=s, **rest) for m, s in [("a\0b", "c"), ("a", "b\0c")]}
    assert len(apart) == 2


def test_id_is_pinned() -> None:
    """Ids are stored by consumers, so they must not change between releases."""
    found = event_id(
        model="chat", segment="", feature="latency_ms", detector="psi", record=5000, time=1.7e9
    )
    assert found == "c66d3801f1bd51d0"


def test_event_round_trip() -> None:
    """Decoding the JSON of an event gives the same event."""
    original = event(
        numbers(), shares(stop=1.0), kind="categorical", p_value=None, explanation=EXPLANATION
    )
    assert decode_event(encode_event(original)) == original


def test_event_of_an_older_version_is_decoded() -> None:
    """Without `kind` an event is numeric, without `source` it is of the log, and so on."""
    new = {"kind", "explanation", "source"}
    old = {k: v for k, v in event_fields(event(numbers(), numbers())).items() if k not in new}
    read = decode_event(json.dumps(old).encode())
    assert (read.kind, read.explanation) == ("numeric", Explanation())
    assert read.source is Source.LOG


@pytest.mark.parametrize(
    "content",
    [
        b'{"type": "replay"}',
        b'{"type": "experiment", "id": 7, "model": null, "verdict": {"x": []}}',
        b'{"id": "e", "type": "judge", "change": "opened"}',
        b'{"type": ""}',
    ],
)
def test_another_type_of_event_has_an_error_of_its_own(content: bytes) -> None:
    """Readers skip and count it, whatever its other fields are."""
    with pytest.raises(UnknownEventType):
        decode_event(content)


@pytest.mark.parametrize("content", [b'{"type": 1}', b'{"type": null}', b"{}", b"", b"[]", b'"x"'])
def test_a_message_without_a_type_is_no_event_of_another_type(content: bytes) -> None:
    """It is not an event."""
    with pytest.raises(msgspec.DecodeError) as caught:
        decode_event(content)
    assert not isinstance(caught.value, UnknownEventType)


def test_summary_always_has_its_keys() -> None:
    """The JSON has n, mean, p50, p95 and missing, null if they do not apply."""
    plain = json.loads(encode_event(event(shares(stop=1.0), Summary(n=0, missing=1.0))))
    for side in ("reference", "current"):
        assert {"n", "mean", "p50", "p95", "missing"} <= plain[side].keys()
    assert plain["reference"]["mean"] is None


def test_fields_are_plain_values() -> None:
    """The fields for a log line are values that JSON can represent."""
    plain = event_fields(event(numbers(), numbers()))
    assert json.loads(json.dumps(plain)) == json.loads(encode_event(event(numbers(), numbers())))
