"""Keep what a topic contains, in a thread that reads it from its beginning and follows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Generic, TypeVar

import structlog
from confluent_kafka import KafkaException

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.readers.follower import TopicFollower
from monitor.telemetry.http.api import HistoryUnavailableError

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
CATCH_UP_SECONDS = 5.0
"""Maximum time that a request waits for the end of the topic."""
RETRY_SECONDS = 10.0
WATCH_SECONDS = 10.0
"""Minimum time between two calls of `watch`."""

T = TypeVar("T")


class TopicLog(Generic[T]):
    """The content of a topic: of any type, as long as values can be added to it.

    A process that never calls `start` or `content` needs neither the client nor the permission to
    read the topic.

    new: makes an empty content; after an error the topic is read again, into a new one.
    add: adds the value of a message. stop: waits the given number of seconds and returns whether
    the daemon stops. watch: is called with the content in the thread of the reader, at most every
    ten seconds, once the end of the topic was reached.

    written: when the message that is added was written to the topic, in epoch seconds.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        new: Callable[[], T],
        add: Callable[[T, bytes], object],
        stop: Callable[[float], bool],
        *,
        watch: Callable[[T], None] | None = None,
    ) -> None:
        self.config = config
        self.topic = topic
        self.problem = "still reading the topic"
        self.written = 0.0
        self._new = new
        self._add = add
        self._stop = stop
        self._watch = watch
        self._watch_due = 0.0
        self._content = new()
        self._caught_up = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to read, unless that was done before."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self.topic, daemon=True)
                self._thread.start()

    def content(self) -> T:
        """Return the content; wait until the whole topic is read, but not for long.

        Raises HistoryUnavailableError if it is not read in time.
        """
        self.start()
        if not self._caught_up.wait(CATCH_UP_SECONDS):
            raise HistoryUnavailableError(f"{self.topic}: {self.problem}")
        return self._content

    def _run(self) -> None:
        """Follow the topic; begin again after an error."""
        while not self._stop(0):
            with closing(TopicFollower(self.config, self.topic)) as follower:
                try:
                    self._follow(follower)
                except KafkaException as error:
                    self.problem = follower.cause(error)
                    self._caught_up.clear()
                    log.warning("topic not read, retrying", topic=self.topic, error=self.problem)
            self._stop(RETRY_SECONDS)

    def _follow(self, follower: TopicFollower) -> None:
        content = self._content = self._new()
        while not self._stop(0):
            value = follower.poll(POLL_SECONDS)
            if value is not None:
                self.written = follower.written
                self._add(content, value)
            elif not follower.partitions:
                self.problem = "the topic does not exist yet"
            if follower.caught_up:
                self._caught_up.set()
                self._call_watch(content)

    def _call_watch(self, content: T) -> None:
        if self._watch is not None and time.monotonic() >= self._watch_due:
            self._watch_due = time.monotonic() + WATCH_SECONDS
            self._watch(content)
