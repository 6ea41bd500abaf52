"""The pipeline of ingest: samples within the limit of their topic, and none without judges."""

from __future__ import annotations

from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, Message
from structlog.testing import capture_logs

from monitor.config.schema import Config
from monitor.ingest.sampling.codec import decode_sample
from monitor.kafka.topics import Topics
from monitor.records import Sample
from monitor.roles import ingest_records
from monitor.roles.ingest_records import RecordPipeline
from monitor.roles.ingest_transaction import Transaction
from tests.integration.harness import JUDGES, numbered

TOPICS = Topics("p")
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
SECRET = "alice@example.com"


class Received:
    """A consumed message."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def value(self) -> bytes:
        """Return the value."""
        return self.content


def pipeline(sampling: dict[str, Any] | None = None, judges: Any = JUDGES) -> RecordPipeline:
    """Return a pipeline that draws every record."""
    sections = {"judges": judges, "sampling": {"rate": 1} | (sampling or {})}
    return RecordPipeline(Config.model_validate(sections), TOPICS, 8 << 20, set)


def process(made: RecordPipeline, values: list[bytes]) -> tuple[list[Sample], Transaction]:
    """Return the samples of messages, and the transaction."""
    transaction = Transaction(0.0)
    messages = [cast(Message, Received(value)) for value in values]
    made.process(messages, range(len(values)), transaction)
    made.encode(transaction)
    samples = [
        decode_sample(out.value or b"") for out in made.outbox if out.topic == TOPICS.samples
    ]
    made.outbox.clear()
    return samples, transaction


def test_samples_are_redacted_and_counted() -> None:
    """Samples leave with the chunks, redacted by default; their numbers are in the transaction."""
    samples, transaction = process(pipeline(), [numbered(1, response=SECRET), numbered(2)])
    assert [sample.response for sample in samples] == ["[email]", None]
    assert transaction.samples.written["uniform"] == 2
    assert transaction.samples.redacted == {"email": 1}
    assert transaction.payloads == []


def test_no_samples_without_judges() -> None:
    """Without judges nothing is drawn, and no message is kept."""
    samples, transaction = process(pipeline(judges={}), [numbered(1)])
    assert samples == []
    assert transaction.samples.written.total() == 0


def test_patterns_of_the_user() -> None:
    """Configured patterns are redacted as well."""
    made = pipeline({"redact_patterns": {"ticket": r"T-\d+"}})
    ((sample,), _) = process(made, [numbered(1, response="see T-123")])
    assert sample.response == "see [ticket]"


def test_redaction_that_is_off_is_logged() -> None:
    """Samples may be written as they are logged; the start of ingest warns about it."""
    with capture_logs() as logs:
        made = pipeline({"redact": False})
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("samples are written without redaction", "warning")
    ]
    ((sample,), _) = process(made, [numbered(1, response=SECRET)])
    assert sample.response == SECRET


def test_refused_samples_get_smaller_then_are_dropped() -> None:
    """After refusals for their size samples are cut further, sent alone, then dropped; chunks are
    still written.
    """
    made = pipeline()
    big = numbered(1, response="x" * 90_000)
    made.sample_limit.refresh()
    made.sample_limit.refused(TOO_LARGE)
    assert not process(made, [big])[0][0].cut
    made.sample_limit.refused(TOO_LARGE)
    assert made.sample_limit.alone
    assert process(made, [big])[0][0].cut == ("response",)
    made.sample_limit.refused(TOO_LARGE)
    samples, transaction = process(made, [big])
    assert samples == []
    assert transaction.samples.dropped["refused"] == 1
    assert len(transaction.batches) == 1


def test_a_missing_right_drops_samples() -> None:
    """Without the right to write samples they are dropped; dead letters are not affected."""
    made = pipeline()
    made.refuse({TOPICS.samples})
    assert process(made, [numbered(1)])[0] == []
    assert not made.letters.alone


def test_messages_kept_for_samples_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are extracted, and samples drawn, before the kept messages are too many bytes."""
    monkeypatch.setattr(ingest_records, "PAYLOAD_BYTES", 10_000)
    made, transaction = pipeline(), Transaction(0.0)
    for i in range(5):
        made.process([cast(Message, Received(numbered(i, response="x" * 6_000)))], [i], transaction)
        assert sum(map(len, transaction.payloads)) < 10_000
    assert transaction.samples.written["uniform"] == 4
