"""The newest replay events of the events topic, for the JSON API of any process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.replay import ReplayEvent, decode_replay
from monitor.kafka.topics import Topics
from monitor.roles.topic_log import TopicLog

MAX_REPLAYS: Final = 1_000
"""Events that are kept; the oldest are dropped."""

Replays = OrderedDict[str, ReplayEvent]
"""Events by id, the oldest first. One that was sent twice is there once."""


class ReplayLog:
    """Follows the events topic, from the first request on."""

    def __init__(self, config: KafkaConfig, stop: Callable[[float], bool]) -> None:
        topic = Topics(config.prefix).events
        self._log = TopicLog[Replays](config, topic, OrderedDict, add_value, stop)

    def replays(self) -> Sequence[ReplayEvent]:
        """Return the newest events, oldest first.

        Raises HistoryUnavailableError if the topic is not read to its end in time.
        """
        return list(self._log.content().values())


def add_value(replays: Replays, value: bytes) -> None:
    """Add the event of a message; other messages are ignored."""
    try:
        event = decode_replay(value)
    except ValueError:
        return
    replays.setdefault(event.id, event)
    if len(replays) > MAX_REPLAYS:
        replays.popitem(last=False)
