"""The self-audit: measures the false pages of the configured alarms on unchanged traffic.

The audit resamples the reference in blocks (`detectors.block_bootstrap`) and evaluates it with the
same detectors and alarms as live traffic. Every alarm that pages is a false page. It works in
replicas of a fixed length; each has its own window, detectors and alarms, which are discarded
afterwards. The audit reads the reference and changes no live state.

A replica depends only on the reference, the configuration and its number. The audit does not
measure how far the reference is from future traffic. The noise of the reference is on both sides of
the comparison, so that the measured rate is about two thirds of the rate on new traffic for a
reference of fifty windows (310 pages against 459, and 406 against 610, with PSI at generous
budgets).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scipy.special import gammaincinv

from detectors.block_bootstrap import BlockBootstrap
from detectors.calibration import SECONDS_PER_DAY
from detectors.window import STRIDES_PER_BATCH
from monitor.config.schema import Config
from monitor.detect.alarms import budget
from monitor.detect.alarms.evaluator import AlarmEvaluator, AlarmTransition
from monitor.detect.reference.groups import StreamGroup
from monitor.detect.reference.profile import Profile

REPLICA_WINDOWS = 200
"""Windows per replica. Long replicas amortise the setup of detectors and the first, incomplete
window."""
STEP_RECORDS = 5_000
"""Records per step: some milliseconds of work, so that a step hardly delays live records."""
CONFIDENCE = 0.95
"""Confidence of the reported interval."""
CONTRADICTION_CONFIDENCE = 0.999
"""Confidence required before reporting that the budget is exceeded, as it is checked repeatedly."""

ADVICE = (
    "build a reference that is longer and has no incident, or increase windows.records to a whole"
    " cycle of the traffic"
)
"""Advice if the measured rate exceeds the budget."""

PageSource = tuple[str, str]
"""Feature and detector of a false page."""


@dataclass(slots=True)
class Tally:
    """Evaluated records, completed replicas, and false pages by feature and detector."""

    records: int = 0
    replicas: int = 0
    pages: Counter[PageSource] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add the tally of a step."""
        self.records += other.records
        self.replicas += other.replicas
        self.pages += other.pages


@dataclass(frozen=True, slots=True)
class AuditResult:
    """Result of the audit of one source of a model, in false pages per day.

    measured, low, high: rate and its exact 95 % Poisson interval; None before the first evaluated
    record. pages: false pages by feature and detector. contradicts: whether the measured rate
    exceeds the promised one with CONTRADICTION_CONFIDENCE.
    """

    model: str
    promised: float
    measured: float | None
    low: float | None
    high: float | None
    records: int
    pages: Mapping[PageSource, int]
    contradicts: bool


class Replica:
    """One replica of a reference and the alarms that evaluate it.

    levels: level by detector of each group of streams; advisory detectors are left out.
    Raises ValueError if the reference is too short to be resampled.
    """

    def __init__(
        self, profile: Profile, config: Config, levels: Sequence[Mapping[str, float]], number: int
    ) -> None:
        windows = config.windows
        seed = [int(profile.id, 16), number]
        self.groups = [
            _GroupReplica(group, config, own, seed)
            for group, own in zip(profile.groups(windows), levels, strict=True)
        ]
        self.stride = windows.stride
        self.filling = windows.records // windows.stride - 1
        self.strides = REPLICA_WINDOWS * windows.records // windows.stride
        self.step = min(STRIDES_PER_BATCH, max(1, STEP_RECORDS // windows.stride))

    def steps(self) -> Iterator[Tally]:
        """Run the replica and yield the tally of each step."""
        done = 0
        while done < self.strides:
            taken = min(self.step, self.strides - done)
            evaluated = max(0, done + taken - self.filling) - max(0, done - self.filling)
            done += taken
            opened = Counter[PageSource]()
            for group in self.groups:
                opened.update(group.advance(done * self.stride))
            yield Tally(evaluated * self.stride, int(done == self.strides), opened)


class _GroupReplica:
    """The replica of one group of streams. records: of the group, evaluated so far."""

    def __init__(
        self, group: StreamGroup, config: Config, levels: Mapping[str, float], seed: list[int]
    ) -> None:
        own, baseline = group.config(config), group.baseline
        self.group = group
        self.bootstrap = BlockBootstrap(baseline, own.windows.records, seed)
        self.evaluator = AlarmEvaluator(baseline, own, budget.select_alarming(config, levels))
        self.features = [stream.name for stream in baseline.streams]
        self.records = 0

    def advance(self, model_records: int) -> Iterator[PageSource]:
        """Evaluate the whole strides of as many records of the model, and yield what pages."""
        stride = self.evaluator.window.stride
        until = int(model_records * self.group.share) // stride * stride
        while self.records < until:
            taken = min(until - self.records, STRIDES_PER_BATCH * stride)
            records = self.bootstrap.take(taken)
            for transition in self.evaluator.evaluate(*records, self.records):
                source = self._opened_by(transition)
                if source is not None:
                    yield source
            self.records += taken

    def _opened_by(self, transition: AlarmTransition) -> PageSource | None:
        """Set the detector of the alarm, and return its source if the alarm begins to page."""
        if transition.change in {"resolved", "updated"}:
            return None
        detector = transition.alarm.detector = self.evaluator.best_reading(transition).detector
        return (self.features[transition.stream], detector) if transition.first_page else None


def run(
    profile: Profile, config: Config, levels: Sequence[Mapping[str, float]], records: int
) -> Tally:
    """Audit `records` records, or up to one step more, and return the tally.

    Raises ValueError if the reference is too short to be resampled.
    """
    tally = Tally()
    while tally.records < records:
        for added in Replica(profile, config, levels, tally.replicas).steps():
            tally.add(added)
            if tally.records >= records:
                break
    return tally


def result(config: Config, profile: Profile, tally: Tally, share: float = 1.0) -> AuditResult:
    """Return the result of a tally, at the record rate of the profile.

    share: of the budget, for one source of the model.
    """
    promised, pages = budget.false_pages_per_day(config, share), dict(tally.pages)
    if not tally.records:
        return AuditResult(profile.model, promised, None, None, None, 0, pages, False)
    days = tally.records / (profile.records_per_second * SECONDS_PER_DAY)
    total = sum(pages.values())
    low, high = (limit / days for limit in poisson_interval(total, CONFIDENCE))
    # one-sided: the central interval excludes half of the rest on either side
    least, _ = poisson_interval(total, 2 * CONTRADICTION_CONFIDENCE - 1)
    return AuditResult(
        model=profile.model,
        promised=promised,
        measured=total / days,
        low=low,
        high=high,
        records=tally.records,
        pages=pages,
        contradicts=least / days > promised,
    )


def poisson_interval(count: int, confidence: float) -> tuple[float, float]:
    """Return the exact central confidence interval of a Poisson mean (Garwood 1936).

    Its limits are half the chi-squared quantiles with 2 count and 2 count + 2 degrees of freedom.
    """
    tail = (1 - confidence) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))
