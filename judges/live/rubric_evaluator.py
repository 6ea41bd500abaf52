"""Evaluate samples by a rubric: the pinned judge decides, a panel beside it measures agreement."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from msgspec.structs import replace

from judges.budget.prices import Prices
from judges.calls import JudgeClient, Unscored, UnscoredReason
from judges.hostile.background import in_background
from judges.live.evaluator import evaluation_of
from judges.rubrics.judge import ask_judge, unscored_without_call
from judges.rubrics.panel import NO_PANEL, Panel, drawn
from judges.rubrics.prompt import judge_call
from judges.rubrics.rubric import Rubric
from judges.rubrics.verdict import Verdict
from monitor.events.evaluations import Evaluation
from monitor.records import Sample
from monitor.statistics.panel import AgreementClass, spread


@dataclass(frozen=True)
class RubricEvaluator:
    """Evaluates samples by one rubric.

    model: the pinned judge, whose score counts. random: source of the delimiters.
    """

    rubric: Rubric
    model: str
    random: Random
    panel: Panel = NO_PANEL

    @property
    def name(self) -> str:
        """Name of the feature."""
        return f"judge.{self.rubric.name}"

    @cached_property
    def version(self) -> str:
        """Hash of the rubric and the pinned judge; the panel does not change the score."""
        content = f"{self.rubric.hash} {self.model}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def applies(self, sample: Sample) -> bool:
        """Return True: a sample that lacks something is unscored by name."""
        return True

    def _models(self, sample: Sample) -> Sequence[str]:
        """Return the judges of a sample, the pinned one first."""
        chosen = self.panel.models and drawn(sample.request_id, self.panel.share)
        return (self.model, *self.panel.models) if chosen else (self.model,)

    def worst_case(self, sample: Sample, prices: Prices) -> int:
        """Return an upper bound of the cost of one request to each judge, in nanodollars.

        The checks that leave a sample unscored without a request are slower, so they wait.
        """
        call = judge_call(self.rubric, self.model, sample, self.random)
        return sum(
            prices.worst_case(dataclasses.replace(call, model=model))
            for model in self._models(sample)
        )

    async def evaluate(self, sample: Sample, client: JudgeClient) -> Evaluation:
        """Return the score of the pinned judge, with the votes of the panel if there is one."""
        unscored = await in_background(unscored_without_call, self.rubric, sample)
        if unscored is not None:
            return self._evaluation(sample, unscored)
        calls = (
            ask_judge(client, self.rubric, model, sample, random=self.random)
            for model in self._models(sample)
        )
        pinned, *others = await asyncio.gather(*calls)
        return self._evaluation(sample, pinned, others)

    def _evaluation(
        self, sample: Sample, result: Verdict | Unscored, others: Sequence[Verdict | Unscored] = ()
    ) -> Evaluation:
        votes = [each.overall for each in (result, *others) if isinstance(each, Verdict)]
        blank = evaluation_of(self, sample, self.model)
        if others:
            blank = replace(blank, votes=tuple(votes), flags=_disagreement(votes))
        if isinstance(result, Unscored):
            return replace(blank, unscored=str(result.reason), explanation=result.detail)
        if result.flags:
            # The judge repeated the secret delimiters: its score may be that of the judged text.
            return replace(
                blank,
                unscored=str(UnscoredReason.INJECTION_SUSPECTED),
                flags=(*blank.flags, *result.flags),
            )
        return replace(
            blank,
            score=result.overall,
            passed=result.passed,
            pass_mark=self.rubric.pass_mark,
            dimensions={name: float(each) for name, each in result.scores.items()},
            explanation=result.reasoning,
        )


def _disagreement(votes: Sequence[float]) -> tuple[str, ...]:
    """Return a flag if the judges of a panel are so far apart that people should look."""
    found = spread(votes)
    low = found is not None and found.agreement is AgreementClass.LOW
    return ("low_agreement",) if low else ()
