"""Whether the loops turn and the roles are ready: what /healthz and /readyz say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STALLED_AFTER = 60.0
"""Seconds without a turn after which a loop counts as stuck; a turn waits for Kafka at most 30."""


@dataclass(slots=True)
class Health:
    """Heartbeats of the roles' loops, and who is ready."""

    clock: Callable[[], float] = time.monotonic
    beats: dict[str, float] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)

    def expect(self, role: str) -> None:
        """A role starts; it is not ready yet."""
        self.beats[role] = self.clock()
        self.waiting.add(role)

    def beat(self, role: str) -> None:
        """The role's loop has turned."""
        self.beats[role] = self.clock()

    def ready(self, role: str) -> None:
        """The role has joined its group and restored its state."""
        self.waiting.discard(role)

    def ages(self) -> dict[str, float]:
        """Role -> seconds since its loop turned."""
        now = self.clock()
        # of a copy: another role may be about to start
        return {role: now - beat for role, beat in dict(self.beats).items()}

    def stalled(self) -> list[str]:
        """Roles whose loop has not turned for too long."""
        return [role for role, age in self.ages().items() if age > STALLED_AFTER]
