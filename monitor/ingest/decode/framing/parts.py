"""Join calls whose parts are in several messages.

Parts wait in memory, within bounds of number, size and time. A restart loses those that wait,
because their messages are committed; so does a rebalance that moves a partition.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from statistics import median_low
from typing import Any, Final, TypeVar

from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.message import CallPart, Skipped

MAX_CALLS: Final = 100_000
"""Calls that wait for parts."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Size of the parts that wait."""
MAX_PARTS: Final = 1_000
"""Parts of one call. A request and a response of 2 MB in pieces of 32 KB are 130."""
MAX_FINISHED: Final = 100_000
"""Calls that are remembered after they were joined, so that they make no second record."""
SETTLE_SECONDS: Final = 60.0
"""Time after which parts that make a record without the missing ones do so."""
FINISHED_CALL: Final = Skipped("part_of_finished_call")
_PART_BYTES: Final = 500
"""Size of a part beyond its texts, approximately."""
_CLOCK_PARTS: Final = 15
"""Newest parts whose median time is the current time, so that a single wrong time has no effect."""

Joined = Inference | Skipped
_Times = tuple[float, ...]
"""When a part arrived: by the clock, and by its own time. After a gap in the log the clock is late,
and a single time may be wrong, so the later or the more credible of both counts."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call:
    """The parts of a call that have arrived. Each new part makes a new object.

    parts: by role, number and hash of the texts: numbers may repeat, and parts may arrive twice.
    first: number of the call in the order of arrival. arrived: times of its first part.
    """

    parts: dict[tuple[str, int, int], CallPart]
    first: int
    arrived: _Times
    size: int


class PartJoiner:
    """Keeps the parts of calls until a call has all of them.

    seconds: how long a part waits for the others, measured by the times of the log entries.
    undoable: whether `roll_back` is used; without it nothing is kept for it.

    `roll_back` undoes everything since the last `commit`, so messages that are read again are
    joined as they were the first time. Results depend on the messages and their order only.
    """

    def __init__(self, seconds: float = 900.0, *, undoable: bool = False) -> None:
        self._seconds = seconds
        self._undoable = undoable
        self._undo: list[Callable[[], object]] = []
        self._calls: dict[bytes, _Call] = {}
        self._bytes = 0
        self._arrivals = 0
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._settling: deque[tuple[bytes, int, _Times]] = deque()
        self._finished: OrderedDict[bytes, None] = OrderedDict()
        self._times: deque[float] = deque(maxlen=_CLOCK_PARTS)
        self._committed_times: tuple[float, ...] = ()

    @property
    def pending(self) -> int:
        """Number of calls that wait for parts."""
        return len(self._calls)

    @property
    def pending_bytes(self) -> int:
        """Size of the parts that wait, approximately."""
        return self._bytes

    def add(self, part: CallPart) -> Iterator[Joined]:
        """Yield what the part completes, and the calls that have waited long enough.

        A part that is dropped without the others is skipped, as "lost_" and its role.
        """
        if part.time is not None:
            self._times.append(part.time)
        key = blake2b(part.call.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._finished:
            yield FINISHED_CALL
        else:
            yield from self._extend(key, part)
        yield from self._overdue()

    def rest(self) -> Iterator[Joined]:
        """Yield the calls that wait, as if no part will follow. It is for the end of a file."""
        while self._waiting:
            yield from self._give_up(self._shift(self._waiting)[0])
        self._settling.clear()

    def commit(self) -> None:
        """Make everything so far permanent."""
        self._undo.clear()
        self._committed_times = tuple(self._times)

    def roll_back(self) -> None:
        """Undo everything since the last commit: the messages are read again."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self._times.clear()
        self._times.extend(self._committed_times)

    def _extend(self, key: bytes, part: CallPart) -> Iterator[Joined]:
        """Add a part to its call, and yield the record if the call is complete."""
        call = self._calls.get(key)
        if call is None:
            self._arrivals += 1
            call = _Call({}, self._arrivals, self._arrival(part), 0)
            self._push(self._waiting, (key, call.first))
        place = part.role, part.number, hash(tuple(part.texts.items()))
        if place not in call.parts and len(call.parts) >= MAX_PARTS:
            yield _lost(part.role)
            return
        if part.alone and not any(each.alone for each in call.parts.values()):
            self._push(self._settling, (key, call.first, self._arrival(part)))
        size = call.size + part.size + _PART_BYTES
        call = _Call(call.parts | {place: part}, call.first, call.arrived, size)
        self._replace(key, call)
        if not part.more:
            done = _finish(call, final=False)
            if done is not None:
                self._remember(key)
                yield done

    def _overdue(self) -> Iterator[Joined]:
        """Yield the calls that have waited long enough, and drop calls beyond the bounds."""
        while self._settling:
            key, first, since = self._settling[0]
            if self._is_waiting(key, first) and not self._is_old(since, SETTLE_SECONDS):
                break
            self._shift(self._settling)
            if self._is_waiting(key, first):
                yield from self._give_up(key)
        while self._waiting:
            key, first = self._waiting[0]
            if self._is_waiting(key, first):
                full = len(self._calls) > MAX_CALLS or self._bytes > MAX_BYTES
                if not full and not self._is_old(self._calls[key].arrived, self._seconds):
                    break
                yield from self._give_up(key)
            self._shift(self._waiting)

    def _give_up(self, key: bytes) -> Iterator[Joined]:
        """Make a record of the parts of a call without the others, or lose them."""
        call = self._calls.get(key)
        if call is None:
            return
        done = _finish(call, final=True)
        if done is not None:
            self._remember(key)
            yield done
            return
        self._replace(key, None)
        yield from (_lost(role) for role, *_ in call.parts)

    def _remember(self, key: bytes) -> None:
        """Remove a call, and ignore its further parts."""
        self._replace(key, None)
        self._finished[key] = None
        self._record(lambda: self._finished.pop(key, None))
        if len(self._finished) > MAX_FINISHED:
            oldest, _ = self._finished.popitem(last=False)
            self._record(lambda: self._restore_finished(oldest))

    def _restore_finished(self, key: bytes) -> None:
        self._finished[key] = None
        self._finished.move_to_end(key, last=False)

    def _is_waiting(self, key: bytes, first: int) -> bool:
        call = self._calls.get(key)
        return call is not None and call.first == first

    def _now(self) -> float | None:
        return median_low(self._times) if self._times else None

    def _arrival(self, part: CallPart) -> _Times:
        return tuple(time for time in (self._now(), part.time) if time is not None)

    def _is_old(self, arrived: _Times, seconds: float) -> bool:
        """Return whether a part arrived too long ago."""
        now = self._now()
        return now is not None and bool(arrived) and all(abs(now - t) > seconds for t in arrived)

    # --- changes that can be undone ---------------------------------------------------------------

    def _replace(self, key: bytes, call: _Call | None) -> None:
        old = self._calls.get(key)
        self._set(key, call)
        self._record(lambda: self._set(key, old))

    def _set(self, key: bytes, call: _Call | None) -> None:
        old = self._calls.pop(key, None)
        self._bytes -= 0 if old is None else old.size
        if call is not None:
            self._calls[key] = call
            self._bytes += call.size

    def _push(self, queue: deque[T], item: T) -> None:
        queue.append(item)
        self._record(queue.pop)

    def _shift(self, queue: deque[T]) -> T:
        item = queue.popleft()
        self._record(lambda: queue.appendleft(item))
        return item

    def _record(self, undo: Callable[[], object]) -> None:
        if self._undoable:
            self._undo.append(undo)


def _lost(role: str) -> Skipped:
    return Skipped(f"lost_{role}")


def _finish(call: _Call, *, final: bool) -> Joined | None:
    """Return what the parts of a call make; None if they need others."""
    order = next(iter(call.parts.values())).roles
    parts = sorted(
        call.parts.values(),
        key=lambda part: (order.index(part.role) if part.role in order else -1, part.number),
    )
    return (parts[0].finish or merged)(parts, final)


def merged(parts: Sequence[CallPart], final: bool) -> Inference | None:
    """Return the inference with the fields of all parts, those of later roles last."""
    if not {part.role for part in parts}.issuperset(parts[0].roles):
        return None
    fields: dict[str, Any] = {}
    for part in parts:
        fields |= {key: value for key, value in part.fields.items() if value is not None}
    return Inference(**fields)
