"""The self-audit: how many false pages the live alarm path makes of traffic that has not changed.

What has not changed is the reference itself, resampled in runs (`detectors.resampling`) and put
through the detectors and alarms that live traffic goes through. Every alarm that opens is a false
page. It is done in replicas of a fixed length, each with a window, detectors and alarms of its own
that are thrown away afterwards: nothing live is read but the reference, and nothing is written.

A replica depends on the reference, the configuration and its number alone. What the audit cannot
see: how far the reference itself is from the traffic to come. Its own noise is on both sides, which
makes the measured rate about two thirds of that of new traffic where the reference holds fifty
windows (310 pages against 459, and 406 against 610, of PSI at generous budgets).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scipy.special import gammaincinv

from detectors.calibration import SECONDS_PER_DAY
from detectors.resampling import Resampling
from detectors.window import SPAN
from monitor import budget
from monitor.alarm_path import AlarmPath, Turn
from monitor.config import Config
from monitor.reference import Profile

REPLICA_WINDOWS = 200
"""Windows a replica: detectors are made once for so many, and the first is no sooner full."""
STEP_RECORDS = 5_000
"""Records put through at once, some milliseconds of work: no one has to wait long for a step."""
INTERVAL = 0.95
CERTAIN = 0.999
"""An audit is looked at again and again; so much certainty it takes to contradict the promise."""

ADVICE = (
    "build a reference that is longer and holds no incident, or let windows.records hold a whole"
    " cycle of the traffic"
)
"""What to do where the promise does not hold."""

Who = tuple[str, str]
"""Feature and detector of a false page."""


@dataclass(slots=True)
class Tally:
    """False pages by feature and detector, in so many records that were evaluated."""

    records: int = 0
    replicas: int = 0
    pages: Counter[Who] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Count in what a step has added."""
        self.records += other.records
        self.replicas += other.replicas
        self.pages += other.pages


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit says of one model, in false pages a day.

    measured and its exact Poisson interval (95 %) are None until a record has been audited.
    pages: that were met, by feature and detector. contradicts: whether so many are as good as
    impossible where the promise holds.
    """

    model: str
    promised: float
    measured: float | None
    low: float | None
    high: float | None
    records: int
    pages: Mapping[Who, int]
    contradicts: bool


class Replica:
    """One replica of a reference on its way through the alarm path.

    levels: detector -> level; those whose findings raise no alarm are left out.
    Raises ValueError where the reference is too short to be resampled.
    """

    def __init__(
        self, profile: Profile, config: Config, levels: Mapping[str, float], number: int
    ) -> None:
        windows, baseline = config.windows, profile.baseline
        self.source = Resampling(baseline, windows.records, [int(profile.id, 16), number])
        self.path = AlarmPath(baseline, config, budget.of_voting(config, levels))
        self.strides = REPLICA_WINDOWS * windows.records // windows.stride
        self.step = min(SPAN, max(1, STEP_RECORDS // windows.stride))
        self.features = [stream.name for stream in baseline.streams]

    def steps(self) -> Iterator[Tally]:
        """What each step adds: the records evaluated in it, and the false pages."""
        done, stride = 0, self.path.window.stride
        filling = self.path.window.records // stride - 1
        while done < self.strides:
            taken = min(self.step, self.strides - done)
            turns = self.path.extend(*self.source.take(taken * stride), done * stride)
            opened = Counter(filter(None, map(self._opened, turns)))
            evaluated = max(0, done + taken - filling) - max(0, done - filling)
            done += taken
            yield Tally(evaluated * stride, int(done == self.strides), opened)

    def _opened(self, turn: Turn) -> Who | None:
        """Who is behind a false page, where the turn is one."""
        if turn.change == "resolved":
            return None
        turn.alarm.detector = self.path.best(turn).detector
        opened = turn.change == "opened"
        return (self.features[turn.stream], turn.alarm.detector) if opened else None


def run(profile: Profile, config: Config, levels: Mapping[str, float], records: int) -> Tally:
    """The tally of so many records, and no more than a step beyond.

    Raises ValueError where the reference is too short to be resampled.
    """
    tally = Tally()
    while tally.records < records:
        for added in Replica(profile, config, levels, tally.replicas).steps():
            tally.add(added)
            if tally.records >= records:
                break
    return tally


def result(config: Config, profile: Profile, tally: Tally) -> Audited:
    """What a tally says of the model of a profile, at the pace of that."""
    promised, pages = budget.per_day(config), dict(tally.pages)
    if not tally.records:
        return Audited(profile.model, promised, None, None, None, 0, pages, False)
    days, total = (
        tally.records / (profile.records_per_second * SECONDS_PER_DAY),
        sum(pages.values()),
    )
    low, high = (limit / days for limit in poisson_interval(total, INTERVAL))
    # the interval leaves half of what is uncertain on either side
    least, _ = poisson_interval(total, 2 * CERTAIN - 1)
    return Audited(
        model=profile.model,
        promised=promised,
        measured=total / days,
        low=low,
        high=high,
        records=tally.records,
        pages=pages,
        contradicts=least / days > promised,
    )


def poisson_interval(count: int, share: float) -> tuple[float, float]:
    """The exact central interval for the mean of a Poisson count (Garwood 1936).

    By chi-squared quantiles of 2 count and 2 count + 2 degrees of freedom, halved.
    """
    tail = (1 - share) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))
