"""From strides to changes of alarms: the one way that live traffic and the self-audit both take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors import registry
from detectors.base import MIN_VALUES, Bools, Detector, Floats
from detectors.baseline import Baseline
from detectors.e_detector import EDetector, Lead
from detectors.psi import population_stability_index, without_noise
from detectors.window import Window, Windows
from monitor import budget
from monitor.alarms import Alarm, AlarmPolicy
from monitor.config import Config
from monitor.events import Change


@dataclass(frozen=True, slots=True)
class Reading:
    """One detector's numbers on one stream, for those who ask; NaN where there is no verdict."""

    feature: str
    detector: str
    statistic: float
    threshold: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a change of a stream is, and on which records that is measured.

    psi: of every stream, shape (S,). sample: those records, as a window: the whole window, or as
    much of it as came since the change. lead: what the e-detector takes the change for, where it
    is among those that found it.
    """

    psi: Floats
    sample: Windows
    lead: Lead | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """An alarm opens, grows or ends.

    at: which of the strides given it was; record: how many records had been seen after it; window:
    as it stood then. alarm: as it is after the change; who takes the turn gives a new one its id
    and the detector that speaks most clearly (`AlarmPath.best`). finders: the detectors that found
    a change in the stream. extent: how large the change is.
    """

    change: Change
    stream: int
    at: int
    record: int
    window: Windows
    alarm: Alarm
    finders: tuple[str, ...]
    extent: Extent


class AlarmPath:
    """Window, detectors and open alarms over one baseline.

    levels: detector -> level; those detectors are made, in this order.
    sizes: stream -> PSI of what is found in the newest stride, or has an open alarm (`Extent`).
    """

    def __init__(self, baseline: Baseline, config: Config, levels: Mapping[str, float]) -> None:
        windows, alarms = config.windows, config.alarms
        self.baseline = baseline
        self.window = Window(baseline, windows.records, windows.stride)
        self.detectors: Sequence[Detector] = registry.create(levels, baseline, self.window)
        self.e_detector = next((d for d in self.detectors if isinstance(d, EDetector)), None)
        self.voting = frozenset[str](budget.voting(config))
        self.policy = AlarmPolicy(alarms.min_psi, alarms.critical_psi, windows.records)
        self.alarms: dict[int, Alarm] = {}
        self.sizes: dict[int, float] = {}

    def extend(self, values: Floats, categories: NDArray[np.uint8], seen: int) -> Iterator[Turn]:
        """What the alarms make of whole strides (see `Window.extend`); to be taken to the end.

        seen: records before these.
        """
        windows, found = self.found(values, categories)
        return self.turns(windows, found, seen)

    def found(self, values: Floats, categories: NDArray[np.uint8]) -> tuple[Windows, list[Bools]]:
        """The windows that whole strides make, and what each detector finds in them."""
        windows = self.window.extend(values, categories)
        return windows, [detector.update(windows) for detector in self.detectors]

    def turns(self, windows: Windows, found: Sequence[Bools], seen: int) -> Iterator[Turn]:
        """What the alarms make of what was found. Most strides are passed over at one look."""
        eventful = self._anything(found) & windows.full
        for at in range(len(windows)):
            if self.alarms or eventful[at]:
                finders = self._finders([masks[at] for masks in found])
                record = seen + (at + 1) * windows.stride
                yield from self._turns(windows.at(at), at, record, finders)
            elif self.sizes:
                self.sizes = {}

    def _anything(self, found: Sequence[Bools]) -> Bools:
        """In which strides a detector that raises alarms found something, shape (m,)."""
        voting = [m for d, m in zip(self.detectors, found, strict=True) if d.name in self.voting]
        return np.asarray(np.logical_or.reduce([masks.any(axis=1) for masks in voting]))

    def _turns(
        self, window: Windows, at: int, record: int, finders: Mapping[int, tuple[str, ...]]
    ) -> Iterator[Turn]:
        """The changes of one stride. finders: stream -> the detectors that found one in it."""
        if not window.full[0]:
            return
        whole, sizes = Extent(self.psi(window), window), dict[int, float]()
        for stream in sorted({*finders, *self.alarms}):
            names = finders.get(stream, ())
            extent = self._extent(stream, names, whole)
            psi = sizes[stream] = float(extent.psi[stream])
            alarm, significant = self.alarms.get(stream), not self.voting.isdisjoint(names)
            if alarm is not None and self.policy.holds(significant, psi):
                alarm.last_found = record
            material = significant and self.policy.material(psi, alarm)
            change = self.policy.change(alarm, material, psi, record)
            if change is not None:
                alarm = self._changed(change, stream, psi, record)
                yield Turn(change, stream, at, record, window, alarm, names, extent)
        self.sizes = sizes  # anew: other threads may be looking at the old ones

    def _extent(self, stream: int, finders: Sequence[str], whole: Extent) -> Extent:
        """How large the change is that was found in a stream.

        A window that is only half full of a change shows less than half of it. So where the
        e-detector says since when there is one, the records since then are looked at, be they
        MIN_VALUES or more. Few records have a PSI by chance, which is taken off.

        whole: how large it is in the whole window.
        """
        if self.e_detector is None or self.e_detector.name not in finders:
            return whole
        lead = self.e_detector.lead(whole.sample, stream)
        least = -(-MIN_VALUES // self.window.stride)
        strides = max(least, whole.sample.number - lead.since)
        if strides * self.window.stride < self.window.records:
            sample = self.window.newest(whole.sample, strides)
            (psi,) = without_noise(self.baseline, sample)
            if psi[stream] > whole.psi[stream]:
                return Extent(np.maximum(psi, whole.psi), sample, lead)
        return replace(whole, lead=lead)

    def best(self, turn: Turn) -> Reading:
        """Of those that raise alarms the smallest p-value speaks, or who opened the alarm."""
        voting = tuple(name for name in turn.finders if name in self.voting)
        names = voting or (turn.alarm.detector,)
        chosen = [detector for detector in self.detectors if detector.name in names]
        feature = self.baseline.streams[turn.stream].name
        readings = [each for each in self.readings(turn.window, chosen) if each.feature == feature]
        return min(readings, key=lambda r: 2.0 if np.isnan(r.p_value) else r.p_value)

    def _changed(self, change: Change, stream: int, psi: float, record: int) -> Alarm:
        """The stream's alarm after a change."""
        if change == "resolved":
            return self.alarms.pop(stream)
        before = self.alarms.get(stream, Alarm("", "", "warning", record))
        # another object: who was told of the alarm when it opened has it as it was then
        after = replace(before, severity=self.policy.severity(psi), last_found=record)
        self.alarms[stream] = after
        return after

    def _finders(self, found: Sequence[Bools]) -> dict[int, tuple[str, ...]]:
        """Stream -> the detectors that found a change in it."""
        finders: dict[int, tuple[str, ...]] = {}
        for detector, mask in zip(self.detectors, found, strict=True):
            for stream in detector.streams[mask].tolist():
                finders[stream] = (*finders.get(stream, ()), detector.name)
        return finders

    def psi(self, window: Windows) -> Floats:
        """PSI of every stream in the first of the windows, shape (S,)."""
        return population_stability_index(
            self.baseline.bin_counts, self.baseline.records, window.bin_counts[0], window.records
        )

    def readings(
        self, window: Windows, detectors: Sequence[Detector] | None = None
    ) -> list[Reading]:
        """Numbers of all detectors, or of some, on all streams in the first of the windows."""
        names = [stream.name for stream in self.baseline.streams]
        found = []
        for detector in self.detectors if detectors is None else detectors:
            numbers = detector.readings(window)
            rows = zip(
                detector.streams.tolist(),
                numbers.statistic.tolist(),
                numbers.threshold.tolist(),
                numbers.p_value.tolist(),
                strict=True,
            )
            found += [Reading(names[stream], detector.name, *row) for stream, *row in rows]
        return found
