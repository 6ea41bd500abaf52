"""Fixtures for benchmarks that need a real broker."""

from __future__ import annotations

import pytest

from tests.integration.kafka_jars import KafkaUnavailable, kafka_classpath


@pytest.fixture
def real_kafka() -> None:
    """Skip the test if the broker's jars are not available."""
    try:
        kafka_classpath()
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))
