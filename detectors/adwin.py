"""ADWIN: an adaptive window that drops its oldest part when its mean has changed."""

from __future__ import annotations

import math
from importlib.metadata import version
from operator import length_hint
from typing import TYPE_CHECKING, ClassVar

import msgspec
import numpy as np

from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.readings import Readings
from detectors.window import Window, Windows

if TYPE_CHECKING:  # it imports scipy.stats and pandas: only a process that detects has the time
    from river.drift import ADWIN

BLOCKS_PER_STRIDE = 5
"""Block means per stride. More would detect small shifts sooner, at a proportional cost."""

STRETCH_SDS = 2.5
"""Standard deviations of a block mean, to either side, that are stretched to fill [0, 1]."""

_RIVER = version("river")

Cut = tuple[float, float]
"""The difference between the means of two parts of a window, and its threshold eps."""


class _State(msgspec.Struct, array_like=True, frozen=True):
    """A snapshot. river: version of the library, whose state has no version; "" if not saved."""

    buckets: list[bytes]
    stride_number: int
    cuts: dict[int, Cut]
    river: str = ""


class Adwin:
    """Adaptive windowing (Bifet & Gavalda 2007), river's implementation, on block means of ranks.

    The input is the mid-rank of each value in the reference, averaged over a fifth of a stride:
    ADWIN's bound requires values in [0, 1], and ranks are in it whatever the feature's scale or
    tail. Their means occupy a small part of [0, 1], so they are stretched around 1/2, until
    STRETCH_SDS standard deviations fill it, and clipped. ADWIN finds a change where two parts of
    its window, of n_0 and n_1 means, differ by more than

        eps = sqrt(2 m s^2 ln(2 ln(n) / delta)) + (2/3) m ln(2 ln(n) / delta),  m = 1/n_0 + 1/n_1

    (the paper's variance-aware cut, with river's correction for the number of places to cut). It
    tests once per stride, so delta is the level.

    statistic: the difference between the dropped and the kept part, in stretched ranks; 0 without a
    cut. threshold: eps for these parts, with the variance of the kept part as s^2; NaN without a
    cut. There is no p-value.

    Trade-off: needs no window size and detects slow changes, but its bound is loose: window tests
    find a sudden shift about four times sooner. It compares recent with older traffic, not with
    the reference, and stops reporting a drift that lasts.
    """

    name: ClassVar[str] = "adwin"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC, Kind.BINARY})
    state_version: ClassVar[int] = 1

    @staticmethod
    def prepare() -> None:
        """Import river."""
        import river.drift  # noqa: F401, PLC0415 # see above

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        from river.drift import ADWIN  # noqa: PLC0415 # see above

        self.streams = baseline.stream_indices(self.kinds)
        self.blocks = min(BLOCKS_PER_STRIDE, window.stride)
        self.windows = [
            ADWIN(delta=level, clock=self.blocks)  # type: ignore[no-untyped-call] # no types
            for _ in self.streams
        ]
        self.ranks = baseline.cell_ranks.ravel()
        size = window.stride // self.blocks
        self.stretch = np.array([stretch(s, size) for s in baseline.numeric]).reshape(-1, 1)
        self.cuts: dict[tuple[int, int], Cut] = {}
        self.stride_number = 0

    def update(self, windows: Windows) -> Bools:
        """Feed the new strides to every stream's adaptive window and return where one was cut."""
        ranks = self.ranks.take(windows.cell_indices[: len(self.streams)])
        means = block_means(ranks, windows.stride, self.blocks)
        stretched = (0.5 + (means - 0.5) * self.stretch).clip(0.0, 1.0)
        gaps = np.isnan(stretched).any(axis=1).tolist()
        found: Bools = np.zeros((len(windows), len(self.streams)), bool)
        self.cuts, self.stride_number = {}, windows.stride_number + len(windows) - 1
        rows = zip(self.windows, stretched.tolist(), gaps, strict=True)
        for stream, (adwin, row, gap) in enumerate(rows):
            known = [i for i, m in enumerate(row) if not math.isnan(m)] if gap else range(len(row))
            for i, cut in feed(adwin, [row[i] for i in known] if gap else row).items():
                at = known[i] // self.blocks
                found[at, stream] = True
                self.cuts[windows.stride_number + at, stream] = cut
        return found

    def readings(self, windows: Windows) -> Readings:
        """Return difference and threshold of the cuts in the first of `windows`."""
        no_cut = 0.0, math.nan
        pairs = [
            self.cuts.get((windows.stride_number, i), no_cut) for i in range(len(self.streams))
        ]
        statistic, threshold = np.array(pairs, float).reshape(-1, 2).T
        return Readings(statistic, threshold, np.full(len(pairs), np.nan))

    def snapshot(self) -> bytes:
        """Return the buckets of all adaptive windows and the cuts of the newest stride."""
        # river has no public access to its state; its version is pinned for this reason
        buckets = [adwin._helper.__getstate__() for adwin in self.windows]
        cuts = {stream: cut for (at, stream), cut in self.cuts.items() if at == self.stride_number}
        return msgspec.msgpack.encode(_State(buckets, self.stride_number, cuts, _RIVER))

    def restore(self, state: bytes) -> None:
        """Load the buckets and the last cuts.

        Raises ValueError if another version of river wrote the buckets.
        """
        saved = msgspec.msgpack.decode(state, type=_State)
        if saved.river not in ("", _RIVER):
            raise ValueError(f"state of river {saved.river}, this is {_RIVER}")
        self.stride_number = saved.stride_number
        self.cuts = {(self.stride_number, stream): cut for stream, cut in saved.cuts.items()}
        for adwin, part in zip(self.windows, saved.buckets, strict=True):
            adwin._helper.__setstate__(part)


def block_means(values: Floats, stride: int, blocks: int) -> Floats:
    """Return the means of `blocks` equal parts of each stride, by row, shape (F, m * blocks).

    NaN in `values` is ignored; the mean of a part without a value is NaN. A stride's records that
    do not fill a part are dropped.
    """
    size = stride // blocks
    rows, count = len(values), values.shape[1] // stride
    strides = values.reshape(rows, count, stride)[:, :, : size * blocks]
    parts = strides.reshape(rows, count * blocks, size)
    means: Floats = np.add.reduce(parts, axis=2) / size
    if not np.isnan(means).any():
        return means
    missing = np.isnan(parts)
    counts = size - missing.sum(axis=2)
    sums = np.where(missing, 0.0, parts).sum(axis=2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def stretch(stream: NumericStream, size: int) -> float:
    """Return the factor by which block means of `size` ranks are stretched; 1 if constant."""
    counts, ranks = stream.cell_counts()[:-1], stream.cell_ranks()[:-1]
    variance = float(counts @ (ranks - 0.5) ** 2) / max(1, stream.count)
    sd = np.sqrt(variance * stream.inflation / size)
    return float(1 / (2 * STRETCH_SDS * sd)) if sd > 0 else 1.0


def feed(adwin: ADWIN, means: list[float]) -> dict[int, Cut]:
    """Feed block means, none of them NaN, and return the cuts by index of the mean."""
    # river's own update would drop the kept part of the window after a detection
    helper, cuts = adwin._helper, {}
    fed, width, total = 0, helper.get_width(), helper.get_total()
    remaining = iter(means)
    # a loop in Python would cost as much as ADWIN itself; `any` stops at a cut
    while any(map(helper.update, remaining)):
        at = len(means) - length_hint(remaining) - 1
        for mean in means[fed : at + 1]:
            total += mean
        dropped, kept = width + at + 1 - fed - adwin.width, adwin.width
        gap = abs((total - adwin.total) / dropped - adwin.total / kept)
        cuts[at] = gap, min(gap, cut_threshold(adwin, dropped, kept))
        fed, width, total = at + 1, adwin.width, adwin.total
    return cuts


def cut_threshold(adwin: ADWIN, n0: float, n1: float) -> float:
    """Return eps for two parts of n0 and n1 means."""
    m, logarithm = 1 / n0 + 1 / n1, np.log(2 * np.log(n0 + n1) / adwin.delta)
    # river's `variance` is a sum of squares and can be negative just after a cut
    variance = max(0.0, adwin.variance / adwin.width)
    return float(np.sqrt(2 * m * variance * logarithm) + 2 / 3 * m * logarithm)
