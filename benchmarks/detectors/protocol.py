"""What every contestant is: one knob, and alarms on a trial; and how alarms are counted.

A contestant is a `Peer`. Most are written as a `Scorer`, which says how far each look at the window
is from normal and leaves the cut to the knob, so that all knobs share the work of one pass.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from benchmarks.detectors.streams import Trial

REVISION = 3
"""To be raised with every change of streams, counting or tuning: what was measured is void."""

WINDOW = 1000
"""Records of the current window, where a detector has one, and of the latch."""

STRIDE = 100
"""Records between two looks at the window, where a detector lets us choose."""


@dataclass(frozen=True, slots=True)
class Knob:
    """The one parameter that is tuned, on a logarithmic scale.

    default: what its documents give. loosest, strictest: the ends of what it admits.
    exponential: whether the logarithm of the false-alarm rate falls in a line with the knob, as for
    a threshold, and not with the knob's logarithm, as for a probability.
    """

    name: str
    default: float
    loosest: float
    strictest: float
    exponential: bool = False

    def tail(self, value: float) -> float:
        """The scale on which the logarithm of the rate is a line, far out."""
        return value if self.exponential else math.log(value)

    def at_tail(self, place: float) -> float:
        """The inverse of `tail`."""
        return place if self.exponential else math.exp(place)

    def at(self, strictness: float) -> float:
        """The value at a strictness between 0 and 1."""
        low, high = math.log(self.loosest), math.log(self.strictest)
        return math.exp(low + strictness * (high - low))

    def strictness(self, value: float) -> float:
        """The inverse of `at`."""
        low, high = math.log(self.loosest), math.log(self.strictest)
        return (math.log(value) - low) / (high - low)


@runtime_checkable
class Peer(Protocol):
    """A detector as it takes part.

    kinds: the kinds of stream that it can read. memory: live records after which what came before
    is forgotten, None if never.
    """

    kinds: ClassVar[frozenset[str]]
    knob: ClassVar[Knob]
    memory: ClassVar[int | None]

    def version(self) -> str:
        """Of the library that it comes from."""
        ...

    def alarms(self, trial: Trial, knob: float) -> Iterable[int]:
        """How many live records had been read at each alarm, for a trial of one feature."""
        ...

    def state(self, trial: Trial) -> Any:
        """What it keeps of a feature after reading the trial, to be pickled and weighed."""
        ...


@runtime_checkable
class Scorer(Peer, Protocol):
    """A detector that gives a score at every look; an alarm is a score that reaches the cut."""

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Live records read and score, at every look at a full window."""
        ...

    def cut(self, knob: float) -> float:
        """The score from which on there is an alarm."""
        ...


@runtime_checkable
class Joint(Peer, Protocol):
    """A detector that reads the features of a model together.

    Its knob is a budget that they share: so many times as many features with so many times the
    knob have as many alarms each.
    """

    def alarms_by_feature(self, trial: Trial, knob: float) -> list[Sequence[int]]:
        """As `alarms`, for every feature of the trial."""
        ...

    def live(self, trial: Trial) -> Iterator[object]:
        """Read the trial as the daemon does, an item a stride: what its cost is measured by."""
        ...


class Scored(ABC):
    """The alarms of a `Scorer`."""

    @abstractmethod
    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """See `Scorer`."""

    def cut(self, knob: float) -> float:
        """See `Scorer`; a score is compared with the knob itself unless this says otherwise."""
        return knob

    def alarms(self, trial: Trial, knob: float) -> Iterator[int]:
        """The looks whose score reaches the cut."""
        cut = self.cut(knob)
        return (position for position, score in self.scores(trial) if score >= cut)


def episodes(alarms: Iterable[int], latch: int = WINDOW) -> int:
    """Alarms, each taken together with those that follow it within `latch` records."""
    count, quiet_from = 0, 0
    for position in alarms:
        if position >= quiet_from or not count:
            count, quiet_from = count + 1, position + latch
    return count


def first_after(alarms: Iterable[int], change: int, horizon: int) -> int | None:
    """Records from the change to the first alarm after it; None where it was missed."""
    for position in alarms:
        if position > change:
            return position - change if position <= change + horizon else None
    return None


def looks(records: int, window: int, stride: int) -> range:
    """After how many live records a window is looked at: when first full, then every stride."""
    return range(window, records + 1, stride)
