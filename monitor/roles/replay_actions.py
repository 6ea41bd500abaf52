"""Signed webhooks that follow from a verdict: promote, roll back, retrain.

An action is a row of the outbox, beside the event of the run, and is sent until it is accepted or
given up: it may arrive twice, with the same id.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from monitor.config.sections.replay.actions import ActionsConfig
from monitor.events.replay import ReplayEvent, replay_fields
from monitor.events.wording.replay import replay_sentence
from monitor.notify.delivery import GIVE_UP_SECONDS, MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS
from monitor.notify.http_client import Response, post
from monitor.notify.message import Request
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics
from replay.store import Store, StoreError, outbox
from replay.store.outbox import Pending

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger(__name__)

PREFIX: Final = "action "
"""Begins the id of an action in the outbox; it is followed by its name and the id of the event."""
VERSION: Final = 1
POLL_SECONDS: Final = 1.0
TRIGGERS: Final = frozenset({"drift", "schedule"})
"""What starts the runs that actions follow from: a run by hand is an examination."""
_MOST: Final = 5_000
"""Rows of the outbox that are read at once."""


def add_actions(
    connection: Connection, config: ActionsConfig, event: ReplayEvent, at: float
) -> None:
    """Write the actions that follow from an event to the outbox, for the runs of TRIGGERS."""
    if event.trigger not in TRIGGERS:
        return
    for name, action in config.configured():
        if event.verdict in action.verdicts:
            payload = msgspec.json.encode(_body(name, event))
            outbox.add(connection, f"{PREFIX}{name} {event.id}", name, payload, at)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a request: hexadecimal HMAC-SHA256 of "TIMESTAMP.BODY"."""
    message = str(timestamp).encode() + b"." + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def action_request(url: str, secret: str, pending: Pending, now: float) -> Request:
    """Return the request of an action. The time is part of what is signed, against replays."""
    timestamp = int(now)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "X-Plumbline-Timestamp": str(timestamp),
        "X-Plumbline-Signature": f"v1={signature(secret, timestamp, pending.payload)}",
        "Idempotency-Key": pending.event_id.replace(" ", "-"),
    }
    return Request(url, pending.payload, headers, (secret,))


def is_action(pending: Pending) -> bool:
    """Return whether a row of the outbox is an action, and not an event."""
    return pending.event_id.startswith(PREFIX)


def _body(name: str, event: ReplayEvent) -> dict[str, Any]:
    return {
        "version": VERSION,
        "action": name,
        "model": event.model,
        "verdict": event.verdict,
        "summary": replay_sentence(event),
        "event": replay_fields(event),
    }


class ActionSender(threading.Thread):
    """Sends the actions of the outbox, each until it is accepted, rejected or too old.

    An action that is older than GIVE_UP_SECONDS is not sent: the model may be another one by now.
    stop: waits the given number of seconds and returns whether the process stops.
    active: whether this process sends; one of all processes of the role does.
    clock: epoch seconds.
    """

    def __init__(
        self,
        store: Store,
        config: ActionsConfig,
        metrics: Metrics,
        counts: ReplayMetrics,
        stop: Callable[[float], bool],
        active: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name="replay actions", daemon=True)
        self._store = store
        self._actions = dict(config.configured())
        self._secret = config.secret.get_secret_value() if config.secret else ""
        self._metrics = metrics
        self._counts = counts
        self._stop_after = stop
        self._active = active
        self._clock = clock
        self._attempts: dict[int, int] = {}
        self._due: dict[int, float] = {}
        with metrics.lock:
            for name in self._actions:
                for outcome in ("sent", "retried", "failed"):
                    counts.actions[name, outcome] += 0

    def run(self) -> None:
        """Send what is due, until the process stops."""
        while not self._stop_after(POLL_SECONDS):
            try:
                if self._active():
                    self.send_due()
            except StoreError as error:
                log.warning("actions not read, retrying", error=str(error))
            except Exception:
                log.exception("actions not sent, retrying")

    def send_due(self) -> None:
        """Send each action that is due once."""
        with self._store.read() as connection:
            rows = [row for row in outbox.pending(connection, _MOST) if is_action(row)]
        now = self._clock()
        due = [row for row in rows if self._due.get(row.id, 0.0) <= now]
        finished = [row.id for row in due if self._send(row)]
        if finished:
            with self._store.write() as connection:
                outbox.mark_sent(connection, finished, self._clock())
            for number in finished:
                for kept in (self._attempts, self._due):
                    kept.pop(number, None)

    def _send(self, row: Pending) -> bool:
        """Send an action; return whether it is done with."""
        action = self._actions.get(row.key)
        if action is None:
            log.warning("action is not configured any more, dropped", action=row.key)
            return True
        if self._clock() - row.created_at >= GIVE_UP_SECONDS:
            self._count(row.key, "failed")
            log.warning("action given up, it is too old", action=row.key, id=row.event_id)
            return True
        response = post(action_request(action.url, self._secret, row, self._clock()))
        if response.reason is None:
            self._count(row.key, "sent")
            log.info("action sent", action=row.key, status=response.status)
            return True
        if response.retryable:
            self._retry(row, response)
            return False
        self._count(row.key, "failed")
        self._log("action given up", row, response)
        return True

    def _retry(self, row: Pending, response: Response) -> None:
        attempts = self._attempts.get(row.id, 0)
        backoff = min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * 2 ** min(attempts, 10))
        self._attempts[row.id] = attempts + 1
        self._due[row.id] = self._clock() + max(backoff, response.retry_after)
        self._count(row.key, "retried")
        self._log("action not accepted, retrying", row, response)

    def _count(self, action: str, outcome: str) -> None:
        with self._metrics.lock:
            self._counts.actions[action, outcome] += 1

    def _log(self, text: str, row: Pending, response: Response) -> None:
        log.warning(
            text,
            action=row.key,
            reason=response.reason,
            status=response.status,
            detail=response.detail,
        )
