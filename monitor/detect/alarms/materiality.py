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
from detectors.baseline import Baseline, sum_by_bin
from detectors.categorical_stream import CategoricalStream
from detectors.kinds import Kind
from detectors.parts import moved_cells
from monitor.config.sections.detection import AlarmsConfig

CONFIDENCE = 0.95
"""One-sided confidence that the rate of a bin exceeds the limits."""
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
    """Compares the bins of a stream with those of the reference, and its rare categories.

    Counts are by bin, or by cell of a categorical stream (`Baseline.fine_counts`).

    shares: expected shares, shape (S, P), all above 0 in a stream's own bins or cells.
    rated: those whose share is compared as a rate, shape (S, P): all of a binary or categorical
        stream. A change of the mix of strata can multiply a rare rate of a conditional stream.
        The bins of a numeric stream divide its values arbitrarily.
    """

    def __init__(self, baseline: Baseline, limits: RateLimits) -> None:
        self.limits = limits
        self.records = max(1, baseline.records)
        self.inflation = baseline.inflation
        self.streams = baseline.streams
        self.width = baseline.fine_width
        own = np.zeros((len(baseline.streams), self.width), bool)
        expected = np.zeros(own.shape)
        for mask, row, stream in zip(own, expected, baseline.streams, strict=True):
            categorical = isinstance(stream, CategoricalStream)
            counts = stream.cell_counts() if categorical else stream.bin_counts()
            mask[: len(counts)], row[: len(counts)] = True, counts
        unrated = Kind.NUMERIC, Kind.CONDITIONAL
        kinds = np.array([stream.kind not in unrated for stream in baseline.streams], bool)
        self.own: NDArray[np.bool_] = own
        self.rated: NDArray[np.bool_] = own & kinds[:, None]
        counts = np.where(own, np.maximum(expected, 0.5), 0.0)
        self.shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 0.5)

    def is_rate_material(self, stream: int, counts: Floats) -> bool:
        """Return whether the rate of a bin or of a rare category exceeds the limits.

        It does with CONFIDENCE; that of each rare category is higher, by Bonferroni.

        counts: records, shape (P,).
        """
        rated, inflation = self.rated[stream], float(self.inflation[stream])
        records = float(counts.sum())
        if not rated.any() or records <= 0:
            return False
        confidence = self._confidence(stream)
        expected = self._rates(stream, self.shares[stream, rated])
        found = self._rates(stream, counts[rated] / records)
        before = wilson_interval(expected, self.records / inflation, confidence)
        now = wilson_interval(found, records / inflation, confidence)
        return bool(self.limits.exceeded(*now, before).any())

    def log_ratios(self, stream: int, counts: Floats) -> Floats:
        """Return ln(p / q), shape (P,): the evidence of a record that the change is over.

        p are the shares of the reference and c those of the change, estimated from `counts`. q is
        between them, of the family q ~ p^(1 - t) c^t: at t = 1, if the change is not material; else
        at the geometric mean of 1 and the t of the smallest material change. So an alarm of a large
        change resolves soon after it is over, and one that becomes somewhat smaller does not.

        c contains the noise of the counts, which makes any other records look less like it than
        they are. So t is at most 1 - k / (2 E), with the evidence E and k degrees of freedom (James
        & Stein 1961).
        """
        p, direction, freedom = self._direction(stream, counts)
        noise = freedom / (2 * max(self.evidence(stream, counts), 1e-9))
        direction = direction * max(MIN_TILT, 1 - noise)
        q = tilted(p, TILTS[:, None] * direction)
        smallest = TILTS[self._is_material(stream, p, q).argmax()]
        ratios = np.zeros(len(counts))
        ratios[self.own[stream]] = np.log(p / tilted(p, np.sqrt(smallest) * direction))
        return ratios / float(self.inflation[stream])

    def evidence(self, stream: int, counts: Floats) -> float:
        """Return the log likelihood ratio of the shares of `counts` to those of the reference."""
        p, direction, _ = self._direction(stream, counts)
        return float(counts.sum() * ((p * np.exp(direction)) @ direction)) / float(
            self.inflation[stream]
        )

    def freedom(self, stream: int, counts: Floats) -> int:
        """Return the degrees of freedom of `evidence`: of groups that expect or hold a record."""
        groups = self._groups(stream, counts)
        own = self.own[stream]
        held = np.maximum(
            np.bincount(groups, counts[own]),
            np.bincount(groups, self.shares[stream, own]) * float(counts.sum()),
        )
        return max(1, int((held >= 1).sum()) - 1)

    def _direction(self, stream: int, counts: Floats) -> tuple[Floats, Floats, int]:
        """Return p and ln(c / p) of a stream's own bins or cells, and the degrees of freedom.

        A record is added to what a bin is expected to hold and holds, if it holds less: an empty
        bin that expects a fraction of a record has not become impossible. Rare categories that have
        not certainly moved have the same c / p.
        """
        own, groups = self.own[stream], self._groups(stream, counts)
        p, records = self.shares[stream, own], float(counts[own].sum())
        expected, held = np.bincount(groups, p), np.bincount(groups, counts[own])
        grown = (held + 0.5 * expected) / ((records + 0.5) * expected)
        shrunk = (held + 1) / (records * expected + 1)
        ratios = np.where(grown < 1, shrunk, grown)[groups]
        return p, np.log(ratios / (p @ ratios)), len(expected) - 1

    def _divided(self, stream: int) -> CategoricalStream | None:
        """Return a stream whose rare categories have several cells; None of any other."""
        reference = self.streams[stream]
        if isinstance(reference, CategoricalStream) and reference.divisions > 1:
            return reference
        return None

    def _groups(self, stream: int, counts: Floats) -> NDArray[np.intp]:
        """Return the group of each of a stream's own bins or cells, from 0 on.

        Rare categories are one group, except those that have certainly moved.
        """
        reference, width = self._divided(stream), int(self.own[stream].sum())
        if reference is None:
            return np.arange(width)
        apart = np.ones(width, np.bool_)
        apart[reference.frequent : -2] = moved_cells(reference, counts[:width])
        groups = np.cumsum(apart) - 1
        groups[~apart] = groups[-1] + 1
        return groups

    def _rates(self, stream: int, shares: Floats) -> Floats:
        """Return the shares of bins, then those of rare categories, shape (..., rates).

        shares: of the stream's own bins or cells, shape (..., width).
        """
        reference = self._divided(stream)
        if reference is None:
            return shares
        by_bin = sum_by_bin(shares, reference)
        return np.concatenate((by_bin, shares[..., reference.frequent : -2]), axis=-1)

    def _confidence(self, stream: int) -> Floats:
        """Return the one-sided confidence required of each rate."""
        reference = self._divided(stream)
        if reference is None:
            return np.full(int(self.rated[stream].sum()), CONFIDENCE)
        rare = reference.divisions
        each = 1 - (1 - CONFIDENCE) / rare
        return np.concatenate((np.full(reference.bins, CONFIDENCE), np.full(rare, each)))

    def _is_material(self, stream: int, p: Floats, q: Floats) -> Bools:
        """Return which rows of q, shape (T, own), are material; the last one always."""
        before, after = self._rates(stream, p), self._rates(stream, q)
        bins = slice(None, len(self.streams[stream].bin_names()))
        terms = (after - before) * np.log(after / before)
        material = terms[:, bins].sum(axis=1) >= self.limits.min_psi
        if self.rated[stream].any():
            material |= self.limits.exceeded(after, after, (before, before)).any(axis=1)
        material[-1] = True
        return np.asarray(material)


def tilted(p: Floats, direction: Floats) -> Floats:
    """Return shares in proportion to p exp(direction), shape (..., bins)."""
    q = p * np.exp(direction)
    return np.asarray(q / q.sum(axis=-1, keepdims=True))


def wilson_interval(
    share: Floats, records: float, confidence: float | Floats = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Return the one-sided confidence limits of shares of `records` records (Wilson 1927)."""
    z = ndtri(confidence)
    middle = (share + z**2 / (2 * records)) / (1 + z**2 / records)
    half = np.sqrt(share * (1 - share) / records + (z / (2 * records)) ** 2) * z
    half = half / (1 + z**2 / records)
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)
