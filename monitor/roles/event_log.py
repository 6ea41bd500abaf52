"""The events topic, for the JSON API and for commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.history import EventHistory
from monitor.events.types import DriftEvent
from monitor.kafka.readers.values import topic_values
from monitor.kafka.topics import Topics
from monitor.roles.topic_log import TopicLog


def event_log(config: KafkaConfig, stop: Callable[[float], bool]) -> TopicLog[EventHistory]:
    """Return the reader of the events topic."""
    return TopicLog(config, Topics(config.prefix).events, EventHistory, add_message, stop)


def add_message(history: EventHistory, value: bytes) -> DriftEvent | None:
    """Add the event of a message and return it if it is new; count the message if it is none."""
    try:
        event = decode_event(value)
    except UnknownEventType:
        history.other_types += 1
        return None
    except (ValueError, RecursionError):
        history.unreadable += 1
        return None
    return event if history.add(event) else None


def event_values(config: KafkaConfig, seconds: float) -> Iterator[bytes | None]:
    """Yield the value of every message of the events topic, None at its end, then new values.

    seconds: maximum time until the end of the topic is reached.
    Raises UserError if the topic cannot be read, or not in time.
    """
    return topic_values(config, Topics(config.prefix).events, seconds)
