"""Count single events, as detect does with the checkpoint that contains them."""

from __future__ import annotations

from monitor.events.types import DriftEvent
from monitor.telemetry.counters.metrics import Metrics, event_labels


def count_event(metrics: Metrics, event: DriftEvent) -> None:
    """Count an event, or add 0 for a resolved alarm."""
    metrics.count_events({event_labels(event): int(event.change != "resolved")})
