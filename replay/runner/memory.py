"""Count the processes that the system killed for memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")


class MemoryKills:
    """Whether the system killed a process of this control group since the object was made.

    events: `memory.events` of the group (control groups version 2); without it nothing is known,
    and a kill is reported as killed.
    """

    def __init__(self, events: Path | None = None) -> None:
        self._events = events or _own_events()
        self._before = self._count()

    def happened(self) -> bool:
        """Whether the count has grown."""
        return self._count() > self._before

    def _count(self) -> int:
        try:
            lines = self._events.read_text().splitlines()
        except OSError:
            return 0
        counts = dict(line.split(maxsplit=1) for line in lines if " " in line)
        return int(counts.get("oom_kill", "0"))


def _own_events(groups: Path = Path("/proc/self/cgroup")) -> Path:
    """Return the path of `memory.events` of this process's group."""
    try:
        line = groups.read_text().splitlines()[-1]
    except (OSError, IndexError):
        return _CGROUPS / "memory.events"
    return _CGROUPS / line.rpartition(":")[2].lstrip("/") / "memory.events"
