"""The numbers of the review queues, for metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.telemetry.counters.web import ReviewState
from monitor.web.review import erasure, labels, queues

if TYPE_CHECKING:
    from sqlalchemy import Connection


def review_state(connection: Connection, at: float) -> ReviewState:
    """Return the state of all queues."""
    counts = queues.counts(connection)
    return ReviewState(
        items={
            (name, state): number
            for name, each in counts.items()
            for state, number in each.items.items()
        },
        oldest={
            name: max(0.0, at - each.oldest_open) if each.oldest_open is not None else 0.0
            for name, each in counts.items()
        },
        unsent=labels.unsent(connection),
        texts=erasure.texts_stored(connection),
    )
