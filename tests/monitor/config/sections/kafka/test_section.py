"""The list of brokers."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from monitor.config.sections.kafka.section import KafkaConfig


@pytest.mark.parametrize(
    "servers",
    [
        "localhost",
        "kafka-1:9092",
        "kafka_1.example.com.:9092, 10.0.0.1:9093 ,b:1",
        "[::1]:9092",
        "[fe80::1%eth0]:9092",
        "SASL_SSL://broker:9094",
    ],
)
def test_lists_of_servers_are_accepted(servers: str) -> None:
    """Host, port and protocol are accepted as librdkafka does; spaces around commas are removed."""
    found = KafkaConfig(bootstrap_servers=servers).bootstrap_servers
    assert found == servers.replace(" ", "")


@pytest.mark.parametrize(
    ("servers", "number"),
    [
        ("http://a:9092", 1),
        ("a:9092 b:9092", 1),
        ("a:9092;b:9092", 1),
        ("a:9092,b:port", 2),
        ("a:9092,b:99999", 2),
        ("a:0", 1),
        ("a:9092,", 2),
        ("a:9092:9093", 1),
        (":9092", 1),
        ("::1:9092", 1),
        ("['a:9092']", 1),
        ("user:password@a:9092", 1),
        ("a/path", 1),
        ("-a:1", 1),
    ],
)
def test_malformed_lists_are_refused(servers: str, number: int) -> None:
    """The message has the number of the server and an example, and does not repeat the value."""
    with pytest.raises(ValidationError, match=f"number {number} of") as caught:
        KafkaConfig(bootstrap_servers=servers)
    assert "kafka-1:9092,kafka-2:9092" in str(caught.value)
