"""Counts of notifications, by target."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class DeliveryCounts:
    """Results of sending notifications, by target.

    sent: messages delivered. retried: failed attempts, by reason. failed: abandoned messages, by
    reason. suppressed: events that are not sent, by reason. waiting: events that wait to be sent.
    """

    sent: Counter[str] = field(default_factory=Counter)
    retried: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    suppressed: Counter[tuple[str, str]] = field(default_factory=Counter)
    waiting: dict[str, int] = field(default_factory=dict)
