"""Numbers about all workers of the store: their runs, by the events that are read; the queue."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from monitor.events.replay import ReplayEvent
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import QueueState, ReplayMetrics
from replay.store import outbox, queue
from replay.store.costs import gpu

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_COUNTED: Final = 10_000
"""Ids of counted events that are remembered."""


class RunCounter:
    """Counts each run once, although the outbox sends its event again after a crash."""

    def __init__(self, metrics: Metrics, counts: ReplayMetrics) -> None:
        self._metrics = metrics
        self._counts = counts
        self._counted: OrderedDict[str, None] = OrderedDict()

    def count(self, messages: Iterable[object]) -> None:
        """Count the replay events among the messages that were read."""
        for event in messages:
            if isinstance(event, ReplayEvent) and event.id not in self._counted:
                self._counted[event.id] = None
                if len(self._counted) > MOST_COUNTED:
                    self._counted.popitem(last=False)
                with self._metrics.lock:
                    self._counts.count_run(event)


def queue_state(connection: Connection, cap: float | None, now: float) -> QueueState:
    """Return the state of the queue. cap: GPU seconds of a day; None without a limit."""
    found = queue.state(connection)
    unsent, _ = outbox.waiting(connection)
    return QueueState(
        {"queued": found.queued, "running": found.running},
        0.0 if found.oldest_queued is None else max(0.0, now - found.oldest_queued),
        unsent,
        None if cap is None else max(0.0, cap - gpu.used(connection, now)),
    )
