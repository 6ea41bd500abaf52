"""Numbers of the join role: feedback by outcome, and the size of its state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from monitor.records import RejectReason

OUTCOMES: Final = ("sent", "replaced", "late", "unmatched", "not_indexed", "dropped")
"""What becomes of a value."""
SKIPPED: Final = (
    "no_value",
    "text",
    "bad_name",
    "too_many_names",
    "error",
    "expectation",
    "replaced",
    "session",
    "span",
    "other_log",
    "other_event",
)
"""Parts of feedback messages without a value, by kind."""


def _zeros(names: tuple[str, ...]) -> Counter[str]:
    # all from the start: Prometheus sees no increase in a series that begins at 1
    return Counter(dict.fromkeys(names, 0))


@dataclass(slots=True)
class JoinMetrics:
    """Counters and gauges of the join role. The caller holds the lock of `Metrics`.

    messages: of feedback by format. skipped: parts without a value, by kind.
    rejected: messages with an invalid part, by reason. values: by outcome.
    without_unit: values of an experiment whose event lacks its unit, by experiment.
    unreadable: messages of the joins topic that are none.
    keys: ids in the state. waiting: values whose record is not known yet. state_bytes: their size.
    keys_dropped: ids beyond the limit of a partition. restored: messages read again by restarts.
    lost: messages that a restart needed and that had expired.
    """

    messages: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=lambda: _zeros(SKIPPED))
    rejected: Counter[str] = field(
        default_factory=lambda: _zeros(tuple(str(reason) for reason in RejectReason))
    )
    values: Counter[str] = field(default_factory=lambda: _zeros(OUTCOMES))
    without_unit: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    keys: int = 0
    waiting: int = 0
    state_bytes: int = 0
    keys_dropped: int = 0
    lost: int = 0
