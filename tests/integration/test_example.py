"""The producer in docs/connect.md writes records that Plumbline reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.features import FeatureExtractor
from tests.integration.broker import KafkaBroker, MockBroker
from tests.integration.harness import ROOT, read_all
from tests.test_documents import blocks


def test_the_shown_producer_writes_records(
    broker: KafkaBroker | MockBroker, topic: Callable[..., str]
) -> None:
    """Its message is a record keyed by model, with the documented features."""
    (code,) = blocks(ROOT / "docs" / "connect.md", "python")
    logs = topic()
    names: dict[str, Any] = {}
    for shown, here in (("kafka-1:9092", broker.bootstrap), ("inference-logs", logs)):
        assert shown in code
        code = code.replace(shown, here)
    exec(code, names)
    usage = {"input_tokens": 12, "output_tokens": 34}
    names["log_inference"]("chat", "a question", "an answer", 0.8, usage, "stop")
    assert names["producer"].flush(10) == 0
    (message,) = read_all(broker.bootstrap, logs)
    assert message.key() == b"chat"
    fields = NativeDecoder().many([message.value() or b""]).fields
    extractor = FeatureExtractor({}, models=1, scores=1)
    (chunk,) = extractor.batch(fields, [1]).by_model()
    assert chunk.numeric == (
        "input_tokens",
        "latency_ms",
        "output_tokens",
        "prompt_chars",
        "response_chars",
        "tokens_per_second",
    )
    assert chunk.binary == ("empty_response", "error", "refusal")
