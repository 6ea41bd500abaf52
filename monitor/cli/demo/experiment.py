"""The experiment in the synthetic traffic: the treatment has better scores.

The effect lasts from the first to the last record, so it is no drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.config.sections.experiments.metrics import MetricConfig
from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.experiments.assignment.assign import assign


@dataclass(frozen=True, slots=True)
class InjectedEffect:
    """An effect on a score of one model.

    part: the share of the way from its score to 1 by which a request of the treatment is better.
    """

    experiment: str
    model: str
    control: str
    treatment: str
    score: str
    part: float

    def variants(self, users: Sequence[str]) -> list[str | None]:
        """Return the variant of each user, by the same hash as `assignment: hash`."""
        weights = {self.control: 0.5, self.treatment: 0.5}
        return [assign(user, weights, self.experiment).variant for user in users]


EFFECT: Final = InjectedEffect(
    experiment="shorter-prompt",
    model="code-small",
    control="control",
    treatment="treatment",
    score="relevance",
    part=0.1,
)


def experiments() -> dict[str, ExperimentConfig]:
    """Return the section `experiments` that fits the effect."""
    return {
        EFFECT.experiment: ExperimentConfig(
            variants={EFFECT.control: 0.5, EFFECT.treatment: 0.5},
            goal=MetricConfig(metric=f"score.{EFFECT.score}"),
            secondary=(MetricConfig(metric="output_tokens"),),
            guardrails=(MetricConfig(metric="cost_usd", mde=0.2),),
            mde=0.02,
        )
    }
