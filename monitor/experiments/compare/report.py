"""The result of an offline comparison as a dictionary for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from monitor.experiments.compare.answers import Answers
from monitor.experiments.compare.comparison import Criteria, MetricResult, Ratings, VariantResult
from monitor.experiments.compare.matching import Matched
from monitor.statistics.bradley_terry import Rating

POINTS: Final = 400 / math.log(10)
"""Points of a rating per unit of log odds: 400 points are odds of 10 to 1, as in Elo's ratings."""


def report(
    files: Sequence[Answers],
    matched: Matched,
    criteria: Criteria,
    variants: Sequence[VariantResult],
    ratings: Ratings | None,
) -> dict[str, Any]:
    """Return the report. A number that is not determined, such as an infinite bound, is None."""
    return {
        "control": files[0].name,
        "matched_by": str(matched.by),
        "alpha": criteria.alpha,
        "mde": criteria.mde,
        "answers": {
            each.name: {
                "source": each.source,
                "answers": len(each.answers),
                "unmatched": unmatched,
                "rejected": {str(r.reason): r.count for r in each.rejections.by_reason()},
                "scores_dropped": each.scores_dropped,
            }
            for each, unmatched in zip(files, matched.unmatched, strict=True)
        },
        "variants": {
            each.name: {
                "pairs": each.pairs,
                "prompts": each.prompts,
                "metrics": {metric.name: _metric(metric) for metric in each.metrics},
            }
            for each in variants
        },
        "ratings": None if ratings is None else _ratings(ratings),
    }


def _metric(result: MetricResult) -> dict[str, Any]:
    effect, wins = result.effect, result.wins
    return {
        "verdict": result.verdict,
        "contradiction": result.contradiction,
        "scale": result.scale,
        "direction": result.direction,
        "pairs": result.pairs,
        "prompts": result.prompts,
        "unscored": result.unscored,
        "control_mean": result.control_mean,
        "mean": result.mean,
        "effect_kind": result.effect_kind,
        "effect": None if effect is None else finite(effect.value),
        "lower": None if effect is None else finite(effect.lower),
        "upper": None if effect is None else finite(effect.upper),
        "p_value": result.p_value,
        "p_adjusted": result.p_adjusted,
        "wins": None if wins is None else wins.wins,
        "ties": None if wins is None else wins.ties,
        "losses": None if wins is None else wins.losses,
        "win_rate": None if wins is None else wins.rate.value,
        "win_rate_lower": None if wins is None else wins.rate.lower,
        "win_rate_upper": None if wins is None else wins.rate.upper,
    }


def _ratings(ratings: Ratings) -> dict[str, Any]:
    return {
        "goal": ratings.goal,
        "unscored": ratings.unscored,
        "models": {
            name: None if rating is None else _rating(rating)
            for name, rating in ratings.by_name.items()
        },
    }


def _rating(rating: Rating) -> dict[str, Any]:
    return {
        "rating": rating.value * POINTS,
        "lower": finite(rating.lower * POINTS),
        "upper": finite(rating.upper * POINTS),
        "win_rate": chance(rating.value),
        "win_rate_lower": chance(rating.lower),
        "win_rate_upper": chance(rating.upper),
        "comparisons": rating.comparisons,
    }


def chance(log_odds: float) -> float:
    """Return the probability of log odds, which may be infinite."""
    return 0.5 * (1 + math.tanh(log_odds / 2))


def finite(value: float) -> float | None:
    """Return a number, or None if it is infinite."""
    return value if math.isfinite(value) else None
