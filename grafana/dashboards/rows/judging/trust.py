"""Whether the judges can be trusted: agreement, golden set, repeated calls, attacks."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, limits, query
from grafana.dashboards.elements.promql import RUBRIC, highest, mean, metric


def row() -> Row:
    """Return the row."""
    return Row("Trust in the judges", [_golden(), _agreement(), _deviation(), _canaries()])


def _golden() -> Timeseries:
    return graph(
        "Golden set",
        Description(
            "Change of the mean score of the golden set since it was first judged, by rubric. A"
            " change that is not significant is 0.",
            "Zero.",
            "The judge has changed: its scores before and after cannot be compared.",
            "PlumblineJudgeDrift",
        ),
        "none",
        query(mean(metric("judge_golden_shift", RUBRIC), "rubric"), "{{rubric}}"),
        width=6,
    )


def _agreement() -> Timeseries:
    return graph(
        "Agreement of judges",
        Description(
            "Krippendorff's alpha of several or repeated judges on the same samples, by rubric. 1"
            " is full agreement, 0 is chance.",
            "Above 0.67. Absent where all scores are equal.",
            "Make the descriptions of the rubric more specific, and check them with plumbline judge"
            " check.",
        ),
        "none",
        query(mean(metric("judge_agreement", RUBRIC), "rubric"), "{{rubric}}"),
        width=6,
    )


def _deviation() -> Timeseries:
    return graph(
        "Deviation of repeated calls",
        Description(
            "Standard deviation of the scores when the same sample is judged again, by rubric.",
            "Below 0.5 for a scale of 0 to 5.",
            "A larger deviation widens the intervals: use another judge, or more samples.",
        ),
        "none",
        query(mean(metric("judge_repeat_deviation", RUBRIC), "rubric"), "{{rubric}}"),
        width=6,
    )


def _canaries() -> Timeseries:
    return graph(
        "Attacks that succeed, by judge",
        Description(
            "Share of canary attacks that changed the verdict. A canary attack is a known answer"
            " with a text that addresses the judge.",
            "Zero.",
            "Answers can influence their scores: do not rely on this judge.",
            "PlumblineJudgeAttacked",
        ),
        "percentunit",
        query(highest(metric("judge_canary_success_ratio"), "judge"), "{{judge}}"),
        thresholds=limits(critical=0.001),
        width=6,
    )
