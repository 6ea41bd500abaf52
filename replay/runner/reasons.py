"""The reason of a run's error: of an exception, or of a process that was killed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from replay.results import ErrorReason, RunError

_CGROUPS: Final = Path("/sys/fs/cgroup")
_DISK: Final = {errno.ENOSPC, errno.EDQUOT}
_DISK_TEXTS: Final = ("no space left on device", "disk quota exceeded", "database or disk is full")
_MEMORY_TEXTS: Final = ("out of memory", "cannot allocate memory", "failed to allocate")


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its causes, and the exceptions during which they were raised."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the host or of a GPU, which torch reports as a RuntimeError."""
    return any(
        isinstance(part, MemoryError)
        or (isinstance(part, OSError) and part.errno == errno.ENOMEM)
        or (isinstance(part, RuntimeError) and _has(part, _MEMORY_TEXTS))
        for part in chain(error)
    )


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed because a disk or a quota is full. Libraries often wrap that."""
    return any(
        (isinstance(part, OSError) and part.errno in _DISK) or _has(part, _DISK_TEXTS)
        for part in chain(error)
    )


def reason_of(error: BaseException, otherwise: ErrorReason = "failed") -> ErrorReason:
    """Return the reason of an exception; `otherwise` if nothing more precise is known."""
    if isinstance(error, RunError):
        return error.reason
    if is_disk_full(error):
        return "disk_full"
    return "out_of_memory" if is_out_of_memory(error) else otherwise


def _has(error: BaseException, texts: tuple[str, ...]) -> bool:
    return any(text in str(error).lower() for text in texts)


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
