"""Numbers of what ingest found in the messages of the logs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class DecodingMetrics:
    """Counters of committed ingest transactions.

    formats: records by format. skipped: things in messages that are no inference, by kind.
    duplicates: records with a request id that was seen before.
    calls_waiting: calls of which parts have arrived and others not.
    registry_failures: attempts to decode messages while the schema registry did not answer.
    """

    formats: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    calls_waiting: int = 0
    registry_failures: int = 0
