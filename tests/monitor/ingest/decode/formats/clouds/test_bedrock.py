"""The log of model invocations of AWS Bedrock is decoded."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from monitor.ingest.decode.formats.clouds.bedrock import model_name, recognizes
from monitor.ingest.decode.message import LogMessage
from monitor.records import ChatMessage, WholeRecord
from tests.monitor.ingest.decode.formats.clouds.decoding import found, message, record

METRICS = {
    "inputTokenCount": 11,
    "outputTokenCount": 3,
    "invocationLatency": 812,
    "firstByteLatency": 240,
}


def entry(given: Any, answered: Any, **more: Any) -> dict[str, Any]:
    """An entry with bodies."""
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": "2026-11-29T10:00:00Z",
        "accountId": "123456789012",
        "identity": {"arn": "arn:aws:iam::123456789012:role/app"},
        "region": "us-east-1",
        "requestId": "6f9e9644",
        "operation": "InvokeModel",
        "modelId": "meta.llama3-8b-instruct-v1:0",
        "input": {"inputBodyJson": given, "inputTokenCount": 11},
        "output": {"outputBodyJson": answered, "outputTokenCount": 3},
        **more,
    }


LLAMA = [
    {"generation": "Hel", "prompt_token_count": 11, "generation_token_count": 1},
    {"generation": "lo", "prompt_token_count": None, "generation_token_count": 2},
    {
        "generation": "",
        "generation_token_count": 3,
        "stop_reason": "length",
        "amazon-bedrock-invocationMetrics": METRICS,
    },
]
TITAN = [
    {"outputText": "Hel", "index": 0, "inputTextTokenCount": 11, "completionReason": None},
    {"outputText": "lo", "index": 0, "totalOutputTextTokenCount": 3, "completionReason": "LENGTH"},
]
MISTRAL = [
    {"outputs": [{"text": "Hel", "stop_reason": None}]},
    {"outputs": [{"text": "lo", "stop_reason": "length"}]},
]
NOVA = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}},
    {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "max_tokens"}},
    {"metadata": {"usage": {"inputTokens": 11, "outputTokens": 3}, "metrics": {}}},
]
BODIES = {  # what was asked and answered, in the bodies of each family
    "llama": ({"prompt": "Hi"}, {"generation": "Hello", "stop_reason": "length"}),
    "llama stream": ({"prompt": "Hi"}, LLAMA),
    "titan": (
        {"inputText": "Hi"},
        {"results": [{"outputText": "Hello", "tokenCount": 3, "completionReason": "LENGTH"}]},
    ),
    "titan stream": ({"inputText": "Hi"}, TITAN),
    "mistral": (
        {"prompt": "Hi"},
        {"outputs": [{"text": "Hello", "stop_reason": "length"}]},
    ),
    "mistral stream": ({"prompt": "Hi"}, MISTRAL),
    "deepseek": ({"prompt": "Hi"}, {"choices": [{"text": "Hello", "stop_reason": "length"}]}),
    "cohere": (
        {"message": "Hi", "chat_history": []},
        {"response_id": "x", "text": "Hello", "finish_reason": "MAX_TOKENS"},
    ),
    "older cohere": (
        {"prompt": "Hi"},
        {"generations": [{"text": "Hello", "finish_reason": "MAX_TOKENS"}]},
    ),
    "nova stream": ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, NOVA),
    "gpt-oss": (
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"choices": [{"message": {"content": "Hello"}, "finish_reason": "length"}]},
    ),
}


@pytest.mark.parametrize(("given", "answered"), BODIES.values(), ids=BODIES)
def test_bodies_of_all_families_are_read(given: Any, answered: Any) -> None:
    """Each family of models gives the same prompt, response and finish reason."""
    each = record(message(entry(given, answered)))
    assert each.prompt in ("Hi", [ChatMessage("user", "Hi")])
    assert (each.response, each.finish_reason) == ("Hello", "length")
    assert (each.input_tokens, each.output_tokens) == (11, 3)
    assert (each.request_id, each.timestamp) == ("6f9e9644", 1_795_946_400.0)


def test_a_stream_has_its_latencies() -> None:
    """The metrics in the last event are the latency and the time to the first token."""
    each = record(message(entry({"prompt": "Hi"}, LLAMA)))
    assert (each.latency_ms, each.time_to_first_token_ms) == (812, 240)


def test_cached_tokens_are_input_tokens() -> None:
    """Tokens that were read from or written to the cache are added."""
    counts = {
        "inputTokenCount": 5,
        "cacheReadInputTokenCount": 100,
        "cacheWriteInputTokenCount": 20,
    }
    assert record(message(entry({}, {}, input=counts))).input_tokens == 125


def test_an_entry_without_bodies_is_a_record() -> None:
    """Bodies in S3, or not logged at all, leave the texts missing."""
    logged = entry({}, {})
    logged["input"] = {"inputBodyS3Path": "s3://b/k", "inputTokenCount": 50_000}
    logged["output"] = {"outputTokenCount": 7}
    each = record(message(logged))
    assert (each.prompt, each.response, each.finish_reason) == (None, None, None)
    assert (each.input_tokens, each.output_tokens) == (50_000, 7)


def test_a_failure_has_its_code_and_no_tokens() -> None:
    """The code of an error is the error; zero tokens are missing."""
    logged = entry({"prompt": "Hi"}, None, errorCode="ThrottlingException", output=None)
    logged["input"]["inputTokenCount"] = 0
    each = record(message(logged))
    assert (each.error, each.input_tokens, each.response) == ("ThrottlingException", None, None)
    assert each.prompt == "Hi"


MODELS = {
    "anthropic.claude-3-haiku-20240307-v1:0": "anthropic.claude-3-haiku-20240307-v1:0",
    "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0": "amazon.nova-lite-v1:0",
    "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0": (
        "eu.amazon.nova-lite-v1:0"
    ),
    "arn:aws:bedrock:us-east-1:1:custom-model/meta.llama/abc": "meta.llama/abc",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/x1y2": "x1y2",
    "arn:aws:sagemaker": "sagemaker",
}


@pytest.mark.parametrize(("identifier", "name"), MODELS.items())
def test_a_resource_name_is_reduced_to_the_model(identifier: str, name: str) -> None:
    """The account, the region and the type of the resource are not in the model's name."""
    assert model_name(identifier) == name


NOT_TEXT = {
    "embedding": ({"inputText": "x"}, {"embedding": [0.1], "inputTextTokenCount": 1}, "m"),
    "embedding model": (None, None, "cohere.embed-english-v3"),
    "image": ({}, {"images": ["aGk="]}, "amazon.nova-canvas-v1:0"),
    "image elsewhere": (None, None, "us.stability.stable-image-core-v1:1"),
    "video": (None, None, "amazon.nova-reel-v1:0"),
    "rerank": ({}, {"results": [{"index": 0, "relevance_score": 0.9}]}, "m"),
}


@pytest.mark.parametrize(("given", "answered", "model"), NOT_TEXT.values(), ids=NOT_TEXT)
def test_models_that_write_no_text_are_skipped(given: Any, answered: Any, model: str) -> None:
    """Embeddings, images and rankings are no inferences."""
    (kind,) = found(message(entry(given, answered, modelId=model)))
    assert kind in ("embedding", "image", "rerank", "video")


def subscription(*messages: str, kind: str = "DATA_MESSAGE") -> LogMessage:
    """A batch of a CloudWatch subscription, compressed as it arrives."""
    events = [{"id": "3", "timestamp": 1, "message": text} for text in messages]
    batch = {
        "messageType": kind,
        "owner": "1",
        "logGroup": "g",
        "logStream": "aws/bedrock/modelinvocations",
        "subscriptionFilters": ["f"],
        "logEvents": events,
    }
    return LogMessage(gzip.compress(json.dumps(batch).encode(), mtime=0))


def test_a_batch_keeps_its_good_entries() -> None:
    """An invalid entry of a batch is rejected by itself, and other logs are skipped."""
    good = json.dumps(entry({"prompt": "Hi"}, {"generation": "x"}))
    other = json.dumps({**json.loads(good), "schemaType": "Other"})
    bad = json.dumps(entry({}, {}, timestamp="yesterday"))
    cut = good[: good.index("requestId")]
    each, *others = found(subscription(good, cut, other, bad, good))
    assert isinstance(each, WholeRecord)
    assert others[:3] == ["not_json", "other_log", "bad_timestamp"]
    assert isinstance(others[3], WholeRecord)


@pytest.mark.parametrize(
    "line",
    [
        "Permissions are correctly set for Amazon Bedrock logs.",
        "START RequestId: 1 Version: $LATEST",
        '{"level": "info", "requestId": "r", "modelId": "m"}',
        "",
    ],
)
def test_other_lines_of_a_log_group_are_skipped(line: str) -> None:
    """Bedrock writes a line when its log is set up, and a group may have other programs' logs."""
    assert found(subscription(line)) == ["other_log"]


def test_a_control_message_is_skipped() -> None:
    """CloudWatch's test of the destination is no inference."""
    assert found(subscription("CWL CONTROL MESSAGE", kind="CONTROL_MESSAGE")) == ["control_message"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"requestId": ""}, "missing_field"),
        ({"modelId": 7}, "wrong_type"),
        ({"timestamp": 1.5}, "wrong_type"),
        ({"input": {"inputTokenCount": "11"}}, "wrong_type"),
        ({"modelId": "x" * 300}, "bad_model"),
    ],
)
def test_invalid_entries_are_rejected_by_name(changed: dict[str, Any], reason: str) -> None:
    """A required field that is missing, or a measured one of a wrong type, rejects the entry."""
    assert found(message(entry({}, {}, **changed))) == [reason]


ENTRY = entry({"prompt": "Hi"}, {"generation": "x"})
SEVERAL = {
    "lines": b"\n".join(json.dumps(ENTRY | {"requestId": name}).encode() for name in "ab") + b"\n",
    "array": json.dumps([ENTRY | {"requestId": name} for name in "ab"]).encode(),
}


@pytest.mark.parametrize("value", SEVERAL.values(), ids=SEVERAL)
def test_a_message_may_hold_several_entries(value: bytes) -> None:
    """An object of S3 is compressed lines, which may be put on a topic as they are."""
    each = found(LogMessage(gzip.compress(value, mtime=0)))
    assert [one.request_id for one in each if isinstance(one, WholeRecord)] == ["a", "b"]


def test_an_invalid_line_does_not_reject_the_others() -> None:
    """Each line is an entry of its own."""
    good = json.dumps(ENTRY).encode()
    first, bad, last = found(LogMessage(good + b'\n{"schemaType"\n' + good))
    assert isinstance(first, WholeRecord)
    assert bad == "not_json"
    assert isinstance(last, WholeRecord)


def test_the_event_of_a_function_is_read() -> None:
    """Lambda gets a batch as base64; a damaged one is no log of Bedrock."""
    batch = subscription(json.dumps(ENTRY)).value
    event = {"awslogs": {"data": base64.b64encode(batch).decode()}}
    assert record(message(event)).request_id == "6f9e9644"
    assert found(message({"awslogs": {"data": "%%%"}})) == ["missing_field"]
    assert found(message({"awslogs": {"data": "H4sIAAAA"}})) == ["missing_field"]


def test_an_entry_in_the_record_of_a_log_shipper_is_read() -> None:
    """As in the formats of gateways."""
    assert record(message({"log": json.dumps(ENTRY)})).request_id == "6f9e9644"


def test_an_entry_without_its_schema_is_recognized() -> None:
    """Its other keys are enough, but not the same names in another log."""
    plain = {key: value for key, value in ENTRY.items() if not key.startswith("schema")}
    assert record(message(plain)).request_id == "6f9e9644"
    assert record(subscription(json.dumps(plain))).request_id == "6f9e9644"
    other = plain | {"input": {"messages": []}, "output": {"choices": []}}
    assert not recognizes(message(other))


def test_bodies_may_be_texts() -> None:
    """Other tools write JSON columns as text; events of a stream as well."""
    logged = entry(json.dumps({"prompt": "Hi"}), json.dumps(LLAMA))
    each = record(message(logged))
    assert (each.prompt, each.response, each.finish_reason) == ("Hi", "Hello", "length")
    assert (each.latency_ms, each.time_to_first_token_ms) == (812, 240)
