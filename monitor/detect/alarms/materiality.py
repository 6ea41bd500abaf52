"""The size of a change beside PSI: by how much the rate of a binary value or a category changed.

PSI hardly moves when a rare event becomes a few times as frequent: 0.02 for errors that rise from
0.5 % to 2 %. So a rate has limits of its own: a factor and an absolute change, both of which it
must exceed. A rate that is counted on few records is uncertain, so the confidence limits of both
rates are compared, and not their estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.kinds import Kind
from monitor.config.sections.detection import AlarmsConfig

CONFIDENCE = 0.95
"""One-sided confidence that a rate exceeds the limits."""
TILTS: Floats = np.geomspace(1 / 16, 1, 25)
"""Parts of a change that are compared with the limits, to find the smallest material one."""

MIN_TILT = 0.1


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Factor and absolute change of a material rate, and the PSI of a material distribution."""

    factor: float
    change: float
    min_psi: float

    @classmethod
    def of(cls, alarms: AlarmsConfig) -> RateLimits:
        """Return the configured limits."""
        return cls(alarms.min_rate_factor, alarms.min_rate_change, alarms.min_psi)

    def exceeded(self, low: Floats, high: Floats, before: tuple[Floats, Floats]) -> Bools:
        """Return where a rate between `low` and `high` exceeds the limits, upwards or downwards.

        before: lower and upper limit of the rate in the reference.
        """
        least, most = before
        grown = (low >= self.factor * most) & (low >= most + self.change)
        fallen = (high <= least / self.factor) & (high <= least - self.change)
        return np.asarray(grown | fallen)


class Materiality:
    """Compares the bins of a stream with those of the reference.

    shares: expected shares by stream and bin, shape (S, B), all above 0 in a stream's own bins.
    rated: bins whose share is compared as a rate, shape (S, B): all of a binary or categorical
        stream. A change of the mix of strata can multiply a rare rate of a conditional stream.
        The bins of a numeric stream divide its values arbitrarily.
    """

    def __init__(self, baseline: Baseline, limits: RateLimits) -> None:
        self.limits = limits
        self.records = max(1, baseline.records)
        self.inflation = baseline.inflation
        own = np.zeros(baseline.bin_counts.shape, bool)
        for row, stream in zip(own, baseline.streams, strict=True):
            row[: len(stream.bin_names())] = True
        unrated = Kind.NUMERIC, Kind.CONDITIONAL
        kinds = np.array([stream.kind not in unrated for stream in baseline.streams], bool)
        self.own: NDArray[np.bool_] = own
        self.rated: NDArray[np.bool_] = own & kinds[:, None]
        counts = np.where(own, np.maximum(baseline.bin_counts, 0.5), 0.0)
        self.shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 0.5)

    def is_rate_material(self, stream: int, counts: Floats) -> bool:
        """Return whether the rate of a bin exceeds the limits with CONFIDENCE.

        counts: records by bin, shape (B,).
        """
        rated, inflation = self.rated[stream], float(self.inflation[stream])
        records = float(counts.sum())
        if not rated.any() or records <= 0:
            return False
        before = wilson_interval(self.shares[stream, rated], self.records / inflation)
        now = wilson_interval(counts[rated] / records, records / inflation)
        return bool(self.limits.exceeded(*now, before).any())

    def log_ratios(self, stream: int, counts: Floats) -> Floats:
        """Return ln(p / q) by bin, shape (B,): the evidence of a record that the change is over.

        p are the shares of the reference and c those of the change, estimated from `counts`. q is
        between them, of the family q ~ p^(1 - t) c^t: at t = 1, if the change is not material; else
        at the geometric mean of 1 and the t of the smallest material change. So an alarm of a large
        change resolves soon after it is over, and one that becomes somewhat smaller does not.

        c contains the noise of the counts, which makes any other records look less like it than
        they are. So t is at most 1 - k / (2 E), with the evidence E and k degrees of freedom (James
        & Stein 1961).
        """
        p, direction = self._direction(stream, counts)
        noise = (len(p) - 1) / (2 * max(self.evidence(stream, counts), 1e-9))
        direction = direction * max(MIN_TILT, 1 - noise)
        q = tilted(p, TILTS[:, None] * direction)
        smallest = TILTS[self._is_material(stream, p, q).argmax()]
        ratios = np.zeros(len(counts))
        ratios[self.own[stream]] = np.log(p / tilted(p, np.sqrt(smallest) * direction))
        return ratios / float(self.inflation[stream])

    def evidence(self, stream: int, counts: Floats) -> float:
        """Return the log likelihood ratio of the shares of `counts` to those of the reference."""
        p, direction = self._direction(stream, counts)
        return float(counts.sum() * ((p * np.exp(direction)) @ direction)) / float(
            self.inflation[stream]
        )

    def _direction(self, stream: int, counts: Floats) -> tuple[Floats, Floats]:
        """Return p and ln(c / p) of a stream's own bins.

        A record is added to what a bin is expected to hold and holds, if it holds less: an empty
        bin that expects a fraction of a record has not become impossible.
        """
        own = self.own[stream]
        p, records = self.shares[stream, own], float(counts[own].sum())
        grown = (counts[own] + 0.5 * p) / ((records + 0.5) * p)
        shrunk = (counts[own] + 1) / (records * p + 1)
        c = np.where(grown < 1, shrunk, grown) * p
        return p, np.log(c / (p * c.sum()))

    def _is_material(self, stream: int, p: Floats, q: Floats) -> Bools:
        """Return which rows of q, shape (T, bins), are material; the last one always."""
        psi = ((q - p) * np.log(q / p)).sum(axis=1)
        rated = self.rated[stream, self.own[stream]]
        rates = self.limits.exceeded(q, q, (p, p)) & rated
        material = (psi >= self.limits.min_psi) | rates.any(axis=1)
        material[-1] = True
        return np.asarray(material)


def tilted(p: Floats, direction: Floats) -> Floats:
    """Return shares in proportion to p exp(direction), shape (..., bins)."""
    q = p * np.exp(direction)
    return np.asarray(q / q.sum(axis=-1, keepdims=True))


def wilson_interval(share: Floats, records: float) -> tuple[Floats, Floats]:
    """Return the one-sided confidence limits of shares of `records` records (Wilson 1927)."""
    z = float(ndtri(CONFIDENCE))
    middle = (share + z**2 / (2 * records)) / (1 + z**2 / records)
    half = np.sqrt(share * (1 - share) / records + (z / (2 * records)) ** 2) * z
    half = half / (1 + z**2 / records)
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)
