"""Looks at the experiments whose shard 0 a process owns.

Every process that has shards publishes their closed sums. The owner of shard 0 follows all of them,
merges them, evaluates the experiment and writes its decisions, fenced like a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from confluent_kafka import KafkaException

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.findings.experiments import (
    ExperimentEvent,
    encode_experiment,
    experiment_fields,
)
from monitor.events.wording.experiments import experiment_sentence
from monitor.experiments.decisions.evaluation import evaluate
from monitor.experiments.decisions.result import (
    Result,
    ResultError,
    decode_result,
    encode_result,
)
from monitor.experiments.decisions.state import State, StateError, decode_state, encode_state
from monitor.experiments.sums.looks import Looks
from monitor.experiments.sums.state import ShardError, decode_partial
from monitor.kafka.readers.follower import TopicFollower
from monitor.kafka.topics import Topics
from monitor.roles import experiment_messages
from monitor.roles.experiment_messages import Assembled, Assembler, Name
from monitor.roles.experiment_partition import Experiments

log = structlog.get_logger(__name__)

READ_MESSAGES: Final = 500
"""Maximum number of messages that an iteration reads."""
RETRY_SECONDS: Final = 10.0

Outgoing = tuple[str, bytes, bytes, int | None]
"""Topic, value, key and partition of a message; the key decides if there is no partition."""


@dataclass(slots=True)
class Owned:
    """An experiment whose shard 0 the process owns.

    partition: of the exposures topic, in which it is. state, result: of the last look. sequence: of
    the message with the state. events: not committed yet. written: whether state and result are
    committed. looked: whether this process has looked at it.
    """

    partition: int
    looks: Looks
    state: State | None
    sequence: int = 0
    result: Result | None = None
    events: list[ExperimentEvent] = field(default_factory=list)
    written: bool = True
    looked: bool = False

    @property
    def last(self) -> float | None:
        """Time of the last look of the phase."""
        if self.state is None or self.state.phase != self.looks.design.phase:
            return None
        return self.state.time


class OwnedExperiments:
    """The experiments whose shard 0 a process owns, by name.

    experiments: all that are configured.
    """

    def __init__(self, config: KafkaConfig, experiments: Experiments) -> None:
        self.by_name: dict[str, Owned] = {}
        self._config = config
        self._topics = Topics(config.prefix)
        self._experiments = experiments
        self._follower: TopicFollower | None = None
        self._assembler = Assembler()
        self._retry_due = 0.0
        self._sequence = 0

    def assign(self, name: str, partition: int, values: Mapping[Name, Assembled]) -> None:
        """Own an experiment. values: of the partition in the state topic."""
        self.close()  # the follower reads the sums of all owned experiments from the beginning
        design, layout = self._experiments[name]
        found = values.get(Name("decisions", name, 0, partition))
        state = None
        if found is not None:
            self._sequence = max(self._sequence, found.sequence)
            try:
                state = decode_state(found.payload)
            except StateError as error:
                log.error("decisions unusable, beginning anew", experiment=name, error=str(error))
        sequence = 0 if found is None else found.sequence
        self.by_name[name] = Owned(partition, Looks(design, layout), state, sequence)
        found = values.get(Name("result", name, 0, partition))
        if found is not None:
            with suppress(ResultError):
                self.by_name[name].result = decode_result(found.payload)

    def drop_moved(self, partition_of: Callable[[str], int]) -> list[str]:
        """Drop experiments whose shard 0 is in another partition now, as their number has changed.

        Returns their names.
        """
        names = [n for n, each in self.by_name.items() if each.partition != partition_of(n)]
        for name in names:
            del self.by_name[name]
        return names

    def clear(self) -> None:
        """Own nothing any more."""
        self.by_name.clear()
        self.close()

    def drop(self, partition: int) -> list[str]:
        """Drop the experiments of a partition that another process owns now; return their names."""
        names = [name for name, each in self.by_name.items() if each.partition == partition]
        for name in names:
            del self.by_name[name]
        return names

    def close(self) -> None:
        """Close the client."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None
        self._assembler = Assembler()

    def read(self, monotonic: float) -> None:
        """Read the closed sums that were committed since the last call."""
        if not self.by_name or monotonic < self._retry_due:
            return
        if self._follower is None:
            self._follower = TopicFollower(self._config, self._topics.experiment_state)
        try:
            self._read(self._follower)
        except KafkaException as error:
            cause = self._follower.cause(error)
            log.warning("sums not read, retrying", error=cause)
            self._retry_due = monotonic + RETRY_SECONDS
            self.close()

    def _read(self, follower: TopicFollower) -> None:
        empty = 0
        for _ in range(READ_MESSAGES):
            value = follower.poll(0.0)
            if value is None:  # nothing, or the end of a partition
                empty += 1
                if empty > len(follower.partitions):
                    return
            else:
                self._add(value)

    def _add(self, value: bytes) -> None:
        message = experiment_messages.decode(value)
        if message is None or message.kind not in ("closed", "decisions"):
            return
        owned = self.by_name.get(message.experiment)
        if owned is None:
            return
        assembled = self._assembler.add(message)
        if assembled is None:
            return
        if message.kind == "decisions":
            self._sequence = max(self._sequence, assembled.sequence)
            _take_over(owned, assembled)
            return
        try:
            partial = decode_partial(assembled.payload)
        except ShardError as error:
            log.error("sums of a shard skipped", error=str(error), shard=message.shard)
            return
        owned.looks.update(message.shard, message.partition, partial)

    def look(self, monotonic: float) -> list[Result]:
        """Look at the experiments for which it is time; return the results."""
        if self._follower is None or not self._follower.caught_up:
            return []
        results = []
        for owned in self.by_name.values():
            data = owned.looks.due(owned.last, monotonic)
            if data is None:
                continue
            outcome = evaluate(owned.looks.design, data, owned.state)
            owned.state, owned.result, owned.written = outcome.state, outcome.result, False
            owned.events += outcome.events
            owned.looked = True
            results.append(outcome.result)
        return results

    @property
    def needs_write(self) -> bool:
        """Whether there are results that are not committed."""
        return not all(owned.written for owned in self.by_name.values())

    def messages(self) -> Iterator[Outgoing]:
        """Yield events, decisions and results that are not committed."""
        for name, owned in self.by_name.items():
            if owned.written or owned.state is None or owned.result is None:
                continue
            for event in owned.events:
                yield self._topics.events, encode_experiment(event), name.encode(), None
            self._sequence += 1
            payloads = {
                "decisions": encode_state(owned.state),
                "result": encode_result(owned.result),
            }
            for kind, payload in payloads.items():
                place = Name(kind, name, 0, owned.partition)  # type: ignore[arg-type]  # its keys
                for key, value in experiment_messages.encode(place, payload, self._sequence):
                    yield self._topics.experiment_state, value, key, owned.partition

    def mark_written(self) -> None:
        """Log the events of the last transaction, which is durable."""
        for owned in self.by_name.values():
            for event in owned.events:
                level = log.info if event.severity == "info" else log.warning
                fields = experiment_fields(event)
                fields["interval_level"] = fields.pop("level")  # `level` is that of the log line
                level("experiment " + event.kind, summary=experiment_sentence(event), **fields)
            owned.events, owned.written = [], True


def _take_over(owned: Owned, found: Assembled) -> None:
    """Use decisions of another partition, which had shard 0 before the number of them changed.

    The topic also has earlier decisions of the own partition. Sequences say which are the newest;
    event times do not, because a new phase may have earlier ones.
    """
    if owned.looked or found.sequence <= owned.sequence:
        return
    with suppress(StateError):
        owned.state, owned.sequence = decode_state(found.payload), found.sequence
