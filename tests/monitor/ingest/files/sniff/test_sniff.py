"""The proposed mappings decode the samples, and what is a guess or missing is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.ingest.decode.message import LogMessage
from monitor.ingest.files.rejections import Place
from monitor.ingest.files.sniff.finding import COSTS, find
from monitor.ingest.files.sniff.sniff import Messages, Sniffed, sniff

START = 1_760_000_000
ANSWER = {"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}


def messages(bodies: Sequence[Any]) -> Messages:
    """Return messages as of a file with one per line."""
    return [
        (LogMessage(body if isinstance(body, bytes) else json.dumps(body).encode()), place)
        for number, body in enumerate(bodies, 1)
        for place in [Place("log", number)]
    ]


def nested(i: int) -> dict[str, Any]:
    """An entry with objects for each part of the call."""
    return {
        "event": "llm_call",
        "ts": (START + i) * 1000,
        "request": {
            "id": f"req-{i}",
            "model": "chat",
            "messages": [{"role": "user", "content": "?"}],
        },
        "response": {"text": f"mail bob{i}@example.com", "stop_reason": "end_turn"},
        "usage": {"prompt": 100 + i, "completion": 30},
        "timing": {"total_s": 1.5, "ttft_ms": 200},
        "cost": 0.001,
        "user": {"id": f"user-number-{i}"},
        "session_id": f"s{i}",
        "status": 200,
        "region": "eu" if i % 2 else "us",
    }


def camel(i: int) -> dict[str, Any]:
    """A flat entry with names in camel case and times as in access logs."""
    return {
        "RequestId": f"{i:08x}",
        "Timestamp": f"12/Oct/2025:10:00:{i % 60:02d} +0000",
        "ModelName": "chat",
        "Prompt": "?",
        "Completion": "Yes.",
        "InputTokens": str(10 + i),
        "OutputTokens": "5",
        "DurationMs": 900 + i,
        "StopReason": "stop",
        "UserId": f"u{i}",
    }


def dotted(i: int) -> dict[str, Any]:
    """A line of a log shipper around JSON in text, with dots in names and two times."""
    start = datetime.fromtimestamp(START + i, UTC)
    end = datetime.fromtimestamp(START + i + 2, UTC)
    line = {
        "id": f"x{i}",
        "llm.request.model": "chat",
        "start_time": start.isoformat(),
        "end_time": end.isoformat(),
        "llm.usage.input_tokens": 12,
        "llm.usage.output_tokens": 7,
    }
    return {"log": json.dumps(line), "stream": "stdout"}


def batched(i: int) -> dict[str, Any]:
    """A batch of entries with bodies of API calls as text."""
    request = {"model": "chat", "messages": [{"role": "user", "content": "?"}], "temperature": 0}
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    response = {"id": "c", "model": "chat-1", "choices": [ANSWER], "usage": usage}
    item = {
        "created_at": START + i,
        "req_body": json.dumps(request),
        "resp_body": json.dumps(response),
        "latency": 0.8,
        "labels": {"team": "x"},
    }
    return {"batch": {"items": [{"call_id": f"c{i}-{k}", **item} for k in range(3)]}}


TOOL = {"event": "tool_call", "ts": START * 1000, "tool": "search"}
EVERYTHING = ("request_id", "timestamp", "model", "input_tokens", "output_tokens", "latency_ms")
TEXTS = ("prompt", "response", "finish_reason")
SAMPLES = {
    "nested": ([nested(i) if i % 4 else TOOL for i in range(40)], 30, (*EVERYTHING, *TEXTS)),
    "camel": ([camel(i) for i in range(40)], 40, (*EVERYTHING, *TEXTS, "user_id")),
    "dotted": ([dotted(i) for i in range(40)], 40, EVERYTHING),
    "batched": ([batched(i) for i in range(20)], 60, (*EVERYTHING, *TEXTS, "metadata")),
}


def found(name: str) -> Sniffed:
    """Return what is proposed for a sample."""
    return sniff(messages(SAMPLES[name][0]))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_mapping_is_proposed_that_decodes_the_sample(name: str) -> None:
    """The mapping is valid YAML that finds all records with all their fields."""
    _, records, fields = SAMPLES[name]
    proposed = found(name)
    assert proposed.finding is not None
    assert proposed.finding.records == records
    assert proposed.finding.rejections.total == 0
    complete = {row.field for row in proposed.finding.fields if row.records == records}
    assert complete >= set(fields)
    pasted = Config.model_validate(yaml.safe_load(proposed.yaml()))
    assert find(messages(SAMPLES[name][0]), pasted).fields == proposed.finding.fields


def values(name: str) -> dict[str, str]:
    """Return the examples of the fields of a sample."""
    finding = found(name).finding
    assert finding is not None
    return {row.field: row.example for row in finding.fields}


def test_units_are_those_of_the_names_and_sizes() -> None:
    """Latencies in s and in ms, between two times and without a unit are all milliseconds."""
    latencies = {name: float(values(name)["latency_ms"]) for name in SAMPLES}
    assert latencies == {"nested": 1500, "camel": 900, "dotted": 2000, "batched": 800}
    assert {values(name)["timestamp"][:10] for name in SAMPLES} == {"2025-10-09", "2025-10-12"}


def test_guesses_are_marked() -> None:
    """A unit that only the values suggest is a comment in the YAML; one in the name is not."""
    assert "# a guess: unit s, because the median is 0.8" in found("batched").yaml()
    assert list(found("camel").notes) == []


def test_other_entries_are_filtered() -> None:
    """Entries of a kind without model and response are skipped, not rejected."""
    proposed = found("nested")
    assert isinstance(proposed.format, dict)
    assert proposed.format["where"] == {"path": "event", "equals": "llm_call"}
    assert proposed.finding is not None
    assert proposed.finding.rejections.skipped == {"filtered": 10}


def test_examples_are_redacted_and_cut() -> None:
    """Personal data is replaced, and ids of users are cut."""
    shown = values("nested")
    assert shown["response"] == "mail [email]"
    assert shown["user_id"] == "user…"
    assert all(len(example) <= 41 for example in shown.values())


def test_what_is_missing_has_a_cost() -> None:
    """Each missing field is listed with what is not watched without it; no found one is."""
    for name in SAMPLES:
        finding = found(name).finding
        assert finding is not None
        rows = {row.field for row in finding.fields}
        assert rows.isdisjoint(finding.missing)
        assert set(COSTS) - rows - {"error"} <= set(finding.missing)
    dotted_finding = found("dotted").finding
    assert dotted_finding is not None
    assert "tokens_per_second" not in dotted_finding.missing.get("output_tokens", "")
    assert "error rate" in dotted_finding.missing["error"]


def test_known_formats_need_no_mapping() -> None:
    """Native records, and messages of a known format, are recognized."""
    native = {"request_id": "r", "timestamp": START, "model": "m", "latency_ms": 5}
    proposed = sniff(messages([native] * 3))
    assert (proposed.yaml(), proposed.names) == ("format: auto\n", ["native"])
    assert proposed.finding is not None
    assert proposed.finding.records == 3


def test_missing_required_fields_are_named() -> None:
    """Without a path for a required field, the rest is proposed and the field is named."""
    bodies = [{"id": f"{i}", "at": START + i, "text": "hi", "n": i} for i in range(5)]
    proposed = sniff(messages(bodies))
    assert proposed.lacking == ["model"]
    assert "request_id: id" in proposed.yaml()
    rows = {row.field: (row.path, row.records) for row in proposed.finding.fields}
    assert rows["request_id"] == ("id", 5)
    assert "model" not in rows
    assert proposed.finding.missing["model"] == "every record is rejected"


@pytest.mark.parametrize("content", [b"a,b\n", b"\x00\x01", b"5", b'"text"'])
def test_what_is_no_json_is_an_error(content: bytes) -> None:
    """Samples that no mapping can describe are an error."""
    with pytest.raises(UserError, match="2 of 2 messages"):
        sniff(messages([content, content]))


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("id", "model", "ts", "messages", "usage.prompt", "type", "\x00", '"', "")
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.lists(HOSTILE.filter(lambda body: isinstance(body, dict | list)), min_size=1, max_size=4))
def test_any_json_gives_a_proposal(bodies: list[Any]) -> None:
    """Whatever the names and values are, the proposal is valid YAML."""
    proposed = sniff(messages(bodies))
    assert isinstance(yaml.safe_load(proposed.yaml()), dict)
