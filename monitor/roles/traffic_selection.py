"""Select traffic of a model in the feature topic: its newest records, or those of a time range."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace

from confluent_kafka import KafkaException

from monitor.config.schema import Config
from monitor.detect.checkpoint.acceptance import NewestRecords
from monitor.errors import UserError
from monitor.kafka.readers.partitions import PartitionReader
from monitor.kafka.topics import Topics, partition_of
from monitor.records import Source
from monitor.roles.model_records import ModelRecords, Range

CONNECT_SECONDS = 30.0
"""Maximum time until the broker responds for the first time."""
READ_SECONDS = 600.0
"""Maximum time to read the range."""
LOGGED_EARLY_SECONDS = 600.0
LOGGED_LATE_SECONDS = 86_400.0
"""Records that ingest wrote so long before or after their event time are found by a time."""
FIRST_MESSAGES = 4_000
"""Messages of a partition in the first search for the newest records; then four times as many."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic to select. since, until: event times, epoch seconds; None without a bound.

    records: the newest records, so many at most.
    """

    model: str
    records: int
    since: float | None = None
    until: float | None = None
    source: Source = Source.LOG


@dataclass(frozen=True, slots=True)
class Selection:
    """Selected records, and the range of the feature partition that contains them."""

    range: Range
    newest: NewestRecords


class Selector:
    """Selects traffic, within a limited time."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.topics = Topics(config.kafka.prefix)
        self._deadline = time.monotonic() + CONNECT_SECONDS

    @property
    def _servers(self) -> str:
        return self.config.kafka.bootstrap_servers

    def select(self, traffic: Traffic) -> Selection:
        """Return the selected traffic.

        Raises UserError if the topic cannot be read, or has no record of the model.
        """
        kafka = self.config.kafka
        try:
            with closing(PartitionReader(kafka, self.topics.features, self._check_time)) as reader:
                chosen = self._range(reader, traffic)
                low, high = reader.watermarks(self.topics.features, chosen.partition)
            if traffic.since is None and traffic.until is None:
                newest = self._newest(chosen, low, high, traffic.records)
            else:
                newest = self._read(chosen, traffic.records)
        except KafkaException as error:
            text = f"{self._servers}: {self.topics.features}: {error.args[0].str()}"
            raise UserError(text) from None
        if not newest.records:
            raise UserError(self._nothing(traffic, chosen))
        found = replace(chosen, first=newest.first_offset, last=newest.next_offset)
        return Selection(found, newest)

    def _range(self, reader: PartitionReader, traffic: Traffic) -> Range:
        """Return offsets that contain the traffic, as far as message times limit them."""
        count = reader.partitions(self.topics.features)
        self._deadline = time.monotonic() + READ_SECONDS
        if not count:
            raise UserError(f"{self._servers}: no topic {self.topics.features}")
        number = partition_of(traffic.model.encode(), count)
        first, last = reader.watermarks(self.topics.features, number)
        if traffic.since is not None:
            first = reader.offset_since(number, max(0.0, traffic.since - LOGGED_EARLY_SECONDS))
        if traffic.until is not None:
            last = reader.offset_since(number, traffic.until + LOGGED_LATE_SECONDS)
        chosen = Range(traffic.model, number, first, last, source=traffic.source)
        if traffic.since is not None:
            chosen = replace(chosen, since=traffic.since)
        return chosen if traffic.until is None else replace(chosen, until=traffic.until)

    def _newest(self, chosen: Range, low: int, high: int, records: int) -> NewestRecords:
        """Read back from the end until there are enough records of the model."""
        messages = FIRST_MESSAGES
        while True:
            first = max(low, high - messages)
            newest = self._read(replace(chosen, first=first, last=high), records)
            if newest.records >= records or first == low:
                return newest
            messages *= 4

    def _read(self, chosen: Range, records: int) -> NewestRecords:
        with closing(ModelRecords(self.config.kafka, chosen, records, self._check_time)) as reader:
            while not reader.read(1.0):
                pass
            return reader.newest

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise UserError(f"{self._servers}: {self.topics.features} was not read in time")

    def _nothing(self, traffic: Traffic, chosen: Range) -> str:
        where = f"{self.topics.features}, partition {chosen.partition}"
        period = "" if traffic.since is None and traffic.until is None else " in this time range"
        listed = "'plumbline status' lists the models"
        kind = "records" if traffic.source is Source.LOG else f"records of source {traffic.source}"
        return f"no {kind} of model {traffic.model!r}{period} in {where}; {listed}"
