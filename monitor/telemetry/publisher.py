"""Publishes the numbers behind the verdicts: worked out for the metrics, some models at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from monitor.checkpoint import Partition
from monitor.metrics import Metrics, ModelState
from monitor.segments import WHOLE
from monitor.watch import Watch

ROUND_SECONDS = 5.0
"""How often the numbers of every model are worked out."""
SHARE = 0.02
"""How much of the time that may take, with however many models."""
STEP_SECONDS = 0.05
"""How long the records may have to wait for it: then they have their turn."""


class Publisher:
    """Goes round the models, a step at a time; what is found does not depend on it.

    due: when the next step is.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.due = 0.0
        self._round: Iterator[None] | None = None
        self._next_round = 0.0

    def step(self, partitions: Mapping[int, Partition]) -> bool:
        """Go on, or round again; whether all models have had their turn."""
        started = now = time.monotonic()
        if self._round is None:
            self._round = self._publish(dict(partitions))
            self._next_round = started + ROUND_SECONDS
        ended = True
        for _ in self._round:
            now = time.monotonic()
            if now >= started + STEP_SECONDS:
                ended = False
                break
        self.due = now + (now - started) * (1 / SHARE - 1)
        if ended:
            self._round = None
            self.due = max(self.due, self._next_round)
        return ended

    def forget(self, partitions: Iterable[int]) -> None:
        """Withdraw what partitions that are given away have said, and begin a round anew."""
        with self.metrics.lock:
            for number in partitions:
                self.metrics.models.pop(number, None)
        self._round, self.due = None, 0.0

    def _publish(self, partitions: Mapping[int, Partition]) -> Iterator[None]:
        """Replace each partition's states; pauses after each model that took some work."""
        for number, partition in partitions.items():
            known = {state.model: state for state in self.metrics.models.get(number, ())}
            states = []
            for (_, segment), watch in list(partition.monitor.watches.items()):
                if segment != WHOLE:
                    continue
                state = known.get(watch.model)
                if state is None or state.records != watch.records:
                    state = _state(watch)
                    yield
                states.append(state)
            with self.metrics.lock:
                self.metrics.models[number] = states


def _state(watch: Watch) -> ModelState:
    return ModelState(
        model=watch.model,
        records=watch.records,
        reference_records=watch.profile.records if watch.profile else 0,
        window_records=watch.window_records(),
        readings=watch.readings(),
        psi=watch.psi(),
        severities=watch.severities(),
    )
