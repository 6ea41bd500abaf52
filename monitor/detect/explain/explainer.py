"""Explains the events of one watch from the history that it keeps for that purpose."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType, structs
from numpy.typing import NDArray

from detectors.arrays import Floats
from detectors.baseline import Baseline, sum_by_bin
from detectors.categorical_stream import CategoricalStream
from detectors.intervals import moved_shares
from detectors.parts import Parts, parts_of
from detectors.window import STRIDES_PER_BATCH, Windows
from monitor.detect.alarms.evaluator import AlarmTransition
from monitor.detect.explain.bins import MAX_BINS
from monitor.detect.explain.change_point import change_point
from monitor.detect.explain.example_buffer import ExampleBuffer
from monitor.detect.explain.explanation import changed_together, explain, moved_markers
from monitor.detect.explain.incident import final_size
from monitor.detect.explain.new_categories import NewCategories, SavedNames
from monitor.events.types import ChangePoint, Explanation, Summary

HISTORY = 256
"""Strides for which event times are kept, to date the start of a change."""


class ExplainerState(msgspec.Struct, frozen=True):
    """State of an explainer in a checkpoint.

    numbers: unset for a group of all records, where they follow from the number of strides.
    """

    times: bytes = b""
    examples: bytes = b""
    numbers: bytes | UnsetType = UNSET
    new_categories: SavedNames = {}


class Explainer:
    """Explains the alarm transitions of one group of streams.

    min_psi: PSI from which on another feature is reported as changed too.
    spacing: expected records of the model per stride of the group. stride: records of the group.
    times, numbers: event times of the last records of the newest strides, and their numbers among
    the records of the model. strides: number of strides so far.
    """

    def __init__(self, baseline: Baseline, min_psi: float, spacing: float, stride: int) -> None:
        self.baseline = baseline
        self.min_psi = min_psi
        self.spacing = spacing
        self.examples = ExampleBuffer()
        self.new_categories = NewCategories(baseline, stride)
        self.strides = 0
        # the first stride of a batch also needs the whole history before it
        self.times: deque[float] = deque(maxlen=HISTORY + STRIDES_PER_BATCH)
        self.numbers: deque[int] = deque(maxlen=HISTORY + STRIDES_PER_BATCH)

    def add_strides(self, times: Floats, numbers: NDArray[np.int64], strides: int) -> None:
        """Add strides.

        times, numbers: event times and numbers of their last records, shape (m,). strides: new
        total.
        """
        self.times.extend(times.tolist())
        self.numbers.extend(numbers.tolist())
        self.strides = strides

    def explain(
        self,
        transition: AlarmTransition,
        parts: Parts,
        reference: Summary,
        current: Summary,
        moves: Mapping[str, float],
    ) -> Explanation:
        """Return the explanation of a transition.

        parts: those of its stream. reference, current: summaries of the reference and of the
        measured records. moves: as in `stated_summaries`.
        """
        stream, size = transition.stream, transition.size
        newest = transition.window.stride_number
        since = self._not_after(self._start(transition), newest)
        if transition.change == "resolved":
            return Explanation(since=since, final=final_size(transition.alarm, transition.lasting))
        assert since is not None
        before_sample = newest - size.sample.records // size.sample.stride
        first = max(since.record, self.number(before_sample, newest) + 1)
        if self.number(before_sample, newest) + 1 < since.record:
            # records from before the change hide moves: state none of those that are not certain
            moves = {name: move for name, move in moves.items() if move}
        last = self.number(newest, newest)
        explanation = explain(
            self.baseline.streams[stream],
            parts,
            reference,
            current,
            moves,
            self.examples.within(first, last),
        )
        return structs.replace(
            explanation,
            since=since,
            further=self._step(transition) is not None,
            new_categories=self._new_categories(stream, size.sample, newest),
            together=changed_together(
                self.baseline, stream, size.sample, self.min_psi, transition.found
            ),
            bet=size.leading_bet.bet if size.leading_bet else None,
            markers=moved_markers(
                self.baseline, stream, size.sample, self.min_psi, transition.found
            ),
        )

    def parts(self, transition: AlarmTransition) -> Parts:
        """Return the parts of the transition's stream for the measured records."""
        stream, sample = self.baseline.streams[transition.stream], transition.size.sample
        shared = dict[str, int]()
        if isinstance(stream, CategoricalStream):
            newest = transition.window.stride_number
            strides = range(newest - sample.records // sample.stride + 1, newest + 1)
            shared = self.new_categories.shared(stream.name, strides)
        return parts_of(stream, sample.cell_counts[0, transition.stream], shared)

    def _new_categories(self, stream: int, sample: Windows, newest: int) -> dict[str, float]:
        """Return the most frequent unknown categories of the measured records, if they grew."""
        reference = self.baseline.streams[stream]
        if not isinstance(reference, CategoricalStream):
            return {}
        counts = sum_by_bin(sample.cell_counts[0, stream], reference)
        expected = reference.bin_counts()
        moved = moved_shares(expected, counts, reference.inflation, 2 * MAX_BINS)[-2]
        if not moved or counts[-2] / counts.sum() < expected[-2] / expected.sum():
            return {}
        strides = range(newest - sample.records // sample.stride + 1, newest + 1)
        names = self.new_categories.most_frequent(reference.name, strides)
        return {name: count / float(counts[:-1].sum()) for name, count in names.items()}

    def _start(self, transition: AlarmTransition) -> ChangePoint | None:
        """Return the start of the change that an event reports.

        An alarm keeps its start, but an escalation by a later step has the start of this step.
        """
        alarm, change = transition.alarm, transition.change
        level = alarm.incident.level or alarm.since
        if change == "resolved":
            return alarm.since
        if change == "opened" or level is None:
            return self._since(transition)
        step = self._step(transition)
        return level if step is None else step

    def _step(self, transition: AlarmTransition) -> ChangePoint | None:
        """Return the start of a later step by which an alarm escalates; None if there is none.

        Only a step that was tested has begun after the last page (`ChangeMeter.measure`): within
        the window, the most likely start of the same change can be anywhere.
        """
        paged = transition.alarm.incident.paged
        if transition.change != "escalated" or not paged or transition.size.since is None:
            return None
        newest = self._since(transition)
        return newest if newest.record > paged else None

    def _since(self, transition: AlarmTransition) -> ChangePoint:
        """Return the start of the change, by default the most likely one within the window."""
        window, since = transition.window, transition.size.since
        if since is None:
            stream = self.baseline.streams[transition.stream]
            counts = sum_by_bin(window.cells_by_stride(transition.stream), stream)
            counts = counts[-min(len(counts), window.stride_number) :]
            since = window.stride_number - len(counts) + change_point(counts, stream.bin_counts())
        record = self.number(since, window.stride_number) + 1
        time = self._time(since) if window.stride_number - since < HISTORY else None
        return ChangePoint(record=record, time=time)

    def number(self, stride: int, newest: int) -> int:
        """Return the number of the last record of a stride among the records of the model.

        Numbers of strides that are not kept are estimated by `spacing`. The result does not depend
        on the strides after the newest one.
        """
        kept = max(stride, newest - HISTORY + 1, self.strides - len(self.numbers) + 1)
        number = self.numbers[kept - self.strides - 1]
        return max(0, number - round((kept - stride) * self.spacing))

    def strides_since(self, record: int, newest: int) -> int:
        """Return the strides since a record of the model, up to the newest one; see `number`."""
        strides = 0
        while strides < HISTORY - 1 and self.number(newest - strides, newest) >= record:
            strides += 1
        rest = self.number(newest - strides, newest) - record + 1
        return strides + max(0, round(rest / self.spacing))

    def _time(self, stride: int) -> float | None:
        """Return the event time of the last record of a stride; None if it is no longer kept."""
        ago = self.strides - stride
        return self.times[-1 - ago] if ago < len(self.times) else None

    def _not_after(self, since: ChangePoint | None, stride: int) -> ChangePoint | None:
        """Return a start whose event time is not after that of the last record of a stride.

        Records may arrive out of order.
        """
        if since is None or since.time is None:
            return since
        return structs.replace(since, time=min(since.time, self.times[stride - self.strides - 1]))

    def snapshot(self) -> ExplainerState:
        """Return the state, for `restore` of an explainer of the same baseline."""
        times = np.array(self.times, np.float64).tobytes()
        numbers = np.array(self.numbers, np.int64).tobytes() if self.baseline.of_values else UNSET
        examples = self.examples.snapshot(self.baseline)
        return ExplainerState(times, examples, numbers, self.new_categories.snapshot())

    def restore(self, state: ExplainerState, strides: int, number: int) -> None:
        """Restore a snapshot.

        strides: strides so far. number: that of the last record of the newest stride, for a group
        of all records.
        Raises ChunkError or ValueError if it is invalid.
        """
        times = np.frombuffer(state.times).tolist()
        saved = b"" if state.numbers is UNSET else state.numbers
        numbers = np.frombuffer(saved, np.int64).tolist() or [number]
        # at most one for each stride: the number before the first one is always an estimate
        numbers = numbers[-strides:] if strides else []
        self.examples.restore(state.examples)
        self.new_categories.restore(state.new_categories)
        self.strides = strides
        for kept, restored in ((self.times, times), (self.numbers, numbers)):
            kept.clear()
            kept.extend(restored)
