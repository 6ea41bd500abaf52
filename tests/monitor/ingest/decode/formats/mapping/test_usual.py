"""The plan of a mapping finds what its readers find, and usual messages are read by it.

PLUMBLINE_FUZZ_EXAMPLES=100000 makes the fuzz test thorough.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import Config
from monitor.config.sections.ingest.mapping import MappingConfig
from monitor.ingest.decode.formats.mapping.format import MappingFormat
from monitor.ingest.decode.inference import inference_of
from monitor.ingest.decode.message import LogMessage, NativeRecord
from monitor.ingest.decode.native.plans.plan import PLANS_BUILT
from tests.long_form import LONG
from tests.monitor.ingest.decode import hostile
from tests.monitor.ingest.decode.payloads import EXAMPLES, fuzz
from tests.monitor.ingest.decode.test_readers import results

pytestmark = pytest.mark.skipif(not PLANS_BUILT, reason="test_readers has the reason")

MAPPINGS: Final = {
    "flat": """
        where: {path: kind, in: [llm, 2]}
        request_id: [id, other_id]
        timestamp: {path: at, unit: ms}
        model: [deployment, name]
        responded_model: answered_by
        prompt: prompt
        response: answer
        latency_ms: {path: took, unit: s}
        time_to_first_token_ms: {path: first, unit: us}
        input_tokens: [tokens, tokens_in]
        output_tokens: tokens_out
        cost_usd: cost
        finish_reason: reason
        error: [status, failure]
        user_id: user
        metadata: {route: route, beta: beta}
        """,
    "nested": """
        request_id: call.id
        timestamp: call.begin
        model: call.model
        prompt: call.messages
        response: call.answer.text
        latency_ms: {start: call.begin_s, end: call.end_s}
        time_to_first_token_ms: {path: call.first, unit: ns}
        input_tokens: call.usage.in
        finish_reason: call.answer.reason
        session_id: session
        metadata: labels
        """,
}
FLAT: Final[dict[str, Any]] = {
    "kind": "llm",
    "id": "r-1",
    "other_id": None,
    "at": 1_790_000_000_123,
    "name": "gpt-4o",
    "answered_by": "gpt-4o-2026",
    "prompt": "Grüße “today”",
    "answer": "4 😀",
    "took": 1.875,
    "first": 250_000,
    "tokens_in": 1200,
    "tokens_out": 17,
    "cost": 1.5e-06,
    "reason": "end_turn",
    "status": 200,
    "failure": False,
    "user": "u-7",
    "route": "search",
    "beta": True,
    "big": {"skipped": [1, {"a": None}]},
}
NESTED: Final[dict[str, Any]] = {
    "call": {
        "id": "r-2",
        "begin": "2026-11-30T10:00:00.25+01:00",
        "begin_s": 1_790_000_000.044194,
        "end_s": 1_790_000_001.845996,
        "model": "llama",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
        ],
        "answer": {"text": "", "reason": None},
        "first": 12,
        "usage": {"in": 0},
    },
    "session": "s",
    "labels": {"n": 5, "x": 1.5, "flag": False, "text": "t", "deep": {"a": 1}},
}
MESSAGES: Final = {"flat": FLAT, "nested": NESTED}
STRIDE: Final = 1 if LONG else 7
every_mapping = pytest.mark.parametrize("name", MAPPINGS)


def made(text: str) -> MappingFormat:
    """Return the format of a mapping."""
    config = Config.model_validate({"format": yaml.safe_load(text)}).format
    assert isinstance(config, MappingConfig)
    return MappingFormat(config)


FORMATS: Final = {name: made(text) for name, text in MAPPINGS.items()}


def check(name: str, values: list[bytes]) -> int:
    """Check that both ways give the same; return how many messages are usual."""
    reader = FORMATS[name].reader
    assert reader is not None
    usual = 0
    for value, found in zip(values, reader.read(values), strict=True):
        if found is not None:
            assert results(found) == results(FORMATS[name].decode(LogMessage(value))), value
            usual += isinstance(found[0], NativeRecord)
    return usual


@every_mapping
@pytest.mark.parametrize("ascii_only", [False, True])
def test_usual_messages_are_read_by_the_plan(name: str, ascii_only: bool) -> None:
    """All fields of a usual message are written, those that are absent or null left out."""
    body = MESSAGES[name]
    assert check(name, [json.dumps(body, ensure_ascii=ascii_only).encode()]) == 1
    fields = inference_of(FORMATS[name].reader.read([json.dumps(body).encode()])[0][0])  # type: ignore[union-attr, index, arg-type]  # as the line above shows
    assert fields.model in ("gpt-4o", "llama")
    assert fields.timestamp in (1_790_000_000.123, 1_796_029_200.25)


@every_mapping
def test_hostile_variants(name: str) -> None:
    """Other values in each place, repeated keys, and messages that end anywhere."""
    value = json.dumps(MESSAGES[name]).encode()
    for variants in (hostile.with_other_values, hostile.with_repeated_keys, hostile.truncated):
        check(name, list(islice(variants(value), 0, None, STRIDE)))


@every_mapping
def test_damaged_messages(name: str) -> None:
    """Bytes may be removed, inserted or changed anywhere."""
    rng = random.Random(name)
    value = json.dumps(MESSAGES[name], ensure_ascii=False).encode()
    for _ in range(max(EXAMPLES // 100, 1)):
        check(name, [hostile.damaged(value, rng) for _ in range(100)])


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
_texts = st.sampled_from(("", "-", "ok", "OK", "stop", "[redacted]", "[1]", "2", "llm", "500"))


@fuzz
@given(
    changed=st.dictionaries(st.sampled_from(sorted(FLAT)), _scalars | _texts, max_size=4),
    ascii_only=st.booleans(),
)
def test_any_scalars(changed: dict[str, Any], ascii_only: bool) -> None:
    """Values of any type are read, or left to the readers, with the same result."""
    body = json.dumps(FLAT | changed, ensure_ascii=ascii_only)
    check("flat", [body.encode("utf-8", "replace")])


@fuzz
@given(
    time=st.datetimes(datetime(1969, 12, 1), datetime(2201, 1, 1)),
    minutes=st.integers(-1439, 1439),
    digits=st.integers(0, 6),
)
def test_times_in_rfc_3339(time: datetime, minutes: int, digits: int) -> None:
    """Times with any zone and number of digits are those of Python, to the last bit."""
    zone = timezone(timedelta(minutes=minutes)) if minutes else UTC
    text = time.replace(tzinfo=zone).isoformat(timespec="microseconds")
    fraction = f".{text[20 : 20 + digits]}" if digits else ""
    text = f"{text[:19]}{fraction}{text[26:] if minutes else 'Z'}"
    value = json.dumps(NESTED | {"call": {**NESTED["call"], "begin": text}}).encode()
    assert check("nested", [value]) == (
        time.replace(tzinfo=zone).timestamp() >= 1 or text < "1970-01-01T00:00:01"
    ) or time.year in (1969, 1970)


@fuzz
@given(
    start=st.floats(0, 4e9),
    seconds=st.floats(0, 1e5),
    took=st.floats(0, 1e5) | st.integers(0, 10**14),
)
def test_durations_are_those_of_python(start: float, seconds: float, took: float) -> None:
    """Differences are rounded, and quotients written, to the last bit."""
    call = {**NESTED["call"], "begin_s": start, "end_s": start + seconds}
    check("nested", [json.dumps({**NESTED, "call": call}).encode()])
    check("flat", [json.dumps({**FLAT, "took": took}).encode()])


@pytest.mark.parametrize(
    "changes",
    [
        {"records": "a[*]"},
        {"bodies": {"request": "r"}},
        {"model": "names[0]"},
        {"input_tokens": {"sum": ["a", "b"]}},
        {"timestamp": {"path": "t", "time_format": "%Y"}},
        {"timestamp": {"path": "t", "unit": "ticks"}},
        {"scores": "s"},
        {"user_id": "id.user"},
        {"user_id": '"a\\"b"'},
        {"where": {"path": "x", "exists": True}},
    ],
)
def test_other_mappings_have_no_plan(changes: dict[str, Any]) -> None:
    """What a plan cannot describe is read by the readers of the mapping alone."""
    fields = {"request_id": "id", "timestamp": "t", "model": "m"} | changes
    config = Config.model_validate({"format": fields}).format
    assert isinstance(config, MappingConfig)
    assert MappingFormat(config).reader is None
