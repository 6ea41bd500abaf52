"""Evaluate samples by deterministic checks: without calls, cost and budget."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import msgspec
from msgspec.structs import replace

from judges.budget.prices import Prices
from judges.calls import Answer, Call, CallFailed, JudgeClient, UnscoredReason
from judges.checks.build import Check, build
from judges.checks.specifications import Specification
from judges.live.evaluator import evaluation_of
from monitor.events.evaluations import Evaluation
from monitor.records import Sample


@dataclass(frozen=True)
class CheckEvaluator:
    """Evaluates samples by one check. Raises ValueError if its specification cannot work.

    The value is 1 or 0, and the sample passed if it is 1.
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

    def applies(self, sample: Sample) -> bool:
        """Return whether the sample has a value: a prompt that is no trap has none."""
        return self._check(sample) is not None

    def worst_case(self, sample: Sample, prices: Prices) -> int:
        """Return 0: a check makes no calls."""
        return 0

    async def evaluate(self, sample: Sample, client: JudgeClient) -> Evaluation:
        """Return the value as a score."""
        value = self._check(sample)
        blank = evaluation_of(self, sample)
        if value is None:
            return replace(blank, unscored=str(UnscoredReason.NOT_APPLICABLE))
        return replace(blank, score=value, passed=value >= 1)


class NoClient:
    """The client of a role that runs checks only. Implements JudgeClient."""

    async def ask(self, call: Call) -> Answer:
        """Raise CallFailed: no judge is configured."""
        raise CallFailed(UnscoredReason.UNAVAILABLE, "no judge is configured", fatal=True)

    async def close(self) -> None:
        """Do nothing."""
