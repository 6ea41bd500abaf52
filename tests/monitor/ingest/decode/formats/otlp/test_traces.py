"""Which spans of a trace are calls, and what the spans of one message say about each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.ingest.decode.formats.otlp.kinds import KINDS
from monitor.records import WholeRecord
from tests.monitor.ingest.decode.encoders.otlp import span
from tests.monitor.ingest.decode.formats.otlp.traces import Outcome, decoded

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
LLM = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"}
USAGE = {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 9}
SPANS: dict[str, list[dict[str, Any]]] = {
    "inference": [
        CHAT,
        CHAT | {"gen_ai.operation.name": "text_completion"},
        CHAT | {"gen_ai.operation.name": "generate_content"},
        LLM,
        LLM | {"openinference.span.kind": "llm"},
        USAGE | {"langfuse.observation.type": "generation"},
        USAGE | {"mlflow.spanType": '"CHAT_MODEL"'},
        USAGE | {"mlflow.spanType": "LLM"},
        USAGE | {"llm.request.type": "chat"},
        USAGE | {"llm.request.type": "completion"},
        USAGE | {"gen_ai.system": "openai"},
        USAGE | {"gen_ai.operation.name": "unknown"},
        USAGE | {"ai.operationId": "ai.generateText.doGenerate"},
        USAGE | {"ai.operationId": "ai.streamObject.doStream"},
        {"gen_ai.request.id": "r", "gen_ai.response.model": "llama"},
    ],
    "agent": [
        USAGE | {"gen_ai.operation.name": "invoke_agent"},
        USAGE | {"gen_ai.operation.name": "create_agent"},
        USAGE | {"gen_ai.operation.name": "agent_step"},
        USAGE | {"openinference.span.kind": "AGENT"},
        {"traceloop.span.kind": "agent"},
    ],
    "tool": [
        {"gen_ai.operation.name": "execute_tool"},
        {"openinference.span.kind": "TOOL"},
        {"ai.operationId": "ai.toolCall"},
        {"langfuse.observation.type": "tool"},
        {"mlflow.spanType": '"TOOL"'},
        {"traceloop.span.kind": "tool"},
    ],
    "embedding": [
        USAGE | {"gen_ai.operation.name": "embeddings"},
        USAGE | {"llm.request.type": "embedding"},
        USAGE | {"ai.operationId": "ai.embedMany.doEmbed"},
        {"openinference.span.kind": "EMBEDDING"},
    ],
    "retrieval": [{"gen_ai.operation.name": "retrieval"}, {"openinference.span.kind": "RETRIEVER"}],
    "reranking": [{"openinference.span.kind": "RERANKER"}, USAGE | {"llm.request.type": "rerank"}],
    "workflow": [
        {"gen_ai.operation.name": "invoke_workflow"},
        USAGE | {"openinference.span.kind": "CHAIN"},
        {"traceloop.span.kind": "task", "traceloop.entity.input": "{}"},
    ],
    "guardrail": [{"openinference.span.kind": "GUARDRAIL"}],
    "evaluation": [{"openinference.span.kind": "EVALUATOR"}],
    "wrapper": [
        USAGE | {"ai.operationId": "ai.generateText"},
        USAGE | {"ai.operationId": "ai.streamText"},
    ],
    "other_span": [
        {},
        {"http.request.method": "POST"},
        {"gen_ai.request.model": "gpt-4o"},
        USAGE | {"gen_ai.operation.name": "plan"},
        USAGE | {"langfuse.observation.type": "span"},
        {"gen_ai.operation.name": 7},
    ],
}


@pytest.mark.parametrize("kind", SPANS)
def test_spans_are_calls_or_skipped_by_kind(kind: str) -> None:
    """Only calls of a model are records; the other spans are counted by kind."""
    for attributes in SPANS[kind]:
        [outcome] = decoded(span(attributes))
        found = (
            "inference" if isinstance(outcome, WholeRecord) else outcome.removeprefix("skipped ")
        )
        assert found == kind, attributes


def test_all_kinds_are_tested() -> None:
    """No kind is missing above."""
    assert set(SPANS) == {"inference", *KINDS}


def tree(*nodes: tuple[str, str, dict[str, Any]]) -> Outcome:
    """What is in a trace. nodes: name, name of the parent, and attributes of spans."""
    ids = {name: f"{number + 1:016x}" for number, (name, _, _) in enumerate(nodes)}
    spans = [
        span(
            attributes | {"gen_ai.response.id": name},
            spanId=ids[name],
            parentSpanId=ids.get(parent, ""),
        )
        for name, parent, attributes in nodes
    ]
    return decoded(*spans)


def names(outcome: Outcome) -> list[str]:
    """The request ids of records, and what is skipped."""
    return [each if isinstance(each, str) else each.request_id for each in outcome]


def test_a_call_and_the_span_around_it_count_once() -> None:
    """Of calls within each other only the innermost is a record, in any order of the spans."""
    nodes = [
        ("langchain", "", LLM),
        ("http", "langchain", {}),
        ("openai", "http", CHAT),
        ("alone", "", CHAT),
    ]
    assert names(tree(*nodes)) == ["skipped wrapper", "skipped other_span", "openai", "alone"]
    assert names(tree(*reversed(nodes))) == [
        "alone",
        "openai",
        "skipped other_span",
        "skipped wrapper",
    ]


def test_retries_within_a_span_are_records_each() -> None:
    """The calls that a framework repeats are records; the span around them is not."""
    nodes = [("outer", "", LLM), ("first", "outer", LLM), ("second", "outer", LLM)]
    assert names(tree(*nodes)) == ["skipped wrapper", "first", "second"]


@pytest.mark.parametrize("between", ["tool", "agent", "workflow"])
def test_a_call_of_a_tool_does_not_hide_the_call_that_uses_it(between: str) -> None:
    """A call within a tool is another call than the one around the tool."""
    nodes = [
        ("outer", "", CHAT),
        ("between", "outer", SPANS[between][0]),
        ("inner", "between", CHAT),
    ]
    assert names(tree(*nodes)) == ["outer", f"skipped {between}", "inner"]


def test_vercel_counts_the_inner_span_only() -> None:
    """generateText and its parts are one record for each request to the provider."""
    nodes: list[tuple[str, str, dict[str, Any]]] = [
        ("text", "", USAGE | {"ai.operationId": "ai.generateText"}),
        ("one", "text", USAGE | {"ai.operationId": "ai.generateText.doGenerate"}),
        ("tool", "text", {"ai.operationId": "ai.toolCall"}),
        ("two", "text", USAGE | {"ai.operationId": "ai.generateText.doGenerate"}),
    ]
    assert names(tree(*nodes)) == ["skipped wrapper", "one", "skipped tool", "two"]


def test_spans_that_are_their_own_parents_end() -> None:
    """Cycles of parents, and equal ids, do not loop."""
    loop = {"spanId": "00000000000000aa", "parentSpanId": "00000000000000bb"}
    back = {"spanId": "00000000000000bb", "parentSpanId": "00000000000000aa"}
    self_parent = {"spanId": "00000000000000cc", "parentSpanId": "00000000000000cc"}
    spans = [span(CHAT, **each) for each in (loop, back, self_parent, self_parent)]
    assert len(decoded(*spans)) == 4


# --- retrieved documents ----------------------------------------------------------------------

DOCUMENTS: list[dict[str, Any]] = [
    {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.documents": json.dumps(
            [
                {"id": "1", "score": 0.9, "content": "Paris is rainy."},
                {"id": "2", "content": "Oslo."},
            ]
        ),
    },
    {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.documents": [{"content": "Paris is rainy."}, {"content": "Oslo."}],
    },
    {
        "openinference.span.kind": "RETRIEVER",
        "retrieval.documents.0.document.id": "1",
        "retrieval.documents.0.document.content": "Paris is rainy.",
        "retrieval.documents.1.document.content": "Oslo.",
    },
    {
        "mlflow.spanType": '"RETRIEVER"',
        "mlflow.spanOutputs": json.dumps(
            [{"page_content": "Paris is rainy.", "id": 1}, {"page_content": "Oslo."}]
        ),
    },
    {
        "langfuse.observation.type": "retriever",
        "langfuse.observation.output": json.dumps(["Paris is rainy.", "Oslo."]),
    },
]


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_documents_of_the_trace_are_contexts(number: int) -> None:
    """A call has the documents that were retrieved before it in its own trace."""
    retrieval = span(DOCUMENTS[number], spanId="00000000000000aa")
    other = span(DOCUMENTS[number] | {"a": 1}, traceId="ab" * 16, spanId="00000000000000bb")
    later = {"startTimeUnixNano": "1790000009125000000", "spanId": "00000000000000cc"}
    outcome = decoded(other, span(CHAT), retrieval, span(DOCUMENTS[number], **later))
    [record] = [each for each in outcome if isinstance(each, WholeRecord)]
    assert record.contexts == ["Paris is rainy.", "Oslo."]


def test_documents_without_texts_are_no_contexts() -> None:
    """Documents of which only ids and scores are logged give no contexts."""
    ids = {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": '[{"id": "1"}]'}
    outcome = decoded(span(ids, spanId="00000000000000aa"), span(CHAT))
    [record] = [each for each in outcome if isinstance(each, WholeRecord)]
    assert record.contexts is None
