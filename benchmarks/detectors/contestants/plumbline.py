"""Plumbline's detectors as contestants; no other module of the benchmark uses their interface.

The knob is the budget that a user sets: the false pages allowed per million records, for all
features of the model and all detectors together. A finding of any detector is an alarm. The minimum
effect size (`alarms.min_psi`) is not applied, because the other contestants have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import detectors
from benchmarks.detectors.protocol import STRIDE, WINDOW, Knob
from benchmarks.detectors.streams import (
    BINARY,
    CATEGORICAL,
    NEW_TENANT,
    NUMERIC,
    WITH_MISSING,
    Floats,
    Trial,
)
from detectors import registry
from detectors.arrays import Bools
from detectors.baseline import Baseline
from detectors.calibration import allocate_levels
from detectors.categorical_stream import build_categorical_stream
from detectors.evaluate import baseline_from_array, run_in_batches
from detectors.kinds import Kind
from detectors.window import Window
from monitor.config.sections.detection import AlarmsConfig, WindowsConfig
from monitor.detect.reference import groups
from monitor.detect.reference.groups import StreamGroup, divide

KINDS = {NUMERIC: Kind.NUMERIC, WITH_MISSING: Kind.NUMERIC, BINARY: Kind.BINARY}

NAMES = [f"c{code}" for code in range(int(NEW_TENANT) + 1)]

DEFAULT = 1e6 / (30 * 86_400 * 10)
"""One false page in 30 days, at ten records a second."""


class AllDetectors:
    """All detectors that raise alarms by default, with one budget and the default weights."""

    names: ClassVar[tuple[str, ...]] = tuple(
        name for name in registry.DETECTORS if name not in AlarmsConfig().advisory
    )
    weights: ClassVar[dict[str, float]] = {
        str(name): weight for name, weight in AlarmsConfig().weights.items()
    }
    kinds: ClassVar = frozenset({NUMERIC, BINARY, CATEGORICAL, WITH_MISSING})
    knob: ClassVar = Knob("false pages per million records", DEFAULT, 1e5, 1e-9)
    memory: ClassVar[int | None] = None
    stride: ClassVar[int] = STRIDE

    def version(self) -> str:
        """Return a digest of the source of the detectors, of groups of streams and of this file."""
        folder = Path(detectors.__file__).parent
        paths = [Path(__file__), Path(groups.__file__), *sorted(folder.rglob("*.py"))]
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]

    def alarms(self, trial: Trial, knob: float) -> Sequence[int]:
        """See `Contestant`."""
        (alarms,) = self.alarms_by_feature(trial, knob)
        return alarms

    def alarms_by_feature(self, trial: Trial, knob: float) -> list[Sequence[int]]:
        """Return the strides at which any detector finds a change, by feature."""
        alarms: list[set[int]] = [set() for _ in trial.live]
        for part in divide_trial(trial, self.stride):
            found = self._found(part, knob)
            for feature, row in zip(part.features, found.T, strict=True):
                strides = np.flatnonzero(row) + 1
                alarms[feature].update(part.ends[strides * part.stride - 1].tolist())
        return [sorted(positions) for positions in alarms]

    def live(self, trial: Trial) -> Iterator[object]:
        """Run every detector on every stride, as the daemon does when many records wait.

        The first item follows the setup and is not a verdict.
        """
        baseline = baseline_for(trial)
        batches = self._evaluate(trial, baseline, self._levels(1e-4, baseline))
        yield None
        for found in batches:
            yield from zip(*found, strict=True)

    def state(self, trial: Trial) -> Any:
        """Return baseline, window and detectors of one feature."""
        baseline = baseline_for(trial)
        ring = Window(baseline, WINDOW, self.stride)
        return baseline, ring, registry.create(self._levels(1e-4, baseline), baseline, ring)

    def _found(self, part: Part, knob: float) -> Bools:
        """Return whether any detector finds a change in a part, shape (strides, streams)."""
        group, baseline = part.group, part.group.baseline
        per_stride = knob / 1e6 * part.stride / group.share * group.budget
        batches = run_in_batches(
            self._levels(per_stride, baseline),
            baseline,
            part.numbers,
            part.bins,
            window=group.windows.records,
            stride=part.stride,
        )
        return np.concatenate(
            [np.logical_or.reduce([mask for mask in found if mask.shape[1]]) for found in batches]
            or [np.zeros((0, len(part.features)), bool)]
        )

    def _evaluate(
        self, trial: Trial, baseline: Baseline, levels: dict[str, float]
    ) -> Iterator[list[Bools]]:
        """Yield the findings of each detector, for a batch of strides at a time."""
        numbers, bins = columns(trial, baseline)
        return run_in_batches(levels, baseline, numbers, bins, window=WINDOW, stride=self.stride)

    def _levels(self, per_stride: float, baseline: Baseline) -> dict[str, float]:
        watched = registry.count_streams(self.names, baseline)
        return allocate_levels(min(0.5, per_stride), watched, self.weights)


class ShortStride(AllDetectors):
    """All detectors with `windows.stride: 10`, at about the cost of ADWIN."""

    stride: ClassVar[int] = 10


class WindowTests(AllDetectors):
    """The tests on a window only, with one budget."""

    names: ClassVar = ("psi", "ks", "zscore", "chi2")
    memory: ClassVar[int | None] = WINDOW


@dataclass(frozen=True, slots=True)
class Part:
    """Live records of the streams of one group, which are watched together as in the daemon.

    numbers, bins: arguments of `Window.extend`. ends: shape (n,), number of live records of the
    trial read at each record of the group. features: feature of the trial by stream.
    """

    group: StreamGroup
    numbers: Floats
    bins: NDArray[np.uint8]
    ends: NDArray[np.intp]
    features: Sequence[int]

    @property
    def stride(self) -> int:
        """Records of the group between two evaluations."""
        return self.group.windows.stride


def divide_trial(trial: Trial, stride: int) -> Iterator[Part]:
    """Yield the groups of streams that the daemon watches, with their live records.

    The values of a sparse feature are watched in windows of their own.
    """
    divided = divide(baseline_for(trial), WindowsConfig(records=WINDOW, stride=stride))
    for group in divided:
        if trial.kind == CATEGORICAL:
            numbers, bins = columns(trial, group.baseline)
            present = np.arange(trial.live.shape[1])
            features = list(range(len(trial.live)))
        else:
            flags = dict(group.flags)
            names = [stream.name for stream in group.baseline.numeric]
            features = [int(flags.get(name, name)[1:]) for name in names]
            rows = trial.live[features]
            numbers = np.where([[name in flags] for name in names], np.isnan(rows), rows)
            present = np.arange(numbers.shape[1])
            if group.feature:
                present = np.flatnonzero(~np.isnan(numbers[0]))
            numbers = numbers[:, present]
            bins = np.zeros((0, numbers.shape[1]), np.uint8)
        yield Part(group, numbers, bins, present + 1, features)


def columns(trial: Trial, baseline: Baseline) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the live records as arguments of `Window.extend`."""
    if trial.kind == CATEGORICAL:
        tables = [stream.cells_by_code(NAMES) for stream in baseline.categorical]
        rows = zip(tables, trial.live.astype(np.intp), strict=True)
        bins = np.array([table[codes] for table, codes in rows], np.uint8)
        return np.zeros((0, trial.live.shape[1])), bins
    return trial.live, np.zeros((0, trial.live.shape[1]), np.uint8)


def baseline_for(trial: Trial) -> Baseline:
    """Build the baseline from the reference of a trial."""
    if trial.kind == CATEGORICAL:
        rows = trial.reference.astype(np.intp)
        streams = [
            build_categorical_stream(f"x{i}", NAMES, row, WINDOW) for i, row in enumerate(rows)
        ]
        return Baseline(rows.shape[1], (), tuple(streams))
    return baseline_from_array(trial.reference, KINDS[trial.kind], WINDOW)
