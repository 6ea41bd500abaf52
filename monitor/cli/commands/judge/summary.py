"""The report of `plumbline judge run`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from judges.live.rubric_evaluator import RubricEvaluator
from judges.ragas.report import Estimate, compare, estimate, rag_report
from judges.rubrics.rubric import Rubric
from judges.trust.calibration.dimensions import MAX_CASES, Row, compare_dimensions
from judges.trust.calibration.report import json_value
from monitor.cli.commands.judge.connection import usd
from monitor.cli.commands.judge.evaluators import Outcome, name_of

if TYPE_CHECKING:
    from monitor.cli.commands.judge.evaluators import Evaluator
    from monitor.ingest.files.rejections import Rejections

_Z: Final = 1.959963984540054
"""Quantile of the normal distribution for intervals of 95 %."""


@dataclass
class Results:
    """The outcomes of one evaluator.

    scores, by_request: of scored records. rows: their scores by dimension, of at most `MAX_CASES`.
    """

    evaluator: Evaluator
    scores: list[float] = field(default_factory=list)
    by_request: dict[str, float] = field(default_factory=dict)
    passed: int = 0
    dimensions: dict[str, float] = field(default_factory=dict)
    unscored: Counter[str] = field(default_factory=Counter)
    rows: list[Row] = field(default_factory=list)

    def add(self, request_id: str, outcome: Outcome) -> None:
        """Count an outcome."""
        if outcome.score is None:
            self.unscored[outcome.unscored or ""] += 1
            return
        self.scores.append(outcome.score)
        self.by_request[request_id] = outcome.score
        self.passed += bool(outcome.passed)
        for name, score in outcome.dimensions.items():
            self.dimensions[name] = self.dimensions.get(name, 0.0) + score
        if len(self.rows) < MAX_CASES:
            self.rows.append((request_id, outcome.dimensions))


def report_of(
    results: Sequence[Results], records: int, repeated: int, rejections: Rejections, spent: int
) -> dict[str, Any]:
    """Return the report. `scored` and `unscored` count evaluations: a record by one evaluator."""
    unscored: Counter[str] = Counter()
    for each in results:
        unscored.update(each.unscored)
    rubrics = [each for each in results if isinstance(each.evaluator, RubricEvaluator)]
    metrics = [each for each in results if not isinstance(each.evaluator, RubricEvaluator)]
    report: dict[str, Any] = {
        "records": records,
        "scored": sum(len(each.scores) for each in results),
        "unscored": dict(sorted(unscored.items())),
        "cost_usd": usd(spent),
        "rubrics": {name_of(each.evaluator): _rubric(each) for each in rubrics},
        "rejected": {each.reason: each.count for each in rejections.by_reason()},
        "skipped": dict(sorted(rejections.skipped.items())),
        "repeated": repeated,
    }
    if metrics:
        report["ragas"] = {name_of(each.evaluator): _common(each) for each in metrics}
        report["rag"] = _rag(metrics)
    return report


def comparison(first: Sequence[Results], second: Sequence[Results]) -> dict[str, Any]:
    """Return the comparison of two files by rubric and metric: the second less the first."""
    values = [
        {name_of(each.evaluator): each.by_request for each in file} for file in (first, second)
    ]
    return {
        name: {
            "first": _estimate(found.first),
            "second": _estimate(found.second),
            "difference": _estimate(found.difference),
            "paired": found.paired,
            "better": str(found.better),
        }
        for name, found in compare(*values).items()
    }


def means(report: dict[str, Any]) -> dict[str, float | None]:
    """Return the mean of each judged feature of a report."""
    found = {f"judge.{name}": each["mean"] for name, each in report["rubrics"].items()}
    return found | {f"ragas.{name}": each["mean"] for name, each in report.get("ragas", {}).items()}


def _rubric(results: Results) -> dict[str, Any]:
    evaluator = results.evaluator
    assert isinstance(evaluator, RubricEvaluator)
    rubric: Rubric = evaluator.rubric
    count = len(results.scores)
    lower, upper = wilson(results.passed, count)
    return _common(results) | {
        "pass_rate": results.passed / count if count else None,
        "pass_rate_lower": lower,
        "pass_rate_upper": upper,
        "dimensions": {
            dimension.name: results.dimensions[dimension.name] / count if count else None
            for dimension in rubric.dimensions
        },
        # sorted: evaluations end in any order
        "dimension_comparison": json_value(
            compare_dimensions(sorted(results.rows, key=itemgetter(0)))
        ),
        "version": rubric.version,
        "hash": rubric.hash,
        "judge": evaluator.model,
    }


def _common(results: Results) -> dict[str, Any]:
    found = _estimate(estimate(results.scores))
    del found["samples"]
    return {
        "scored": len(results.scores),
        "unscored": dict(sorted(results.unscored.items())),
        **found,
    }


def _rag(metrics: Sequence[Results]) -> dict[str, Any]:
    """Return which component of the pipeline is weak."""
    found = rag_report({name_of(each.evaluator): each.by_request for each in metrics})
    return {
        "weak": str(found.weak),
        "difference": _estimate(found.difference),
        "components": {str(part): _estimate(each) for part, each in found.components.items()},
    }


def _estimate(found: Estimate) -> dict[str, Any]:
    return asdict(found)


def wilson(successes: int, count: int) -> tuple[float | None, float | None]:
    """Return Wilson's interval of 95 % for a rate; None without observations."""
    if not count:
        return None, None
    rate, square = successes / count, _Z**2
    centre = rate + square / (2 * count)
    half = _Z * math.sqrt(rate * (1 - rate) / count + square / (4 * count**2))
    scale = 1 + square / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
