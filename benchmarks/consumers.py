"""What the daemon is compared with: loops that read the same topic and do less, or nothing.

    python -m benchmarks.consumers MODE BOOTSTRAP TOPIC RECORDS

Each runs in a process of its own, with the batch size of the daemon's consumer and, but for one,
its settings. It prints records per second, from the end of its first batch to the end of its last;
from its start where one batch holds all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Sequence

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from monitor import kafka
from monitor.config import KafkaConfig
from monitor.roles.ingest import BATCH, POLL_SECONDS

IDLE_SECONDS = 60.0


def _nothing(messages: Sequence[Message]) -> None:
    """A bare loop does not even look at what it got."""


def _json(messages: Sequence[Message]) -> None:
    for message in messages:
        json.loads(message.value() or b"")


def _orjson(messages: Sequence[Message]) -> None:
    for message in messages:
        orjson.loads(message.value() or b"")


MODES: dict[str, Callable[[Sequence[Message]], None]] = {
    "consume": _nothing,
    "json_loads": _json,
    "orjson": _orjson,
    "json_loads_plain": _json,
}
PLAIN = ("json_loads_plain",)
"""With the client's default settings, as a script has them that nobody tuned."""


def whole_topic(bootstrap: str, topic: str, *, plain: bool = False) -> Consumer:
    """A consumer at the beginning of every partition of a topic.

    It has the daemon's settings, or, plain, the client's defaults.
    """
    config = KafkaConfig(bootstrap_servers=bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}")
    settings = kafka.consumer_settings(config, "bench")
    if plain:
        settings = {key: settings[key] for key in ("bootstrap.servers", "group.id")}
    consumer = Consumer(settings)
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    return consumer


def next_batch(consumer: Consumer) -> Sequence[Message]:
    """The next batch that is not empty; a topic that gives nothing more is an error."""
    deadline = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < deadline:
        messages = consumer.consume(BATCH, POLL_SECONDS)
        if messages:
            return messages
    raise TimeoutError(f"no records for {IDLE_SECONDS:g} s")


def records_per_second(mode: str, bootstrap: str, topic: str, records: int) -> float:
    """Read a topic of so many records to its end."""
    handle = MODES[mode]
    consumer = whole_topic(bootstrap, topic, plain=mode in PLAIN)
    try:
        started, started_at = time.perf_counter(), 0
        first = next_batch(consumer)
        handle(first)
        done = len(first)
        if done < records:
            started, started_at = time.perf_counter(), done
        while done < records:
            messages = next_batch(consumer)
            handle(messages)
            done += len(messages)
        return (done - started_at) / (time.perf_counter() - started)
    finally:
        consumer.close()


def main() -> int:
    """Measure one loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("records", type=int)
    a = parser.parse_args()
    print(records_per_second(a.mode, a.bootstrap, a.topic, a.records))
    return 0


if __name__ == "__main__":
    sys.exit(main())
