"""From feedback messages to messages of the joins topic: the first step of the join.

Feedback is partitioned as its producer chose. Its values are written to the partition of the id
that they refer to, where the key of the record is. An event that names its model brings its own
key, so that it needs no record, and is replaced, counted and sent like any other.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from confluent_kafka import Message

from monitor.config.schema import Config
from monitor.experiments.exposures.extract import ExposureCounts, ExposureExtractor
from monitor.ingest import files
from monitor.ingest.decode.feedback import decode_feedback
from monitor.ingest.decode.feedback.event import PLAIN, FeedbackEvent
from monitor.ingest.decode.native.kinds import fields_of
from monitor.ingest.fields.limits import SCORES_PER_LIMIT
from monitor.ingest.joins.hashes import are_indexed, id_hashes
from monitor.ingest.joins.messages import Keys, Values
from monitor.kafka.messages import message_offset
from monitor.kafka.output.dead_letters import DeadLetters
from monitor.kafka.topics import Topics
from monitor.records import RejectedRecord, WholeRecord
from monitor.roles.ingest_transaction import Outgoing
from monitor.roles.join_keys import keys_of, messages_of


@dataclass(slots=True)
class FeedbackInput:
    """What was read of a partition of the feedback topic and is not committed yet.

    offset: of the next message. events: of valid messages. rejected: messages with an invalid part.
    messages: by format. skipped: parts without a value, by kind.
    """

    offset: int
    events: list[FeedbackEvent] = field(default_factory=list)
    rejected: list[tuple[Message, RejectedRecord]] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    read: int = 0

    def add(self, message: Message) -> None:
        """Decode a message."""
        self.offset = message_offset(message) + 1
        self.read += 1
        try:
            found = decode_feedback(message.value() or b"", _written(message))
        except RejectedRecord as error:
            self.rejected.append((message, error.with_traceback(None)))
            return
        self.messages[found.format] += 1
        self.events += found.events
        self.skipped.update(found.skipped)
        if found.rejected is not None:
            self.rejected.append((message, found.rejected))

    def clear(self) -> None:
        """Forget what is committed."""
        self.events, self.rejected, self.read = [], [], 0
        self.messages.clear()
        self.skipped.clear()


def _written(message: Message) -> float:
    """Return the time of a message, epoch seconds; the present if it has none."""
    _, milliseconds = message.timestamp()
    return milliseconds / 1000 if milliseconds > 0 else time.time()


def dead_letters(
    read: Iterable[FeedbackInput], letters: DeadLetters, incomplete: Counter[str]
) -> Iterator[Outgoing]:
    """Yield the dead letters of rejected messages; count those that are not complete, by outcome.

    They are made for each attempt to commit, because a refused one must become smaller.
    """
    for message, rejected in chain.from_iterable(each.rejected for each in read):
        letter, outcome = letters.build(message, rejected)
        if outcome is not None:
            incomplete[outcome] += 1
        if letter is not None:
            yield Outgoing(letters.topic, *letter, alone=letters.alone)


@dataclass(slots=True)
class Routed:
    """Messages for the joins topic, and values that have none, by outcome."""

    messages: list[Outgoing] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    exposures: ExposureCounts = field(default_factory=ExposureCounts)


class FeedbackRouter:
    """Converts feedback events to keys and values. partitions: of the joins topic."""

    def __init__(self, config: Config) -> None:
        self.partitions = config.kafka.partitions
        join = config.feedback.join if config.feedback is not None else None
        self._topic = Topics(config.kafka.prefix).joins
        self._rate = join.rate if join is not None else 0.0
        self._segments = config.segments
        self._extractor = files.extractor_for(config)
        self._needed = replace(files.needed_fields(config), optional=True)
        self._exposures = ExposureExtractor(config.experiments)
        self._names = {PLAIN}
        self._most_names = config.limits.scores * SCORES_PER_LIMIT

    def route(self, events: Sequence[FeedbackEvent]) -> Routed:
        """Return the messages of events."""
        routed = Routed()
        if not events:
            return routed
        direct = [event for event in events if event.model is not None]
        if direct:
            routed.messages += self._messages(self._keys(direct, routed.exposures))
        values = self._values(events, routed)
        if values is not None:
            routed.messages += self._messages(values)
        return routed

    def _messages(self, batch: Keys | Values) -> Iterator[Outgoing]:
        for partition, value in messages_of(batch, self.partitions):
            yield Outgoing(self._topic, None, value, partition=partition)

    def _keys(self, events: Sequence[FeedbackEvent], counts: ExposureCounts) -> Keys:
        """Return the keys of events that name their model."""
        records = fields_of([_record(event) for event in events], self._needed)
        batch = self._extractor.batch(records, np.zeros(len(records), np.int64))
        exposures = self._exposures.extract(records, batch, counts)
        return keys_of(records, batch, exposures, self._segments, 1.0)

    def _values(self, events: Sequence[FeedbackEvent], routed: Routed) -> Values | None:
        """Return the values of events that can be joined; None if there are none."""
        hashes = id_hashes([event.id for event in events])
        known = np.array([event.model is not None for event in events])
        kept = np.flatnonzero(known | are_indexed(hashes, self._rate)).tolist()
        total = sum(len(event.values) for event in events)
        routed.outcomes["not_indexed"] += total - sum(len(events[i].values) for i in kept)
        rows = [
            (index, name, value)
            for index in kept
            for name, value in self._named(events[index], routed.skipped)
        ]
        if not rows:
            return None
        names = tuple(dict.fromkeys(name for _, name, _ in rows))
        codes = {name: code for code, name in enumerate(names)}
        places = [index for index, _, _ in rows]
        return Values(
            hashes[places],
            np.array([events[index].time for index in places], np.float64),
            names,
            np.array([codes[name] for _, name, _ in rows], np.uint32),
            np.array([value for _, _, value in rows], np.float64),
        )

    def _named(self, event: FeedbackEvent, skipped: Counter[str]) -> Iterator[tuple[str, float]]:
        """Yield the values whose names are within the limit."""
        for name, value in event.values.items():
            if name not in self._names:
                if len(self._names) > self._most_names:
                    skipped["too_many_names"] += 1
                    continue
                self._names.add(name)
            yield name, value


def _record(event: FeedbackEvent) -> WholeRecord:
    """Return an event as the record that it refers to, as far as it is known."""
    return WholeRecord(
        event.id,
        event.time,
        event.model or "",
        experiments=event.experiments,
        user_id=event.user_id,
        session_id=event.session_id,
    )
