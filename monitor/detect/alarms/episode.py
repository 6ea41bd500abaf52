"""An episode of a stream: the records since a significant change, and whether it is over.

A window of 1,000 records holds five events of a rate of 0.5 %, and by chance none or ten. So
neither the size of a rare change nor its end can be read from one window. An episode begins with a
significant finding, counts the records since then, and ends when these records are evidence that
the stream is as in the reference again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from detectors.arrays import Floats
from monitor.detect.alarms.materiality import Materiality

MEMORY_WINDOWS = 10
"""Windows of records that an episode remembers; older ones lose weight exponentially."""
CHANCE_WINDOWS = 7
"""Windows of records that show that there was no lasting change if they hardly differ from the
reference; less than MEMORY_WINDOWS (1 - REFRESH), so that each estimate is of so many at last."""
SETTLE_WINDOWS = 3
"""Windows after which a significant change that is not material is reported as such."""
REFRESH = 0.25
"""New records, as a part of those of the change, after which the change is estimated again."""
OVER = math.log(10_000)
"""Evidence from which a change is over. A change that lasts, and is at least as large as the one
that the reference is compared with, is mistaken once in 10,000 strides at most."""


@dataclass(slots=True)
class Episode:
    """Records by bin, or by cell of a categorical stream, since a significant change of it.

    start: record of the stream at which the episode began. changed: records of the change,
    shape (P,). pending: records since `quiet` was last 0: the change may be over since then.
    quiet: CUSUM of the evidence of each stride that the change is over (Page 1954).
    log_ratios: evidence of a record that the change is over, shape (P,); empty before the first
    estimate. evidence: that of `changed` for a change. Both were estimated `fresh` records of
    the change ago.
    """

    start: int
    changed: Floats
    pending: Floats
    quiet: float = 0.0
    log_ratios: Floats = field(default_factory=lambda: np.zeros(0))
    evidence: float = 0.0
    fresh: float = 0.0

    @classmethod
    def begin(cls, record: int, counts: Floats, quiet: float) -> Episode:
        """Return the episode that begins with a finding. counts: the measured records."""
        return cls(record, counts.copy(), np.zeros_like(counts), quiet)

    def needs_estimate(self) -> bool:
        """Return whether the change has to be estimated again."""
        return not len(self.log_ratios) or self.fresh >= REFRESH * self.changed.sum()

    def add(self, newest: Floats, memory: float) -> None:
        """Add a stride. newest: its records. memory: number of records to remember."""
        evidence = float(newest @ self.log_ratios)
        self.quiet = min(2 * OVER, max(0.0, self.quiet + evidence))
        self.pending += newest
        if self.quiet > 0:
            return
        self.fresh += float(self.pending.sum())
        self.changed += self.pending
        self.pending[:] = 0
        records = float(self.changed.sum())
        if records > memory:
            self.changed *= memory / records


class Episodes:
    """The episodes of all streams of a baseline: of open alarms, and of changes not reported yet.

    by_stream: the current episodes.
    """

    def __init__(self, materiality: Materiality, window: int) -> None:
        self.materiality = materiality
        self.window = window
        self.by_stream: dict[int, Episode] = {}

    def begin(self, stream: int, record: int, counts: Floats, *, has_alarm: bool) -> None:
        """Begin the episode of a stream, unless it has one.

        has_alarm: whether the stream has an open alarm. Only an alarm of a checkpoint of an early
        version has no episode; it resolves as soon as it does not hold, unless new records are
        evidence that it lasts.
        """
        if stream not in self.by_stream:
            quiet = OVER if has_alarm else 0.0
            self.by_stream[stream] = Episode.begin(record, counts, quiet)

    def advance(self, newest: Floats) -> None:
        """Add a stride to all episodes. newest: its records by stream, shape (S, P)."""
        for stream, episode in self.by_stream.items():
            if episode.needs_estimate():
                episode.log_ratios = self.materiality.log_ratios(stream, episode.changed)
                episode.evidence = self.materiality.evidence(stream, episode.changed)
                episode.fresh = 0.0
            episode.add(newest[stream], MEMORY_WINDOWS * self.window)

    def is_over(self, stream: int) -> bool:
        """Return whether the change of a stream is over.

        It is over, too, if many records since its beginning hardly differ from the reference: there
        was no lasting change. A small change of a rare rate hardly differs either for some thousand
        records, so the estimate must be of CHANCE_WINDOWS.
        """
        episode = self.by_stream[stream]
        if episode.quiet >= OVER:
            return True
        if episode.evidence >= chance(len(episode.changed)):  # the usual case, without arrays
            return False
        records = float(episode.changed.sum())
        if records - episode.fresh < CHANCE_WINDOWS * self.window:
            return False
        return episode.evidence < chance(self.materiality.freedom(stream, episode.changed))

    def is_rate_material(self, stream: int) -> bool:
        """Return whether the rate of a value or category exceeds the limits since the beginning."""
        return self.materiality.is_rate_material(stream, self.by_stream[stream].changed)

    def is_settled(self, stream: int, record: int) -> bool:
        """Return whether a change has lasted long enough to be reported though it is small."""
        return record - self.by_stream[stream].start >= SETTLE_WINDOWS * self.window


def chance(freedom: int) -> float:
    """Return the largest evidence that records of the reference usually have.

    Twice the evidence is chi-squared with `freedom` degrees of freedom: the mean and two standard
    deviations.
    """
    return freedom / 2 + math.sqrt(2 * freedom)
