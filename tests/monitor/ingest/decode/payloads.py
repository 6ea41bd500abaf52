"""Payloads for tests: valid, damaged, with values of wrong types, and arbitrary bytes."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from monitor.records import MAX_TIMESTAMP

EXAMPLES = int(os.environ.get("PLUMBLINE_FUZZ_EXAMPLES", "300"))

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def payload(**changed: Any) -> bytes:
    """Return a small record with these fields. A field given as ... is omitted."""
    fields = {"request_id": "r-1", "timestamp": 1_760_000_000.5, "model": "m"} | changed
    return json.dumps({k: v for k, v in fields.items() if v is not ...}).encode()


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats()
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
parts = st.text() | st.fixed_dictionaries(
    {}, optional={"text": st.none() | st.text(), "type": anything}
)
content = st.none() | st.text() | st.lists(parts, max_size=3)
messages = st.fixed_dictionaries({}, optional={"content": content, "role": anything})
prompts = st.text() | st.lists(messages, max_size=3)
times = st.floats(0, MAX_TIMESTAMP) | st.datetimes().map(datetime.isoformat) | st.integers()
optional = {
    "prompt": prompts,
    "response": st.text(),
    "latency_ms": st.floats() | st.integers(),
    "input_tokens": st.integers(),
    "finish_reason": st.text(),
    "error": st.text(),
    "scores": st.dictionaries(st.text(), st.floats()),
    "metadata": st.dictionaries(st.sampled_from(["route", "n", "team"]) | st.text(), anything),
    "experiments": st.dictionaries(st.sampled_from("ef"), st.text()) | anything,
    "user_id": st.text() | anything,
    "feedback": st.floats() | anything,
    "zebra": anything,
}
good = st.fixed_dictionaries(
    {"request_id": st.text(), "timestamp": times, "model": st.text(min_size=1)}, optional=optional
)
almost = st.fixed_dictionaries(
    {}, optional={name: anything | kind for name, kind in (*optional.items(), ("model", st.text()))}
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return the bytes of a valid record with some removed, inserted or changed."""
    raw = bytearray(
        json.dumps(draw(good), ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        end = at + draw(st.integers(0, 6))
        raw[at:end] = draw(st.binary(max_size=4) | st.sampled_from(TOKENS))
    return bytes(raw)


TOKENS = [
    b'"',
    b"\\",
    b"\\u",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"1e999",
    b"-",
    b"\xff",
]
