"""Sends what an outbox gives out, one message at a time, until it is delivered or hopeless.

Each attempt has a thread of its own; `turn` looks how it stands and never waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import structlog

from monitor.metrics import Notices
from monitor.notify import kinds
from monitor.notify.notice import Batch, Request
from monitor.notify.outbox import SUPPRESSED, Outbox
from monitor.notify.post import PASSING, REASONS, Answer, post

log = structlog.get_logger(__name__)

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Seconds between two attempts: each time twice as long, within these."""
GIVE_UP_SECONDS: Final = 86_400.0
"""How long a message is tried that the target answers with errors; one without any answer is tried
for as long as it takes."""
GAVE_UP: Final = "gave_up"


@dataclass(slots=True)
class Letter:
    """A message until it is delivered. requests: those that are left of it.

    answered: when the target first answered with an error.
    dropped: whether some of its events have gone to another member, which tells of them.
    """

    batch: Batch
    requests: deque[Request]
    attempts: int = 0
    answered: float | None = None
    dropped: bool = False


class Flight(threading.Thread):
    """Sends the requests of a letter, up to the first that fails; `answers` says what came back."""

    def __init__(self, letter: Letter) -> None:
        super().__init__(name="notification", daemon=True)
        self.letter = letter
        self.requests = tuple(letter.requests)
        self.answers: list[Answer] = []

    def run(self) -> None:
        """Send."""
        for request in self.requests:
            self.answers.append(post(request))
            if self.answers[-1].reason:
                return


class Sender:
    """Tells one target what its outbox gives out.

    source: names this Plumbline and target among others. template: of links to the dashboard.
    """

    def __init__(
        self, name: str, outbox: Outbox, notices: Notices, source: str, template: str | None
    ) -> None:
        self.name = name
        self.outbox = outbox
        self.notices = notices
        self.source = source
        self.template = template
        self.letter: Letter | None = None
        self.flight: Flight | None = None
        self.due = 0.0
        self._make_labels()

    def _make_labels(self) -> None:
        self.notices.sent[self.name] += 0
        self.notices.waiting[self.name] = 0
        for reason in REASONS:
            counts = self.notices.retried if reason in PASSING else self.notices.failed
            counts[self.name, reason] += 0
        self.notices.failed[self.name, GAVE_UP] += 0
        for why in SUPPRESSED:
            self.notices.suppressed[self.name, why] += 0

    def turn(self) -> None:
        """See what came back, and send what is due."""
        if self.flight is not None:
            if self.flight.is_alive():
                return
            self._land(self.flight)
        if time.monotonic() < self.due:
            return
        self.letter = self.letter or self._next()
        if self.letter is not None:
            self.flight = Flight(self.letter)
            self.flight.start()

    def settle(self, until: float) -> None:
        """Wait for what is being sent, until then (by the monotonic clock)."""
        if self.flight is not None:
            self.flight.join(max(0.0, until - time.monotonic()))
            if not self.flight.is_alive():
                self._land(self.flight)

    def drop(self, partitions: Collection[int]) -> None:
        """Try no more to send a message with events of these partitions; the rest is made anew."""
        if self.letter and any(n.partition in partitions for n in self.letter.batch.notices):
            self.letter.dropped = True
            if self.flight is None:
                self.letter = None

    def _next(self) -> Letter | None:
        batch = self.outbox.next()
        if batch is None:
            return None
        requests = kinds.requests(self.outbox.target, batch, self.template, self.source)
        return Letter(batch, deque(requests))

    def _land(self, flight: Flight) -> None:
        """Draw the consequences of what came back."""
        self.flight = None
        letter = flight.letter
        for answer in flight.answers:
            if answer.passing and not self._hopeless(letter, answer):
                self._put_off(letter, answer)
                break
            letter.requests.popleft()
            letter.attempts, letter.answered = 0, None
            if answer.reason is None:
                self.notices.sent[self.name] += 1
            else:
                self._give_up(letter, answer)
        if not letter.requests:
            self.outbox.done(letter.batch)
        if letter.dropped or not letter.requests:
            self.letter = None

    def _hopeless(self, letter: Letter, answer: Answer) -> bool:
        """Whether the target has answered with errors for too long."""
        if answer.status is None:
            return False
        if letter.answered is None:
            letter.answered = time.monotonic()
        return time.monotonic() - letter.answered >= GIVE_UP_SECONDS

    def _put_off(self, letter: Letter, answer: Answer) -> None:
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(letter.attempts, 10))
        wait = max(backoff, answer.retry_after)
        letter.attempts += 1
        self.due = time.monotonic() + wait
        self.notices.retried[self.name, str(answer.reason)] += 1
        log.warning(
            "notification not delivered, trying again",
            target=self.name,
            reason=answer.reason,
            status=answer.status,
            detail=answer.detail,
            attempts=letter.attempts,
            seconds=round(wait, 1),
        )

    def _give_up(self, letter: Letter, answer: Answer) -> None:
        reason = GAVE_UP if answer.passing else str(answer.reason)
        self.notices.failed[self.name, reason] += 1
        log.error(
            "notification given up",
            target=self.name,
            reason=reason,
            status=answer.status,
            detail=answer.detail,
            events=len(letter.batch.notices),
            summaries=[notice.sentence() for notice in letter.batch.notices[:20]],
        )
