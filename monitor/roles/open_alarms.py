"""The models with an open drift alarm, from the events topic, for additional samples."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

import structlog
from confluent_kafka import KafkaException

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.history import MAX_ALARMS
from monitor.events.types import pages
from monitor.kafka.readers.follower import TopicFollower
from monitor.kafka.topics import Topics

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
RETRY_SECONDS = 30.0
"""Pause after an error, such as a missing right."""


class OpenAlarms:
    """Follows the events topic in a thread, and never delays its caller.

    models: with an open alarm that pages. Empty until the topic has been read once, and while it
    cannot be read.
    stop: waits the given number of seconds and returns whether the daemon stops.
    """

    def __init__(self, config: KafkaConfig, stop: Callable[[float], bool]) -> None:
        self.models: frozenset[str] = frozenset()
        self._config = config
        self._topic = Topics(config.prefix).events
        self._stop = stop
        self._problem: str | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, if it is not running."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="open alarms", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Follow the topic; begin again after an error. The same error is logged once."""
        while not self._stop(0):
            with closing(TopicFollower(self._config, self._topic)) as follower:
                try:
                    self._follow(follower)
                except KafkaException as error:
                    self.models = frozenset()
                    problem = follower.cause(error)
                    if problem != self._problem:
                        log.warning(
                            "events not read, sampling without open alarms",
                            topic=self._topic,
                            error=problem,
                        )
                    self._problem = problem
            self._stop(RETRY_SECONDS)

    def _follow(self, follower: TopicFollower) -> None:
        alarms, changed = dict[str, str](), True
        while not self._stop(0):
            value = follower.poll(POLL_SECONDS)
            if value is not None:
                add_event(alarms, value)
                changed = True
            if changed and follower.caught_up:
                self.models = frozenset(alarms.values())
                self._problem, changed = None, False


def add_event(alarms: dict[str, str], value: bytes) -> None:
    """Update the models of open alarms that page, by alarm, by a message of the events topic.

    Beyond MAX_ALARMS, the alarm whose newest event is the oldest is dropped.
    """
    try:
        event = decode_event(value)
    except (UnknownEventType, ValueError, RecursionError):
        return
    alarms.pop(event.alarm, None)
    if event.change != "resolved" and pages(event.severity):
        alarms[event.alarm] = event.model
        if len(alarms) > MAX_ALARMS:
            del alarms[next(iter(alarms))]
