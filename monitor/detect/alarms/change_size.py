"""The size of a change: since which stride it lasts, and the PSI of the records since then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import CategoricalStream
from detectors.e_detector import EDetector, LeadingBet
from detectors.psi import DriftSize, drift_size, usual_noise
from detectors.window import Window, Windows
from detectors.window_test import MIN_VALUES
from monitor.detect.alarms.newest_level import is_new_level, newest_level, newest_rare_level

STEP_LEVEL = 1e-6
"""Significance level of the step by which an open alarm gets a later start. It is tested once per
stride in which the alarm is found."""

DATE_LEVEL = 1e-4
"""Significance level of the step that dates a new alarm of a rare category: the change itself is
significant, and the bet that found it may have begun to win long before, by chance."""


@dataclass(frozen=True, slots=True)
class ChangeSize:
    """Size of the change of a stream and the records on which it is measured.

    drift: size of every stream's drift, shape (S,). sample: the measured records as a window: the
    whole window or its part since the change. leading_bet: the e-detector's estimate of the change,
    if the e-detector is among the detectors that found it.
    since: number of strides before the change; None if only the window can date it.
    """

    drift: DriftSize
    sample: Windows
    leading_bet: LeadingBet | None = None
    since: int | None = None

    @property
    def psi(self) -> Floats:
        """The PSI from which the severity follows, shape (S,)."""
        return self.drift.psi


class ChangeMeter:
    """Measures the changes of the streams of one baseline.

    level: significance level of a step within a window.
    least: strides that hold MIN_VALUES records; fewer are not measured.
    quiet: number of strides by stream before which no change began: those before the window at
    which the stream's last alarm was resolved.
    """

    def __init__(
        self, baseline: Baseline, window: Window, level: float, e_detector: EDetector | None
    ) -> None:
        self.baseline = baseline
        self.window = window
        self.level = level
        self.e_detector = e_detector
        self.least = -(-MIN_VALUES // window.stride)
        self.quiet: dict[int, int] = {}

    def whole(self, window: Windows) -> ChangeSize:
        """Return the size in the first window, or in its strides so far while it is not full."""
        if window.full[0]:
            return ChangeSize(self.drift(window), window)
        sample = self.window.last_strides(window, window.stride_number)
        return ChangeSize(drift_size(self.baseline, sample, usual_noise=0).first, sample)

    @property
    def strides(self) -> int:
        """Number of strides of a full window."""
        return self.window.records // self.window.stride

    def drift(self, window: Windows) -> DriftSize:
        """Return the size of every stream's drift in the first window, shape (S,)."""
        return self.drifts(window.at(0)).first

    def drifts(self, windows: Windows) -> DriftSize:
        """Return the size of every stream's drift in all windows, shape (m, S)."""
        noise = usual_noise(self.baseline, self.window.records)
        return drift_size(self.baseline, windows, usual_noise=noise)

    def set_quiet(self, stream: int, stride_number: int) -> None:
        """Record that a stream's alarm is resolved at a stride: its whole window is quiet."""
        self.quiet[stream] = stride_number - self.strides

    def measure(
        self, stream: int, found_by: Sequence[str], whole: ChangeSize, level_start: int | None
    ) -> ChangeSize:
        """Return the size of the change found in a stream.

        A window that is half full of a change shows less than half of its PSI. So the records since
        the change are measured, but at least MIN_VALUES of them, where its start is certain: where
        the e-detector estimates it, or where the records of the window have two levels (see
        `newest_level`). The PSI that a small sample has by chance is subtracted.

        An open alarm keeps its start until there is a new level. Otherwise the few records in which
        a rare category happens to be frequent would make a small change look critical.

        whole: size measured on the whole window. level_start: number of strides before the present
        level of an open alarm.
        """
        now, held = whole.sample.stride_number, whole.sample.records // self.window.stride
        bet = self._leading_bet(stream, found_by, whole.sample)
        since = self._since(stream, bet, whole.sample, level_start)
        measured = held if since is None else min(held, max(self.least, now - since))
        cells = whole.sample.cells_by_stride(stream)[-measured:]
        reference = self.baseline.streams[stream]
        step = newest_level(reference, cells, level=self.level, least=self.least)
        if step is None and isinstance(reference, CategoricalStream):
            level = DATE_LEVEL if level_start is None else self.level
            step = newest_rare_level(reference, cells, level=level, least=self.least)
        if step is not None:
            measured -= step
            since = now - measured
        if measured < held:
            sample = self.window.last_strides(whole.sample, measured)
            drift = drift_size(self.baseline, sample, usual_noise=0).first
            if drift.psi[stream] > whole.psi[stream]:
                return ChangeSize(drift, sample, bet, since)
        return replace(whole, leading_bet=bet, since=since)

    def began_earlier(
        self, stream: int, found_by: Sequence[str], window: Windows, level_start: int | None
    ) -> bool:
        """Return whether nothing dates the change of a stream within a full window."""
        since = self._since(
            stream, self._leading_bet(stream, found_by, window), window, level_start
        )
        return since is None or window.stride_number - since >= self.strides

    def _since(
        self, stream: int, bet: LeadingBet | None, window: Windows, level_start: int | None
    ) -> int | None:
        """Return the number of strides before the change that the e-detector estimates."""
        if bet is None or level_start is None or bet.since <= level_start:
            return bet.since if bet else None
        new = self._is_new_level(stream, window, bet.since, level_start)
        return bet.since if new else level_start

    def _is_new_level(self, stream: int, window: Windows, since: int, level_start: int) -> bool:
        """Return whether the records since a stride differ from those of the level before."""
        now = window.stride_number
        cells = window.cells_by_stride(stream)[-(now - level_start) :]
        split = len(cells) - (now - since)
        return is_new_level(self.baseline.streams[stream], cells, split, level=STEP_LEVEL)

    def _leading_bet(
        self, stream: int, found_by: Sequence[str], window: Windows
    ) -> LeadingBet | None:
        if self.e_detector is None or self.e_detector.name not in found_by:
            return None
        return self.e_detector.leading_bet(window, stream, self.quiet.get(stream, 0))
