"""The interface of a contestant, and how alarms are counted.

A contestant has one knob and returns its alarms on a trial. Most are a `ScoringContestant`: they
return a score for every evaluation, so that one pass serves all values of the knob.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from benchmarks.detectors.streams import Trial

REVISION = 3
"""Raise this after a change of streams, counting or tuning: it invalidates earlier answers."""

WINDOW = 1000
"""Records of the current window, if the contestant has one, and of the latch."""

STRIDE = 100
"""Records between two evaluations, if the contestant allows a choice."""


@dataclass(frozen=True, slots=True)
class Knob:
    """The one parameter that is tuned, on a logarithmic scale.

    default: the documented default. loosest, strictest: ends of the admissible range.
    exponential: True if the logarithm of the false-alarm rate is linear in the knob, as for a
    threshold; False if it is linear in the knob's logarithm, as for a probability.
    """

    name: str
    default: float
    loosest: float
    strictest: float
    exponential: bool = False

    def to_linear(self, value: float) -> float:
        """Map a value to the scale on which the logarithm of the rate is linear in the tail."""
        return value if self.exponential else math.log(value)

    def from_linear(self, position: float) -> float:
        """Return the inverse of `to_linear`."""
        return position if self.exponential else math.exp(position)

    def value_at(self, strictness: float) -> float:
        """Return the value at a strictness between 0 and 1."""
        low, high = math.log(self.loosest), math.log(self.strictest)
        return math.exp(low + strictness * (high - low))

    def strictness(self, value: float) -> float:
        """Return the inverse of `value_at`."""
        low, high = math.log(self.loosest), math.log(self.strictest)
        return (math.log(value) - low) / (high - low)


@runtime_checkable
class Contestant(Protocol):
    """A detector under test.

    kinds: kinds of stream that it reads. memory: number of live records after which earlier ones
    no longer have an effect; None if they always have.
    """

    kinds: ClassVar[frozenset[str]]
    knob: ClassVar[Knob]
    memory: ClassVar[int | None]

    def version(self) -> str:
        """Return the version of its library."""
        ...

    def alarms(self, trial: Trial, knob: float) -> Iterable[int]:
        """Return the number of live records read at each alarm, for a trial of one feature."""
        ...

    def state(self, trial: Trial) -> Any:
        """Return the state of one feature after the trial; its pickled size is measured."""
        ...


@runtime_checkable
class ScoringContestant(Contestant, Protocol):
    """A contestant with a score per evaluation; a score that reaches the cut is an alarm."""

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield live records read and score, at every evaluation of a full window."""
        ...

    def cut(self, knob: float) -> float:
        """Return the lowest score that is an alarm."""
        ...


@runtime_checkable
class JointContestant(Contestant, Protocol):
    """A contestant that reads the features of a model together.

    Its knob is a budget that the features share: with n times the features and n times the knob,
    each feature has the same alarms.
    """

    def alarms_by_feature(self, trial: Trial, knob: float) -> list[Sequence[int]]:
        """Return the alarms as `alarms` does, for every feature of the trial."""
        ...

    def live(self, trial: Trial) -> Iterator[object]:
        """Read the trial as the daemon does and yield once per stride; used to measure the cost."""
        ...


class ScoreBased(ABC):
    """Base class that derives the alarms of a `ScoringContestant` from its scores."""

    @abstractmethod
    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """See `ScoringContestant`."""

    def cut(self, knob: float) -> float:
        """Return the knob itself; see `ScoringContestant`."""
        return knob

    def alarms(self, trial: Trial, knob: float) -> Iterator[int]:
        """Return the evaluations whose score reaches the cut."""
        cut = self.cut(knob)
        return (position for position, score in self.scores(trial) if score >= cut)


def count_episodes(alarms: Iterable[int], latch: int = WINDOW) -> int:
    """Count alarms; an alarm and those within `latch` records after it count as one."""
    count, quiet_from = 0, 0
    for position in alarms:
        if position >= quiet_from or not count:
            count, quiet_from = count + 1, position + latch
    return count


def first_after(alarms: Iterable[int], change: int, horizon: int) -> int | None:
    """Return records from the change to the first alarm after it.

    Returns None if there is none within `horizon` records.
    """
    for position in alarms:
        if position > change:
            return position - change if position <= change + horizon else None
    return None


def evaluation_points(records: int, window: int, stride: int) -> range:
    """Return the live records read at each evaluation, from the first full window on."""
    return range(window, records + 1, stride)
