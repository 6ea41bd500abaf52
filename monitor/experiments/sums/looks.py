"""When to look at an experiment: at event-time minutes that its shards have reached."""

from __future__ import annotations

from typing import Final

from monitor.experiments.design import Design
from monitor.experiments.sums.layout import Layout
from monitor.experiments.sums.look import LookData
from monitor.experiments.sums.merge import look_time, merge
from monitor.experiments.sums.state import Partial

WAIT_SECONDS: Final = 10.0
"""Time that a look waits for shards that are behind."""


class Looks:
    """The newest closed sums of the shards of an experiment, and the looks at them.

    partials: by shard and partition, of the phase of the design.
    """

    def __init__(self, design: Design, layout: Layout) -> None:
        self.design = design
        self.layout = layout
        self.partials: dict[tuple[int, int], Partial] = {}
        self._waiting: tuple[float, float] | None = None

    def update(self, shard: int, partition: int, partial: Partial) -> None:
        """Replace the closed sums of a shard; those of another phase are ignored."""
        if partial.phase == self.design.phase:
            self.partials[shard, partition] = partial

    def due(self, last: float | None, now: float) -> LookData | None:
        """Return the data of the next look, if it is due.

        A look is due when all shards have reached its time, or after WAIT_SECONDS.
        last: time of the last look of this phase. now: seconds of a clock that is never set back.
        """
        time, complete = look_time(self.partials.values())
        if time <= 0 or (last is not None and time <= last):
            self._waiting = None
            return None
        if not complete:
            if self._waiting is None or self._waiting[0] != time:
                self._waiting = (time, now if self._waiting is None else self._waiting[1])
            if now < self._waiting[1] + WAIT_SECONDS:
                return None
        self._waiting = None
        return self.data(time)

    def data(self, time: float) -> LookData:
        """Return the data of a look at a time."""
        return merge(self.design, self.layout, self.partials, time)
