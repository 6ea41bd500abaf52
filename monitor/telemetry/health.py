"""State of the roles' loops, as /healthz and /readyz report it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STALLED_AFTER = 60.0
"""Seconds without a heartbeat after which a loop counts as stalled. One iteration waits for Kafka
at most 30 seconds."""
UNREACHABLE_AFTER = 10.0
"""Seconds without a response of the broker after which no role is ready. A restart of a broker in a
cluster, which another one replaces, is shorter."""


@dataclass(slots=True)
class Health:
    """Heartbeats of the roles' loops, and the roles that are not ready.

    not_ready: roles that have not joined their group or restored their state. broker_seen: time of
    the last response of a broker; None before the first.
    """

    clock: Callable[[], float] = time.monotonic
    beats: dict[str, float] = field(default_factory=dict)
    not_ready: set[str] = field(default_factory=set)
    broker_seen: float | None = None

    def register(self, role: str) -> None:
        """Add a role that starts; it is not ready yet."""
        self.beats[role] = self.clock()
        self.not_ready.add(role)

    def beat(self, role: str) -> None:
        """Record a heartbeat of the role's loop."""
        self.beats[role] = self.clock()

    def mark_ready(self, role: str) -> None:
        """Record that the role has joined its group and restored its state."""
        self.not_ready.discard(role)

    def broker_responded(self) -> None:
        """Record a response of a broker."""
        self.broker_seen = self.clock()

    def broker_away(self) -> bool:
        """Return whether the brokers, which have responded before, no longer do."""
        return self.broker_seen is not None and self.clock() - self.broker_seen > UNREACHABLE_AFTER

    def unready(self) -> list[str]:
        """Return the roles that are not ready: all of them while no broker responds."""
        return sorted(dict(self.beats) if self.broker_away() else set(self.not_ready))

    def ages(self) -> dict[str, float]:
        """Return the seconds since the last heartbeat by role."""
        now = self.clock()
        # Copied, because another role may start during the iteration.
        return {role: now - beat for role, beat in dict(self.beats).items()}

    def stalled(self) -> list[str]:
        """Return the roles without a heartbeat for more than STALLED_AFTER seconds."""
        return [role for role, age in self.ages().items() if age > STALLED_AFTER]
