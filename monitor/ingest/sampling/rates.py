"""The rate at which a record is drawn, and the reasons to draw it in addition.

A record is drawn at the largest of `rate` and of the rates of its model and its segments. If it is
of experiments that have a rate of their own, it is drawn at the largest of these instead: rates by
model or finish reason could differ between variants, and would then bias their comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.config.sections.sampling import BoostConfig, SamplingConfig
from monitor.records import Record, WholeRecord

ERROR: Final = "error"
REFUSAL: Final = "refusal"
NEGATIVE_FEEDBACK: Final = "negative_feedback"
DISAGREEMENT: Final = "disagreement"
OPEN_ALARM: Final = "open_alarm"

_FEEDBACK_KEY: Final = b'"feedback"'
_feedback: Final = re.compile(rb'"feedback"\s*:\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)').findall
"""Returns the numbers after the key `feedback` in JSON, at any depth."""


class Rates:
    """The rates of the uniform draw."""

    def __init__(self, config: SamplingConfig) -> None:
        self._config = config
        parts = [(segment.partition("="), rate) for segment, rate in config.segments.items()]
        self._segments = [(key, value, rate) for (key, _, value), rate in parts]
        others = (config.segments, config.experiments)
        self._bound = max([config.rate, *(rate for rates in others for rate in rates.values())])

    def bounds(self, records: Sequence[Record]) -> Floats:
        """Return a bound of the rate of each of n records that needs only its model, shape (n,)."""
        models = self._config.models
        if not models:
            return np.full(len(records), self._bound)
        bounds = [models.get(record.model, 0.0) for record in records]
        return np.maximum(np.array(bounds, np.float64), self._bound)

    def of(self, record: WholeRecord) -> float:
        """Return the rate of a record."""
        config = self._config
        own = [
            config.experiments[name]
            for name in record.experiments or ()
            if name in config.experiments
        ]
        if own:
            return max(own)
        segments = [rate for key, value, rate in self._segments if _category(record, key) == value]
        return max([config.rate, config.models.get(record.model, 0.0), *segments])


def _category(record: WholeRecord, key: str) -> str | None:
    """Return the value of a record for a key as in `segments`."""
    if key == "finish_reason":
        return record.finish_reason
    value = (record.metadata or {}).get(key.removeprefix("metadata."))
    return None if value is None else str(value)


class Boosts:
    """The rates of the additional draw, by reason.

    alarmed: returns the models with an open drift alarm.
    bound: the largest of the rates, but that of open alarms.
    """

    def __init__(
        self, config: BoostConfig, alarmed: Callable[[], Collection[str]] = frozenset
    ) -> None:
        self._config = config
        self._alarmed = alarmed
        self._scores = config.disagreement.scores
        disagreement = config.disagreement.rate if self._scores else 0.0
        self.bound = max(
            config.errors, config.refusals, config.negative_feedback.rate, disagreement
        )

    def by_alarm(self, records: Sequence[Record], numbers: Floats) -> NDArray[np.bool_]:
        """Return which of n records are drawn because of an open alarm of their model, shape (n,).

        numbers: of the records for this draw, shape (n,).
        """
        models = self._alarmed()
        if not models:
            return np.zeros(len(records), np.bool_)
        of_models = np.array([record.model in models for record in records], np.bool_)
        return of_models & (numbers < self._config.open_alarms)

    def _may_be_negative(self, payload: bytes) -> bool:
        """Return whether a message may have negative feedback; `confirmed` decides."""
        if _FEEDBACK_KEY not in payload:  # ten times as fast as the pattern
            return False
        limit = self._config.negative_feedback.below
        return any(float(each) < limit for each in _feedback(payload))

    def reasons(
        self, record: Record, payload: bytes, number: float, *, error: bool, refusal: bool
    ) -> list[str]:
        """Return the reasons to draw a record whose number for this draw is `number`.

        error, refusal: features of the record. `NEGATIVE_FEEDBACK` is among the reasons if the
        record may have it: see `confirmed`. `OPEN_ALARM` is not: see `by_alarm`.
        """
        config, reasons = self._config, []
        if error and number < config.errors:
            reasons.append(ERROR)
        if refusal and number < config.refusals:
            reasons.append(REFUSAL)
        if number < config.negative_feedback.rate and self._may_be_negative(payload):
            reasons.append(NEGATIVE_FEEDBACK)
        if self._scores and number < config.disagreement.rate and self._disagree(record):
            reasons.append(DISAGREEMENT)
        return reasons

    def confirmed(self, reasons: Sequence[str], record: WholeRecord) -> tuple[str, ...]:
        """Return the reasons without negative feedback unless the record has it."""
        feedback = record.feedback
        negative = feedback is not None and feedback < self._config.negative_feedback.below
        return tuple(each for each in reasons if negative or each != NEGATIVE_FEEDBACK)

    def _disagree(self, record: Record) -> bool:
        given = record.scores or {}
        scores = [score for name in self._scores if (score := given.get(name)) is not None]
        return len(scores) > 1 and max(scores) - min(scores) >= self._config.disagreement.difference
