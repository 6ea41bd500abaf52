"""Hold a claimed run: its lease, its GPUs, and whether to go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import structlog

from monitor.config.schema import Config
from monitor.roles.replay_samples import SampleReader
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics
from replay.results import RunError, TaskScores
from replay.sets.item import Scoring
from replay.sets.task.deferred import Scorer
from replay.store import Store, StoreFull, StoreUnavailable, queue, results
from replay.store.costs import gpu
from replay.store.costs.gpu import Slot
from replay.store.queue import Claim

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from monitor.roles.replay_judge import ReplayJudge

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 60.0
BEAT_SECONDS: Final = 10.0
"""Time between two renewals of a lease."""
RETRY_SECONDS: Final = 2.0
"""Pause before an operation of a store that is not available is repeated."""
SLOT_SECONDS: Final = 5.0
"""Pause before a GPU that was in use is asked for again."""

Ended = Literal["", "cancelled", "stopping", "budget"]
T = TypeVar("T")


class StoppingError(Exception):
    """The process stops: the run is given back, to be continued by another worker."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What the runs of a process share.

    directory: of running replays and caches. host: name of the machine, whose GPUs are shared.
    stop: waits the given number of seconds and returns whether the process stops.
    reader: makes a reader of samples; None without Kafka: drifted items are then not scored.
    scorers: of scorings that lm-eval does not compute. judge: of items that a judge scores.
    clock: epoch seconds.
    """

    store: Store
    config: Config
    metrics: Metrics
    counts: ReplayMetrics
    directory: Path
    host: str
    stop: Callable[[float], bool]
    reader: Callable[[Callable[[], None]], SampleReader] | None = None
    scorers: dict[Scoring, Scorer] = field(default_factory=dict)
    judge: ReplayJudge | None = None
    clock: Callable[[], float] = time.time

    @property
    def gpu_seconds_per_day(self) -> float | None:
        """The daily cap of GPU time; None without a limit."""
        hours = self.config.replay.budget.gpu_hours_per_day
        return None if hours is None else 3600.0 * hours


class Hold:
    """A claimed run in the hands of this process.

    ended: why it must not go on, "" if it may. progress: items done and planned.
    """

    def __init__(self, place: Workplace, claim: Claim, gpus: int) -> None:
        self.place = place
        self.run = claim.run
        self.lease = claim.lease
        self.ended: Ended = ""
        self.progress: tuple[int, int] | None = None
        self._gpus = gpus
        self._slots: list[Slot] = []
        self._beat_at = place.clock()
        self._beat_due = time.monotonic() + BEAT_SECONDS

    def go_on(self) -> bool:
        """Renew the lease when it is due; return whether the run may go on.

        Raises LeaseLost if another worker has the run.
        """
        if self.place.stop(0):
            self.ended = "stopping"
        if not self.ended and time.monotonic() >= self._beat_due:
            self._beat_due = time.monotonic() + BEAT_SECONDS
            try:
                with self.place.store.write() as connection:
                    self._renew(connection)
            except StoreUnavailable as error:
                self._count_error(error)
                self._beat_due = time.monotonic() + RETRY_SECONDS
        return not self.ended

    def was_cancelled(self) -> bool:
        """Return whether the run was cancelled, such as because the drift has resolved."""
        return self.ended == "cancelled"

    def check(self) -> None:
        """Raise if the run must not go on: StoppingError, RunError("budget") or LeaseLost.

        A cancelled run returns here, see `was_cancelled`.
        """
        if self.go_on():
            return
        if self.ended == "stopping":
            raise StoppingError
        if self.ended == "budget":
            raise RunError("budget", "the GPU-hours of the day are used up")

    def beat(self) -> None:
        """Renew the lease during a long operation, which ends if the process stops."""
        if not self.go_on() and self.ended == "stopping":
            raise StoppingError

    def write(self, operation: Callable[[Connection], T], *, full: bool = False) -> T:
        """Run an operation in a transaction; repeat it while the store is not available.

        full: whether to repeat it while the disk is full, too; otherwise RunError("disk_full").
        Raises LeaseLost, and StoppingError when the process stops.
        """
        while True:
            try:
                with self.place.store.write() as connection:
                    return operation(connection)
            except StoreFull as error:
                self._count_error(error)
                if not full:
                    raise RunError("disk_full", str(error)) from None
            except StoreUnavailable as error:
                self._count_error(error)
            if self.place.stop(RETRY_SECONDS):
                raise StoppingError

    def keep(self, scores: Sequence[TaskScores], progress: tuple[int, int]) -> None:
        """Store a chunk and the progress, and renew the lease. Raises as `write`."""

        def store(connection: Connection) -> None:
            results.append(connection, self.lease, scores)
            self._renew(connection)

        self.progress = progress
        self.write(store)
        self._beat_due = time.monotonic() + BEAT_SECONDS

    def acquire_gpus(self) -> None:
        """Take the GPUs of the run; wait while others use them. Raises as `check`."""
        slots = self.place.config.replay.budget.gpus_per_host
        if self._gpus > slots:
            detail = f"the run needs {self._gpus} GPUs, and replay.budget.gpus_per_host is {slots}"
            raise RunError("gpu_absent", detail)
        while len(self._slots) < self._gpus:
            self._slots = self.write(self._acquire)
            if self._slots:
                break
            self.place.stop(SLOT_SECONDS)
            self.check()
            if self.ended:
                return
        self._beat_at = self.place.clock()

    @property
    def device(self) -> int | None:
        """Number of the first GPU of the run on its host; None without one."""
        return self._slots[0].slot if self._slots else None

    def release_gpus(self, connection: Connection) -> None:
        """Count the GPU time since the last renewal, and give the GPUs back."""
        self._use(connection, self.place.clock())
        for slot in self._slots:
            gpu.free(connection, slot)
        self._slots = []

    def _acquire(self, connection: Connection) -> list[Slot]:
        """Take all GPUs of the run, or none: two runs must not wait for each other."""
        now, taken = self.place.clock(), list[Slot]()
        slots = self.place.config.replay.budget.gpus_per_host
        while len(taken) < self._gpus:
            until = now + LEASE_SECONDS
            slot = gpu.acquire(connection, self.place.host, slots, self.lease, until, now)
            if slot is None:
                for each in taken:
                    gpu.free(connection, each)
                return []
            taken.append(slot)
        return taken

    def _renew(self, connection: Connection) -> None:
        now = self.place.clock()
        if not queue.heartbeat(connection, self.lease, now, LEASE_SECONDS, self.progress):
            self.ended = "cancelled"
        for slot in self._slots:
            gpu.renew(connection, slot, now + LEASE_SECONDS)
        cap = self.place.gpu_seconds_per_day
        used = self._use(connection, now)
        if cap is not None and self._slots and used >= cap:
            self.ended = self.ended or "budget"

    def _use(self, connection: Connection, now: float) -> float:
        """Count the GPU time since the last call; return that of the day."""
        seconds = max(0.0, now - self._beat_at) * len(self._slots)
        self._beat_at = now
        if not self._slots:
            return 0.0
        return gpu.use(connection, self.run.id, seconds, now)

    def _count_error(self, error: Exception) -> None:
        with self.place.metrics.lock:
            self.place.counts.store_errors += 1
        log.warning("result store not available, retrying", error=str(error))
