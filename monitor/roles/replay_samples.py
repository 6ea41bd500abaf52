"""Read samples and evaluations of a time, and make items of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from confluent_kafka import KafkaException

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.config.sections.replay.section import ReplayItemsConfig
from monitor.events.evaluations import Evaluation, EvaluationError, decode_evaluation
from monitor.ingest.sampling.codec import decode_sample
from monitor.kafka.readers.partitions import PartitionReader
from monitor.kafka.topics import Topics
from monitor.records import Sample
from monitor.roles.open_alarms import add_event
from replay.sets.building.candidates import build_candidates
from replay.sets.building.selection import select
from replay.sets.item import Item
from replay.sets.item_set import approve
from replay.sets.sources.opinions import Opinions
from replay.sets.sources.samples import SampleRules, items_of_samples

log = structlog.get_logger(__name__)

MAX_MESSAGES: Final = 50_000
"""Newest messages that are read of each partition."""
READ_SECONDS: Final = 60.0
"""Maximum time to read one topic; what was read until then is used."""
LATE_SECONDS: Final = 3600.0
"""A sample, and what judges say about it, is written at most this long after its record."""
PER_ITEM: Final = 20
"""Samples in memory for each item that is wanted, of which duplicates are removed."""


@dataclass(frozen=True, slots=True)
class Span:
    """Part of the traffic by event time, in epoch seconds. None: without a bound."""

    since: float | None = None
    until: float | None = None

    def contains(self, time: float) -> bool:
        """Return whether a time is in the span."""
        after = self.since is None or time >= self.since
        return after and (self.until is None or time <= self.until)


class SampleReader:
    """Reads samples, evaluations and events, without a consumer group.

    beat: called during long operations; an exception that it raises ends them.
    """

    def __init__(self, config: KafkaConfig, beat: Callable[[], None]) -> None:
        self._config = config
        self._topics = Topics(config.prefix)
        self._beat = beat

    def samples(self, span: Span, most: int, model: str = "") -> dict[str, list[Sample]]:
        """Return the newest uniform samples of a span by model, at most `most` of each.

        Boosted samples are not the traffic, so they are left out. model: of this one only.
        """
        found: defaultdict[str, list[Sample]] = defaultdict(list)
        for value in self._values(self._topics.samples, span):
            try:
                sample = decode_sample(value)
            except ValueError:
                continue
            wanted = sample.inclusion.uniform and span.contains(sample.timestamp)
            if wanted and (not model or sample.model == model):
                found[sample.model].append(sample)
                if len(found[sample.model]) > 2 * most:
                    del found[sample.model][:most]
        return {name: samples[-most:] for name, samples in found.items()}

    def opinions(self, span: Span, request_ids: set[str]) -> Opinions:
        """Return what judges and people said about these requests."""
        opinions = Opinions(wanted=request_ids)
        opinions.add_all(self._evaluations(span))
        return opinions

    def models_with_alarms(self) -> set[str]:
        """Return the models with an open alarm that pages, from the events topic."""
        alarms: dict[str, str] = {}
        for value in self._values(self._topics.events, Span()):
            add_event(alarms, value)
        return set(alarms.values())

    def _evaluations(self, span: Span) -> Iterator[Evaluation]:
        late = None if span.until is None else span.until + LATE_SECONDS
        for value in self._values(self._topics.evaluations, Span(span.since, late)):
            try:
                yield decode_evaluation(value)
            except EvaluationError:
                continue

    def _values(self, topic: str, span: Span) -> Iterator[bytes]:
        """Yield the values of a topic that were written since the start of a span."""
        with closing(PartitionReader(self._config, topic, self._beat)) as reader:
            try:
                for number in range(reader.partitions(topic)):
                    first, end = reader.watermarks(topic, number)
                    if span.since is not None:
                        first = max(first, reader.offset_since(number, span.since))
                    if span.until is not None:
                        end = min(end, reader.offset_since(number, span.until + LATE_SECONDS))
                    first = max(first, end - MAX_MESSAGES)
                    if first < end:
                        yield from _read(reader, number, first, end)
            except KafkaException as error:
                text = error.args[0].str()
                log.warning("topic not read", topic=topic, error=text)


def _read(reader: PartitionReader, number: int, first: int, end: int) -> Iterator[bytes]:
    reader.assign(number, first)
    for message in reader.read(number, end, READ_SECONDS):
        if message is not None and message.value() is not None:
            yield message.value() or b""
    reader.unassign(number)


def accepted_items(
    reader: SampleReader, span: Span, config: ReplayItemsConfig, model: str = ""
) -> dict[str, tuple[Item, ...]]:
    """Return the items of a span by model whose answers were accepted, at most `config.baseline`.

    Items that only a judge could score are left out, unless `config.scoring` is `judge`.
    """
    by_model = reader.samples(span, PER_ITEM * config.baseline, model)
    ids = {sample.request_id for samples in by_model.values() for sample in samples}
    if not ids:
        return {}
    opinions = reader.opinions(span, ids)
    rules = _rules(config, "reference")
    return {
        name: _items(samples, opinions, rules, config.baseline)
        for name, samples in by_model.items()
    }


def drifted_items(
    reader: SampleReader, span: Span, config: ReplayItemsConfig, model: str
) -> tuple[Item, ...]:
    """Return the items of the drifted window of a model whose expected answer is known."""
    samples = reader.samples(span, PER_ITEM * config.drifted, model).get(model, [])
    if not samples:
        return ()
    opinions = reader.opinions(span, {sample.request_id for sample in samples})
    return _items(samples, opinions, _rules(config, "drifted"), config.drifted)


def _rules(config: ReplayItemsConfig, window: Literal["reference", "drifted"]) -> SampleRules:
    return SampleRules(window=window, scoring=None if config.scoring == "auto" else config.scoring)


def _items(
    samples: list[Sample], opinions: Opinions, rules: SampleRules, most: int
) -> tuple[Item, ...]:
    found = items_of_samples(samples, opinions, rules)
    judged = rules.scoring == "judge"
    candidates = build_candidates(item for item in found if judged or item.scoring != "judge")
    return approve(select(candidates.items, most), by="accepted traffic")
