"""The criteria of a verdict, which are fixed before the run."""

from __future__ import annotations

import math

import msgspec

from monitor.errors import UserError


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict is made by.

    margin: drop from which the model counts as worse, in units of the metric: 0.05 is 5 points.
    margins: other margins by task.
    alpha: probability of a false "regressed", and, at a drop of the margin, of a false
        "not_regressed". Both hold with a look after every chunk.
    power: probability with which `required_n` items suffice.
    min_items: pairs below which a task is inconclusive.
    max_failed: largest share of unusable answers, of the candidate and of the baseline.
    """

    margin: float = 0.05
    margins: dict[str, float] = {}
    alpha: float = 0.05
    power: float = 0.8
    min_items: int = 30
    max_failed: float = 0.05

    def __post_init__(self) -> None:
        """Raise UserError if a value is out of range."""
        for name, value in {"margin": self.margin, **self.margins}.items():
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"margin of {name!r}: {value} is not above 0")
        for name, value in (("alpha", self.alpha), ("power", self.power)):
            if not 0 < value < 1:
                raise UserError(f"{name}: {value} is not between 0 and 1")
        if self.min_items < 2:
            raise UserError(f"min_items: {self.min_items} is less than 2")
        if not 0 <= self.max_failed < 1:
            raise UserError(f"max_failed: {self.max_failed} is not a share below 1")

    def margin_of(self, task: str) -> float:
        """Return the margin of a task."""
        return self.margins.get(task, self.margin)
