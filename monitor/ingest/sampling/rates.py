"""The rate at which a record is drawn, and the reasons to draw it in addition.

A record is drawn at the largest of `rate` and of the rates of its model and its segments. If it is
of experiments that have a rate of their own, it is drawn at the largest of these instead: rates by
model or finish reason could differ between variants, and would then bias their comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import numpy as np

from detectors.arrays import Floats
from monitor.config.sections.ingest.sampling import BoostConfig, SamplingConfig
from monitor.ingest.fields.fields import Coded, Fields
from monitor.records import WholeRecord

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

    def bounds(self, models: Coded[str]) -> Floats:
        """Return a bound of the rate of each of n records that needs only its model, shape (n,)."""
        rates = self._config.models
        bounds = [max(rates.get(model, 0.0), self._bound) for model in models.vocabulary]
        found: Floats = np.array(bounds, np.float64)[models.codes]
        return found

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
    """

    def __init__(
        self, config: BoostConfig, alarmed: Callable[[], Collection[str]] = frozenset
    ) -> None:
        self._config = config
        self._alarmed = alarmed
        self._scores = config.disagreement.scores

    def reasons(
        self,
        records: Fields,
        payloads: Sequence[bytes],
        numbers: Floats,
        features: tuple[Floats, Floats],
    ) -> dict[int, list[str]]:
        """Return the reasons to draw records, by their index; records without one are absent.

        numbers: of n records for this draw, shape (n,). features: errors and refusals, each of
        shape (n,). `NEGATIVE_FEEDBACK` is among the reasons if the record may have it: see
        `confirmed`.
        """
        config, found = self._config, dict[int, list[str]]()
        for name, feature, rate in (
            (ERROR, features[0], config.errors),
            (REFUSAL, features[1], config.refusals),
        ):
            _add(found, name, ((feature == 1.0) & (numbers < rate)).nonzero()[0].tolist())
        below = (numbers < config.negative_feedback.rate).nonzero()[0].tolist()
        negative = [index for index in below if self._may_be_negative(payloads[index])]
        _add(found, NEGATIVE_FEEDBACK, negative)
        if self._scores:
            below = (numbers < config.disagreement.rate).nonzero()[0].tolist()
            disagree = [i for i in below if self._disagree(records.scores.of(i))]
            _add(found, DISAGREEMENT, disagree)
        models = self._alarmed()
        if models:
            alarming = np.array([model in models for model in records.models.vocabulary], np.bool_)
            drawn = (numbers < config.open_alarms) & alarming[records.models.codes]
            _add(found, OPEN_ALARM, drawn.nonzero()[0].tolist())
        return found

    def _may_be_negative(self, payload: bytes) -> bool:
        """Return whether a message may have negative feedback; `confirmed` decides."""
        if _FEEDBACK_KEY not in payload:  # ten times as fast as the pattern
            return False
        limit = self._config.negative_feedback.below
        return any(float(each) < limit for each in _feedback(payload))

    def confirmed(self, reasons: Sequence[str], record: WholeRecord) -> tuple[str, ...]:
        """Return the reasons without negative feedback unless the record has it."""
        feedback = record.feedback
        negative = feedback is not None and feedback < self._config.negative_feedback.below
        return tuple(each for each in reasons if negative or each != NEGATIVE_FEEDBACK)

    def _disagree(self, given: Mapping[str, float | None]) -> bool:
        scores = [score for name in self._scores if (score := given.get(name)) is not None]
        return len(scores) > 1 and max(scores) - min(scores) >= self._config.disagreement.difference


def _add(found: dict[int, list[str]], reason: str, indices: Sequence[int]) -> None:
    for index in indices:
        found.setdefault(index, []).append(reason)
