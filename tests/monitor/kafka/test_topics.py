"""Partitions of keys."""

from __future__ import annotations

import pytest

from monitor.kafka import topics
from monitor.kafka.topics import DAY_MS, Topics, partition_of

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Hashes in the tests of Kafka's Java client (`UtilsTest.testMurmur2`)."""


@pytest.mark.parametrize(("key", "value"), JAVA.items())
@pytest.mark.parametrize("partitions", [1, 6, 7, 250])
def test_a_key_has_the_partition_of_javas_producers(
    key: bytes, value: int, partitions: int
) -> None:
    """The hash is that of Kafka's Java client, for keys of every length modulo four."""
    assert topics._murmur2(key) == value & 0xFFFFFFFF
    assert partition_of(key, partitions) == (value & 0x7FFFFFFF) % partitions


def test_commands_are_kept_longer_than_features() -> None:
    """A replay of the features finds the commands that were applied to them."""
    settings = Topics("p").settings()
    kept = {name: int(values.get("retention.ms", 0)) for name, values in settings.items()}
    assert kept["p.commands"] == 90 * DAY_MS > kept["p.features"]
