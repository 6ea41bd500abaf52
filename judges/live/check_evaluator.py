"""Evaluate samples by deterministic checks: without calls, cost and budget."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec
from msgspec.structs import replace

from judges.budget.prices import Prices
from judges.calls import Answer, Call, CallFailed, JudgeClient, UnscoredReason
from judges.checks.build import Check, build
from judges.checks.specifications import ParaphraseCheck, Specification
from judges.live.evaluator import evaluation_of
from monitor.events.evaluations import Evaluation
from monitor.records import Sample

AGREES: Final = 0.5
"""Agreement of two responses from which on a pair passes."""


@dataclass(frozen=True)
class CheckEvaluator:
    """Evaluates samples by one check. Raises ValueError if its specification cannot work.

    The value is 1 or 0, and the sample passed if it is 1; two paraphrases agree from `AGREES` on.
    """

    specification: Specification

    def __post_init__(self) -> None:
        _ = self._check  # the configuration is checked when the role starts

    @cached_property
    def _check(self) -> Check:
        return build(self.specification)

    @property
    def name(self) -> str:
        """Name of the feature."""
        return f"check.{self.specification.name}"

    @cached_property
    def version(self) -> str:
        """Hash of the specification."""
        kind = type(self.specification).__name__
        content = msgspec.json.encode((kind, self.specification), order="sorted")
        return hashlib.sha256(content).hexdigest()[:16]

    @cached_property
    def _pairs(self) -> OrderedDict[str, float | None]:
        """Values by request id: a check of pairs has state, so it sees each sample once."""
        return OrderedDict()

    def _value(self, sample: Sample) -> float | None:
        if not isinstance(self.specification, ParaphraseCheck):
            return self._check(sample)
        if sample.request_id not in self._pairs:
            self._pairs[sample.request_id] = self._check(sample)
            if len(self._pairs) > self.specification.pending:
                self._pairs.popitem(last=False)
        return self._pairs[sample.request_id]

    def applies(self, sample: Sample) -> bool:
        """Return whether the sample has a value: a prompt that is no trap has none."""
        return self._value(sample) is not None

    def worst_case(self, sample: Sample, prices: Prices) -> int:
        """Return 0: a check makes no calls."""
        return 0

    async def evaluate(self, sample: Sample, client: JudgeClient) -> Evaluation:
        """Return the value as a score."""
        value = self._value(sample)
        blank = evaluation_of(self, sample)
        if value is None:
            return replace(blank, unscored=str(UnscoredReason.NOT_APPLICABLE))
        mark = AGREES if isinstance(self.specification, ParaphraseCheck) else 1.0
        return replace(blank, score=value, passed=value >= mark, pass_mark=mark)


class NoClient:
    """The client of a role that runs checks only. Implements JudgeClient."""

    async def ask(self, call: Call) -> Answer:
        """Raise CallFailed: no judge is configured."""
        raise CallFailed(UnscoredReason.UNAVAILABLE, "no judge is configured", fatal=True)

    async def close(self) -> None:
        """Do nothing."""
