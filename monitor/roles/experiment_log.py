"""The results of experiments of all processes, from the state topic, for the JSON API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.experiments.decisions.result import Result, ResultError, decode_result
from monitor.kafka.topics import Topics
from monitor.roles import experiment_messages
from monitor.roles.experiment_messages import Assembler
from monitor.roles.topic_log import TopicLog


class Results:
    """The newest result of each experiment, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Result] = {}
        self._sequences: dict[str, int] = {}
        self._assembler = Assembler()

    def add(self, value: bytes) -> None:
        """Add a message; one that is no result, or is older than the known one, is ignored.

        A result stays in its partition after the number of partitions has changed.
        """
        message = experiment_messages.decode(value)
        if message is None or message.kind != "result":
            return
        assembled = self._assembler.add(message)
        if assembled is None:
            return
        name = message.experiment
        if assembled.sequence < self._sequences.get(name, 0):
            return
        with suppress(ResultError):
            self.by_name[name] = decode_result(assembled.payload)
            self._sequences[name] = assembled.sequence


class ExperimentLog:
    """Results of all experiments. It reads nothing before the first request."""

    def __init__(self, config: KafkaConfig, stop: Callable[[float], bool]) -> None:
        topic = Topics(config.prefix).experiment_state
        self._log = TopicLog(config, topic, Results, Results.add, stop)

    def results(self) -> Mapping[str, Result]:
        """Return the newest results by name.

        Raises HistoryUnavailableError if the topic is not read to its end in time.
        """
        return dict(self._log.content().by_name)
