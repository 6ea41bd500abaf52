"""Publish the state of the watches for the metrics, a few models at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.watch import Watch
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics, ModelState

ROUND_SECONDS = 5.0
"""Minimum time between the starts of two rounds over all models."""
TIME_SHARE = 0.02
"""Maximum share of the time for publishing, for any number of models."""
STEP_SECONDS = 0.05
"""Time after which a step ends, so that records do not wait longer."""


class Publisher:
    """Publishes the states of all models in rounds of several steps.

    Drift events do not depend on it. due: monotonic time of the next step.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.due = 0.0
        self._round: Iterator[None] | None = None
        self._next_round = 0.0

    def step(self, partitions: Mapping[int, Partition]) -> bool:
        """Continue the round, or start the next; return whether the round is complete."""
        started = now = time.monotonic()
        if self._round is None:
            self._round = self._publish(dict(partitions))
            self._next_round = started + ROUND_SECONDS
        complete = True
        for _ in self._round:
            now = time.monotonic()
            if now >= started + STEP_SECONDS:
                complete = False
                break
        self.due = now + (now - started) * (1 / TIME_SHARE - 1)
        if complete:
            self._round = None
            self.due = max(self.due, self._next_round)
        return complete

    def drop_partitions(self, partitions: Iterable[int]) -> None:
        """Remove the states of revoked partitions and start a new round."""
        with self.metrics.lock:
            for number in partitions:
                self.metrics.models.pop(number, None)
        self._round, self.due = None, 0.0

    def _publish(self, partitions: Mapping[int, Partition]) -> Iterator[None]:
        """Replace the states of each partition; yield after each model that was computed."""
        for number, partition in partitions.items():
            before = self.metrics.models.get(number, ())
            known = {(state.model, state.source): state for state in before}
            states = []
            for watch in partition.monitor.whole():
                state = known.get((watch.model, watch.source))
                if state is None or state.records != watch.records:
                    state = _state(watch)
                    yield
                states.append(state)
            with self.metrics.lock:
                self.metrics.models[number] = states


def _state(watch: Watch) -> ModelState:
    """Return the state of a watch; of the style only features with an open alarm.

    It has more than a hundred features, most of which say nothing: their series would leave no room
    for those of other models.
    """
    severities = watch.severities()
    all_shown = watch.source is not Source.STYLE
    return ModelState(
        model=watch.model,
        records=watch.records,
        reference_records=watch.profile.records if watch.profile else 0,
        window_records=watch.window_records(),
        readings=[r for r in watch.readings() if all_shown or r.feature in severities],
        psi={f: psi for f, psi in watch.psi().items() if all_shown or f in severities},
        severities=severities,
        trends=watch.trends(),
        values=[v for v in watch.values() if all_shown or v.feature in severities],
        source=watch.source,
        warmup=watch.warmup.left if watch.profile is None else 0,
    )
