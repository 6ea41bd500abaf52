"""Queries for committed offsets, against a real broker."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.kafka import offsets
from monitor.kafka.offsets import committed_metadata
from tests.integration.broker import KafkaBroker
from tests.integration.harness import TIMEOUT_S, until


def test_offsets_in_an_open_transaction_are_waited_for(
    real_broker: KafkaBroker, topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed member leaves its offsets in an open transaction: the broker responds after it."""
    monkeypatch.setattr(offsets, "RESPONSE_SECONDS", 0.5)  # many attempts fail before it ends
    logs, group = topic(), uuid.uuid4().hex
    client = {"bootstrap.servers": real_broker.bootstrap, "log_level": 2}
    settings = client | {"group.id": group, "isolation.level": "read_committed"}
    producer = Producer(client | {"transactional.id": group})
    producer.init_transactions(TIMEOUT_S)
    killed, successor = Consumer(settings), Consumer(settings)
    beats: list[None] = []
    found: list[dict[int, tuple[int, str]]] = []

    def query() -> None:
        found.append(committed_metadata(successor, logs, lambda: beats.append(None)))

    producer.begin_transaction()
    member = killed.consumer_group_metadata()
    producer.send_offsets_to_transaction([TopicPartition(logs, 0, 7)], member, TIMEOUT_S)
    thread = threading.Thread(target=query, daemon=True)
    try:
        thread.start()
        until(lambda: len(beats) > 2, "two attempts without a response")
        assert not found
        producer.commit_transaction(TIMEOUT_S)
        thread.join(TIMEOUT_S)
        assert found == [{0: (7, "")}]
    finally:
        killed.close()
        successor.close()
