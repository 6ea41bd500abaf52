"""Wait for a schema registry that does not answer: nothing is read, committed or lost."""

from __future__ import annotations

import time

import structlog

from monitor.ingest.decode.framing.schemas import RegistryUnavailable
from monitor.roles.names import INGEST as ROLE
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

FIRST_SECONDS = 1.0
"""Time until the first retry; it doubles with each failure."""
MAX_SECONDS = 15.0


class RegistryWait:
    """The time until which ingest waits. The role is not ready meanwhile."""

    def __init__(self, metrics: Metrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health
        self._seconds = 0.0
        self._until = 0.0

    @property
    def active(self) -> bool:
        """Whether it is too early for a retry."""
        return self._seconds > 0 and time.monotonic() < self._until

    def failed(self, error: RegistryUnavailable) -> None:
        """Start to wait, twice as long as before."""
        self._seconds = min(max(2 * self._seconds, FIRST_SECONDS), MAX_SECONDS)
        self._until = time.monotonic() + self._seconds
        self._metrics.decoding.registry_failures += 1
        self._health.not_ready.add(ROLE)
        log.warning(
            "schema registry unavailable, retrying",
            role=ROLE,
            reason=str(error),
            seconds=self._seconds,
        )

    def succeeded(self) -> None:
        """End the wait: messages were decoded."""
        if self._seconds > 0:
            self._seconds = 0.0
            self._health.mark_ready(ROLE)
            log.info("schema registry available", role=ROLE)
