"""The quality of each model, corrected by human labels, and the scores of the judges."""

from __future__ import annotations

from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Column, Description, dashed, graph, query, table
from grafana.dashboards.elements.promql import (
    MODEL,
    RUBRIC,
    increase,
    mean,
    metric,
    quantile,
    rate,
    ratio,
    total,
)

KEYS = ("model", "rubric")
LEGEND = "{{model}}, {{rubric}}"
SELECTED = (MODEL, RUBRIC)


def row() -> Row:
    """Return the row."""
    return Row("Quality", [_quality(), _table(), _passing(), _mean(), *_quantiles()])


def _quality() -> Timeseries:
    panel = graph(
        "Quality by model and rubric",
        Description(
            "Mean score of the traffic of each model, with its 95 % confidence interval (dashed)."
            " Where people have labelled samples, it is corrected by their labels. Rubrics score 0"
            " to 5, RAGAS metrics 0 to 1.",
            "Constant within the interval.",
            "If a line leaves the interval of the day before, look at Golden set: if it moved as"
            " well, the judge changed. Otherwise the answers did: open Drift.",
            "PlumblineDriftWarning",
        ),
        "none",
        query(mean(metric("judge_quality", *SELECTED), *KEYS), LEGEND),
        query(mean(metric("judge_quality_lower", *SELECTED), *KEYS), f"{LEGEND}, lower"),
        query(mean(metric("judge_quality_upper", *SELECTED), *KEYS), f"{LEGEND}, upper"),
        width=14,
    )
    return dashed(dashed(panel, "B"), "C")


def _table() -> Table:
    count = total(increase("judge_score_count", *SELECTED, over="1d"), *KEYS)
    return table(
        "Quality now",
        Description(
            "Current quality with its 95 % confidence interval, and the number of scores of the"
            " last 24 hours.",
            "Narrow intervals: more than a few hundred scores.",
            "A wide interval needs more samples (`sampling.rate`) or more labels (plumbline judge"
            " calibrate).",
        ),
        {"model": "Model", "rubric": "Rubric"},
        [
            Column("Quality", "none", mean(metric("judge_quality", *SELECTED), *KEYS), None, 2),
            Column("Lower", "none", mean(metric("judge_quality_lower", *SELECTED), *KEYS), None, 2),
            Column("Upper", "none", mean(metric("judge_quality_upper", *SELECTED), *KEYS), None, 2),
            Column("Scores", "none", f"round({count})", None, 0),
        ],
        sort_by="Scores",
        width=10,
    ).height(8)


def _passing() -> Timeseries:
    panel = graph(
        "Pass rate by model and rubric",
        Description(
            "Share of the traffic of each model that passes the rubric by the standard of people,"
            " with its 95 % confidence interval (dashed). It follows from what the judge passes and"
            " from its errors on labelled samples.",
            "Constant within the interval. Absent without at least 50 labels, some passed and some"
            " failed, and where the judge is no better than chance.",
            "If a line leaves the interval of the day before, see Quality by model and rubric. If"
            " it is absent, `pass_rate` in /api/v1/quality has the reason.",
        ),
        "percentunit",
        query(mean(metric("judge_pass_ratio", *SELECTED), *KEYS), LEGEND),
        query(mean(metric("judge_pass_ratio_lower", *SELECTED), *KEYS), f"{LEGEND}, lower"),
        query(mean(metric("judge_pass_ratio_upper", *SELECTED), *KEYS), f"{LEGEND}, upper"),
        width=12,
    )
    return dashed(dashed(panel, "B"), "C")


def _mean() -> Timeseries:
    scores = ratio(
        total(rate("judge_score_sum", *SELECTED), *KEYS),
        total(rate("judge_score_count", *SELECTED), *KEYS),
    )
    return graph(
        "Mean score of the judges",
        Description(
            "Mean score of uniform samples as the judges gave it, without correction by labels.",
            "Near the corrected quality, or above it: judges are lenient.",
            "A growing distance to the corrected quality is a judge that agrees less with people:"
            " label new samples.",
        ),
        "none",
        query(scores, LEGEND),
        width=12,
    )


def _quantiles() -> list[Timeseries]:
    return [
        _scores("Scores of rubrics", 'rubric!~"ragas[.].+"', "Most answers near the upper end."),
        _scores("Scores of RAGAS metrics", 'rubric=~"ragas[.].+"', "The same shape every day."),
    ]


def _scores(title: str, matcher: str, normal: str) -> Timeseries:
    return graph(
        title,
        Description(
            "10th percentile, median and 90th percentile of the scores of uniform samples, of the"
            " selected models together. Values between two buckets are interpolated.",
            normal,
            "If only the 10th percentile falls, a part of the traffic got worse: compare segments"
            " in the events.",
        ),
        "none",
        *(
            query(
                quantile(q, "judge_score", *SELECTED, matcher, by=("rubric",)),
                f"{{{{rubric}}}}, p{100 * q:g}",
            )
            for q in (0.1, 0.5, 0.9)
        ),
        width=12,
    )
