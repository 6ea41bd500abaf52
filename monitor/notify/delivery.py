"""Send the events of a queue to one target, one message at a time, with retries.

Each attempt runs in its own thread. `run_once` checks its result and never blocks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from monitor.notify.channels import registry
from monitor.notify.channels.registry import AnyBatch
from monitor.notify.counts import DeliveryCounts
from monitor.notify.http_client import REASONS, RETRYABLE, Response, best, post_to_all
from monitor.notify.message import Batch, Request, Sender
from monitor.notify.open_alerts import OpenAlerts
from monitor.notify.queue import SUPPRESSED, EventQueue

log = structlog.get_logger(__name__)

MIN_BACKOFF_SECONDS: Final = 1.0
MAX_BACKOFF_SECONDS: Final = 60.0
"""Time between two attempts: it doubles from the minimum to the maximum."""
GIVE_UP_SECONDS: Final = 86_400.0
"""Time after which a message is abandoned if the target responds with errors. Without any response,
the message is retried without a limit."""
GAVE_UP: Final = "gave_up"
"""Reason of a message that was abandoned after GIVE_UP_SECONDS."""
OPEN_LIMIT: Final = "open_limit"
"""Reason of an open alarm that is not posted again."""

_MAX_LOGGED_SENTENCES = 20


@dataclass(slots=True)
class Delivery:
    """A message until it is delivered or abandoned.

    requests: requests that are not delivered yet.
    first_error: monotonic time of the first error response to the first of them.
    dropped: whether partitions of its events were revoked; their new owner sends these events.
    """

    batch: AnyBatch
    requests: deque[Request]
    attempts: int = 0
    first_error: float | None = None
    dropped: bool = False


class SendAttempt(threading.Thread):
    """Sends the requests of a delivery up to the first that fails, and keeps the responses.

    failures: responses of members of a cluster that failed while another member succeeded.
    """

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(name="notification", daemon=True)
        self.delivery = delivery
        self.requests = tuple(delivery.requests)
        self.responses: list[Response] = []
        self.failures: list[Response] = []

    def run(self) -> None:
        """Send the requests."""
        for request in self.requests:
            members = post_to_all(request)
            response = best(members)
            self.responses.append(response)
            if response.reason:
                return
            self.failures += [member for member in members if member.reason]


class DeliveryWorker:
    """Sends the events of a queue to one target.

    sender: its name in messages, and the addresses that these link to.
    open_alerts: alarms to post again; None for a target that keeps what it has received.
    clock: seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        queue: EventQueue,
        counts: DeliveryCounts,
        sender: Sender,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.queue = queue
        self.counts = counts
        self.sender = sender
        self.clock = clock
        self.open_alerts = (
            OpenAlerts(queue.target.severity, queue.clock)
            if queue.target.kind == "alertmanager"
            else None
        )
        self.delivery: Delivery | None = None
        self.attempt: SendAttempt | None = None
        self.due = 0.0
        self._create_series()

    def _create_series(self) -> None:
        """Set all counts to 0: Prometheus sees no increase in a series that begins at 1."""
        self.counts.sent[self.name] += 0
        self.counts.waiting[self.name] = 0
        for reason in REASONS:
            counts = self.counts.retried if reason in RETRYABLE else self.counts.failed
            counts[self.name, reason] += 0
        self.counts.failed[self.name, GAVE_UP] += 0
        for suppressed in SUPPRESSED:
            self.counts.suppressed[self.name, suppressed] += 0

    def run_once(self) -> None:
        """Handle the result of the current attempt, and start the next one that is due."""
        if self.open_alerts is not None:
            self.counts.suppressed[self.name, OPEN_LIMIT] = self.open_alerts.dropped
        if self.attempt is not None:
            if self.attempt.is_alive():
                return
            self._handle_result(self.attempt)
        if time.monotonic() < self.due:
            return
        self.delivery = self.delivery or self._next_delivery()
        if self.delivery is not None:
            self._renew_requests(self.delivery)
            self.attempt = SendAttempt(self.delivery)
            self.attempt.start()

    def finish_attempt(self, deadline: float) -> None:
        """Wait for the current attempt until `deadline`, a monotonic time."""
        if self.attempt is not None:
            self.attempt.join(max(0.0, deadline - time.monotonic()))
            if not self.attempt.is_alive():
                self._handle_result(self.attempt)

    def drop_partitions(self, partitions: Collection[int]) -> None:
        """Do not retry a message with events of these partitions; its other events are sent again.

        Call it after `EventQueue.drop_partitions`.
        """
        if self.open_alerts is not None:
            self.open_alerts.drop_partitions(partitions)
        if self.delivery and any(n.partition in partitions for n in self.delivery.batch.notices):
            self.delivery.dropped = True
            if self.attempt is None:
                self.delivery = None

    def _next_delivery(self) -> Delivery | None:
        batch: AnyBatch | None = self.queue.next_batch()
        if batch is None and self.open_alerts is not None:
            batch = self.open_alerts.next_refresh()
        return Delivery(batch, deque(self._requests(batch))) if batch else None

    def _requests(self, batch: AnyBatch) -> list[Request]:
        return registry.requests(self.queue.target, batch, self.sender, self.clock())

    def _renew_requests(self, delivery: Delivery) -> None:
        """Build the requests that are left again: alerts contain the time of the attempt."""
        requests = self._requests(delivery.batch)
        delivery.requests = deque(requests[len(requests) - len(delivery.requests) :])

    def _handle_result(self, attempt: SendAttempt) -> None:
        self.attempt = None
        delivery = attempt.delivery
        self._report_members(attempt.failures)
        if delivery.batch.refresh:
            self.delivery = None
            self._report_members([each for each in attempt.responses if each.reason])
            return
        for response in attempt.responses:
            if response.retryable and not self._expired(delivery, response):
                self._schedule_retry(delivery, response)
                break
            delivery.requests.popleft()
            delivery.attempts, delivery.first_error = 0, None
            if response.reason is None:
                self.counts.sent[self.name] += 1
            else:
                self._abandon(delivery, response)
        if not delivery.requests:
            self.queue.complete(delivery.batch)
            if self.open_alerts is not None and isinstance(delivery.batch, Batch):
                owned = self.queue.next_offsets
                self.open_alerts.update(n for n in delivery.batch.notices if n.partition in owned)
        if delivery.dropped or not delivery.requests:
            self.delivery = None

    def _report_members(self, failures: Iterable[Response]) -> None:
        """Count and log failures that the next refresh makes good."""
        for response in failures:
            counts = self.counts.retried if response.retryable else self.counts.failed
            counts[self.name, str(response.reason)] += 1
            log.warning(
                "alerts not accepted by a member, posting them again with the next refresh",
                target=self.name,
                reason=response.reason,
                status=response.status,
                detail=response.detail,
            )

    def _expired(self, delivery: Delivery, response: Response) -> bool:
        """Return whether the target has responded with errors for GIVE_UP_SECONDS."""
        if response.status is None:
            return False
        if delivery.first_error is None:
            delivery.first_error = time.monotonic()
        return time.monotonic() - delivery.first_error >= GIVE_UP_SECONDS

    def _schedule_retry(self, delivery: Delivery, response: Response) -> None:
        backoff = min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * 2 ** min(delivery.attempts, 10))
        wait = max(backoff, response.retry_after)
        delivery.attempts += 1
        self.due = time.monotonic() + wait
        self.counts.retried[self.name, str(response.reason)] += 1
        log.warning(
            "notification not delivered, retrying",
            target=self.name,
            reason=response.reason,
            status=response.status,
            detail=response.detail,
            attempts=delivery.attempts,
            seconds=round(wait, 1),
        )

    def _abandon(self, delivery: Delivery, response: Response) -> None:
        reason = GAVE_UP if response.retryable else str(response.reason)
        self.counts.failed[self.name, reason] += 1
        notices = delivery.batch.notices
        log.error(
            "notification abandoned",
            target=self.name,
            reason=reason,
            status=response.status,
            detail=response.detail,
            events=len(notices),
            summaries=[notice.sentence() for notice in notices[:_MAX_LOGGED_SENTENCES]],
        )
