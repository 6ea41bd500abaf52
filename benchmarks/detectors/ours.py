"""Our own detectors as contestants: the one file to change when their interface does.

The knob is what a user sets: the false pages allowed in a million records, for all features of the
model and all detectors together. An alarm is any detector's finding; how large a change must be to
matter (`alarms.min_psi`) is left out, since nobody else has that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import detectors
from benchmarks.detectors.protocol import STRIDE, WINDOW, Knob
from benchmarks.detectors.streams import (
    BINARY,
    CATEGORICAL,
    GAPPY,
    NEW_LEVEL,
    NUMERIC,
    Floats,
    Trial,
)
from detectors import registry
from detectors.base import Bools, Kind
from detectors.baseline import Baseline
from detectors.calibration import allocate
from detectors.evaluate import baseline_of, rounds
from detectors.streams import categorical_stream
from detectors.window import Window
from monitor.config import AlarmsConfig

KINDS = {NUMERIC: Kind.NUMERIC, GAPPY: Kind.NUMERIC, BINARY: Kind.BINARY}

NAMES = [f"c{code}" for code in range(int(NEW_LEVEL) + 1)]

DEFAULT = 1e6 / (30 * 86_400 * 10)
"""One false page in 30 days, at ten records a second."""


class Everything:
    """All detectors that raise alarms by default, sharing one budget by the default weights."""

    names: ClassVar[tuple[str, ...]] = tuple(
        name for name in registry.DETECTORS if name not in AlarmsConfig().advisory
    )
    weights: ClassVar[dict[str, float]] = {
        str(name): weight for name, weight in AlarmsConfig().weights.items()
    }
    kinds: ClassVar = frozenset({NUMERIC, BINARY, CATEGORICAL, GAPPY})
    knob: ClassVar = Knob("false pages per million records", DEFAULT, 1e5, 1e-9)
    memory: ClassVar[int | None] = None
    stride: ClassVar[int] = STRIDE

    def version(self) -> str:
        """A digest of the detectors' source and of this file."""
        folder = Path(detectors.__file__).parent
        paths = [Path(__file__), *sorted(folder.rglob("*.py"))]
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]

    def alarms(self, trial: Trial, knob: float) -> Sequence[int]:
        """See `Peer`."""
        (alarms,) = self.alarms_by_feature(trial, knob)
        return alarms

    def alarms_by_feature(self, trial: Trial, knob: float) -> list[Sequence[int]]:
        """The strides at which any detector finds a change, by feature."""
        found = self._found(trial, knob)
        return [((np.flatnonzero(row) + 1) * self.stride).tolist() for row in found.T]

    def live(self, trial: Trial) -> Iterator[object]:
        """Every detector on every stride, as the daemon runs them when records are many.

        What comes first is no verdict: everything has been made then.
        """
        baseline = baseline_for(trial)
        made = self._rounds(trial, baseline, self._levels(1e-4, baseline))
        yield None
        for found in made:
            yield from zip(*found, strict=True)

    def state(self, trial: Trial) -> Any:
        """Baseline, window and detectors of one feature."""
        baseline = baseline_for(trial)
        ring = Window(baseline, WINDOW, self.stride)
        return baseline, ring, registry.create(self._levels(1e-4, baseline), baseline, ring)

    def _found(self, trial: Trial, knob: float) -> Bools:
        """Where any detector that raises alarms finds a change, shape (strides, F)."""
        baseline = baseline_for(trial)
        levels = self._levels(knob / 1e6 * self.stride, baseline)
        made = self._rounds(trial, baseline, levels)
        return np.concatenate(
            [np.logical_or.reduce([mask for mask in found if mask.shape[1]]) for found in made]
        )

    def _rounds(
        self, trial: Trial, baseline: Baseline, levels: dict[str, float]
    ) -> Iterator[list[Bools]]:
        """What each detector finds, some strides at a time."""
        numbers, bins = columns(trial, baseline)
        return rounds(levels, baseline, numbers, bins, window=WINDOW, stride=self.stride)

    def _levels(self, per_stride: float, baseline: Baseline) -> dict[str, float]:
        watched = registry.streams_watched(self.names, baseline)
        return allocate(min(0.5, per_stride), watched, self.weights)


class Closer(Everything):
    """The same with `windows.stride: 10`, where it costs as much as ADWIN does."""

    stride: ClassVar[int] = 10


class WindowTests(Everything):
    """The tests on a window alone, sharing one budget."""

    names: ClassVar = ("psi", "ks", "zscore", "chi2")
    memory: ClassVar[int | None] = WINDOW


def columns(trial: Trial, baseline: Baseline) -> tuple[Floats, NDArray[np.uint8]]:
    """Live records as `Window.extend` takes them."""
    if trial.kind == CATEGORICAL:
        tables = [stream.bins_by_code(NAMES) for stream in baseline.categorical]
        rows = zip(tables, trial.live.astype(np.intp), strict=True)
        bins = np.array([table[codes] for table, codes in rows], np.uint8)
        return np.zeros((0, trial.live.shape[1])), bins
    return trial.live, np.zeros((0, trial.live.shape[1]), np.uint8)


def baseline_for(trial: Trial) -> Baseline:
    """The baseline that a trial's references make."""
    if trial.kind == CATEGORICAL:
        rows = trial.reference.astype(np.intp)
        streams = [categorical_stream(f"x{i}", NAMES, row, WINDOW) for i, row in enumerate(rows)]
        return Baseline(rows.shape[1], (), tuple(streams))
    return baseline_of(trial.reference, KINDS[trial.kind], WINDOW)
