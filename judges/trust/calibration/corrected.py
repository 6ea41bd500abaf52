"""Quality of each model's traffic from the judge's scores, corrected by the labels of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from judges.trust.calibration.calibrate import Pairs, Verdict, pair
from judges.trust.calibration.judged import Judged, Traffic
from judges.trust.calibration.labels import Label, scale_of
from monitor.events.evaluations import HUMAN, Evaluation
from monitor.statistics.agreement import Undefined
from monitor.statistics.corrected import Corrected, corrected_mean, rogan_gladen

PASSES = 0.0, 1.0


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """Corrected quality of one model.

    mean, pass_rate: by prediction-powered inference. pass_rate_by_errors: from sensitivity and
    specificity (Rogan-Gladen).
    """

    model: str
    mean: Corrected | Undefined
    pass_rate: Corrected | Undefined
    pass_rate_by_errors: Corrected | Undefined


@dataclass(frozen=True, slots=True)
class Publication:
    """Labels as evaluations. left_out: labelled responses that cannot be published, by reason."""

    evaluations: list[Evaluation]
    left_out: dict[str, int] = field(default_factory=dict)


def model_qualities(
    rubric: str, judged: Judged, *, pass_mark: float | None = None
) -> list[ModelQuality]:
    """Return the corrected quality of each model with labels, for responses as a whole."""
    verdicts = judged.verdicts()
    found = []
    for model in sorted({each.model for each in judged.evaluations.values()}):
        labels = [
            each for each in judged.labels if judged.evaluations[each.request_id].model == model
        ]
        pairs = _whole(rubric, labels, verdicts, pass_mark)
        if pairs is not None:
            traffic = judged.traffic.get(model, Traffic())
            found.append(_quality(model, pairs, traffic, scale_of(rubric)))
    return found


def _whole(
    rubric: str, labels: Iterable[Label], verdicts: Iterable[Verdict], pass_mark: float | None
) -> Pairs | None:
    return pair(labels, verdicts, pass_mark=pass_mark).get((rubric, ""))


def _quality(
    model: str, pairs: Pairs, traffic: Traffic, scale: tuple[float, float]
) -> ModelQuality:
    scored = ~(np.isnan(pairs.human) | np.isnan(pairs.judge))
    passed = ~(np.isnan(pairs.human_passed) | np.isnan(pairs.judge_passed))
    human, judge = pairs.human_passed[passed], pairs.judge_passed[passed]
    passes, inclusion = traffic.passes.moments(), pairs.inclusion[passed]
    return ModelQuality(
        model,
        corrected_mean(
            pairs.human[scored],
            pairs.judge[scored],
            traffic.scores.moments(),
            inclusion=pairs.inclusion[scored],
            bounds=scale,
        ),
        corrected_mean(human, judge, passes, inclusion=inclusion, bounds=PASSES),
        rogan_gladen(human, judge, passes, inclusion=inclusion),
    )


def published(rubric: str, judged: Judged, *, pass_mark: float | None = None) -> Publication:
    """Return the labels of responses as a whole as evaluations by people.

    Each has the score of the judge for the same response and its inclusion probability, which is
    what a corrected estimate needs. Of several people, the mean is published.
    """
    evaluations, left_out = [], {"without a score": 0}
    verdicts = {each.request_id: each for each in judged.verdicts() if not each.dimension}
    labels: dict[str, list[Label]] = {}
    for each in judged.labels:
        if not each.dimension:
            labels.setdefault(each.request_id, []).append(each)
    for request_id, given in sorted(labels.items()):
        pairs = _whole(rubric, given, [verdicts[request_id]], pass_mark)
        if pairs is None or np.isnan(pairs.human[0]):
            left_out["without a score"] += 1
            continue
        source, passed = judged.evaluations[request_id], pairs.human_passed[0]
        evaluations.append(
            Evaluation(
                name=source.name,
                request_id=request_id,
                model=source.model,
                time=source.time,
                score=float(pairs.human[0]),
                passed=None if np.isnan(passed) else bool(passed),
                evaluator=HUMAN,
                version=source.version,
                probability=float(pairs.inclusion[0]),
                judge_score=source.score,
            )
        )
    return Publication(evaluations, {name: count for name, count in left_out.items() if count})
