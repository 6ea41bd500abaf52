"""The pipeline of ingest: samples within the limit of their topic, and none without judges."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import pytest
from confluent_kafka import KafkaError, Message
from structlog.testing import capture_logs

from monitor.config.schema import Config
from monitor.ingest.chunks.chunk import decode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.sampling.codec import decode_sample
from monitor.ingest.style import sample
from monitor.ingest.style.sample import SAMPLE_ONE_IN
from monitor.kafka.topics import Topics
from monitor.records import Sample, Source
from monitor.roles import ingest_records
from monitor.roles.ingest_records import RecordPipeline
from monitor.roles.ingest_transaction import Transaction
from tests.integration.harness import JUDGES, numbered
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL
from tests.monitor.ingest.decode.encoders.litellm import payload

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


class Foreign(Received):
    """A consumed message of another format than the native one."""

    def headers(self) -> None:
        """Return no headers."""

    def topic(self) -> str:
        """Return the topic."""
        return "logs"


def pipeline(sampling: dict[str, Any] | None = None, judges: Any = JUDGES) -> RecordPipeline:
    """Return a pipeline that draws every record."""
    sections = {"judges": judges, "sampling": {"rate": 1} | (sampling or {})}
    return RecordPipeline(Config.model_validate(sections), TOPICS, 8 << 20, set)


def process(made: RecordPipeline, values: list[bytes]) -> tuple[list[Sample], Transaction]:
    """Return the samples of messages, and the transaction."""
    transaction = Transaction(0.0)
    messages = [cast(Message, Received(value)) for value in values]
    made.process(messages, np.arange(len(values)), transaction)
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
        made.process(
            [cast(Message, Received(numbered(i, response="x" * 6_000)))], np.array([i]), transaction
        )
        assert sum(map(len, transaction.payloads)) < 10_000
    assert transaction.samples.written["uniform"] == 4


def test_a_message_of_many_calls_counts_once() -> None:
    """The memory that waits for samples is that of the messages, however many records they hold."""
    transaction = Transaction(0.0)
    many, one, other = (json.dumps([payload(PLAIN_CALL)] * n).encode() for n in (50, 1, 1))
    messages = [cast(Message, Foreign(value)) for value in (many, one, other)]
    pipeline().process(messages, np.arange(3), transaction)
    assert len(transaction.payloads) == 52
    assert transaction.payload_bytes == len(many) + 2 * len(one)


def style_chunks(made: RecordPipeline, transaction: Transaction) -> list[Columns]:
    """Encode a transaction and return its chunks of style."""
    made.encode(transaction)
    chunks = [decode_chunk(out.value or b"") for out in made.outbox if out.topic == TOPICS.features]
    made.outbox.clear()
    return [chunk for chunk in chunks if chunk.source is Source.STYLE]


def fill(made: RecordPipeline, transaction: Transaction, first: int, records: int) -> None:
    """Process messages with an answer in bold."""
    for start in range(first, first + records, 500):
        numbers = np.arange(start, start + 500)
        values = [numbered(n, response="**Yes**.", latency_ms=float(n)) for n in numbers.tolist()]
        made.process([cast(Message, Received(value)) for value in values], numbers, transaction)


def test_style_is_written_as_chunks_of_its_own() -> None:
    """A sample of the records becomes chunks of the source style, beside those of the log."""
    made = RecordPipeline(Config(), TOPICS, 8 << 20, set)
    transaction = Transaction(0.0)
    fill(made, transaction, 0, 2_000)
    (chunk,) = style_chunks(made, transaction)
    assert len(chunk) == pytest.approx(2_000 / SAMPLE_ONE_IN, rel=0.3)
    assert (chunk.row("style.bold") == 1).all()
    assert transaction.payloads == []


def test_a_transaction_rolled_back_leaves_no_style() -> None:
    """The style of messages that are read again is written once."""
    made = RecordPipeline(Config(), TOPICS, 8 << 20, set)
    fill(made, Transaction(0.0), 0, 1_000)  # dropped
    transaction = Transaction(0.0)
    fill(made, transaction, 0, 1_000)
    (chunk,) = style_chunks(made, transaction)
    assert len(set(chunk.positions.tolist())) == len(chunk)


def test_a_backlog_has_less_style(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a large chunk groups of records are passed over, and none after a small one."""
    monkeypatch.setattr(sample, "FIRST_SAMPLES", 0)
    made = RecordPipeline(Config(), TOPICS, 8 << 20, set)
    sizes = []
    for records in (5_000, 5_000, 1_000, 5_000):
        transaction = Transaction(0.0)
        fill(made, transaction, 0, records)
        sizes.append(sum(map(len, style_chunks(made, transaction))))
    assert sizes[1] < 0.7 * sizes[0]
    assert sizes[3] == sizes[0]


def test_no_style_without_the_setting() -> None:
    """With `style.enabled: false` no message is kept for it."""
    config = Config.model_validate({"style": {"enabled": False}})
    made = RecordPipeline(config, TOPICS, 8 << 20, set)
    transaction = Transaction(0.0)
    fill(made, transaction, 0, 1_500)
    assert transaction.payloads == []
    assert style_chunks(made, transaction) == []
