"""The card of one variant: verdict, comparisons, effect over time, distributions."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from monitor.cli.html.experiment.chart import effect_chart, has_margin
from monitor.cli.html.experiment.distribution import distribution_chart
from monitor.events.wording.experiments import share
from monitor.events.wording.markup import Child, element, table
from monitor.experiments.decisions.result import Arm, Comparison, Result
from monitor.experiments.report import wording
from monitor.experiments.report.wording import (
    breached_text,
    comparison_verdict,
    decided_text,
    effect_text,
    is_breached,
    mean_text,
    verdict_text,
)

MAX_CHARTS = 12
"""Charts of a card; the table has all metrics."""
CLASSES = {"better": "good", "worse": "bad", "no_difference": "equal", "not_yet": "open"}
"""Class of the style sheet, by verdict."""


def card(result: Result, arm: Arm) -> Element:
    """Return the card of a variant."""
    compared = [each for each in result.comparisons if each.variant == arm.variant]
    breach = breached_text(result, arm.variant)
    class_ = CLASSES["not_yet" if arm.in_doubt else arm.verdict]
    return element(
        "article",
        element(
            "header",
            element("h2", arm.variant),
            element("span", verdict_text(result, arm), class_=f"badge {class_}"),
            element("span", "stopped", class_="badge open") if arm.stopped else None,
        ),
        element("p", decided_text(result, arm), class_="sentence"),
        element("p", breach, class_="breach") if breach else None,
        element("p", users_text(arm), class_="muted"),
        table(
            ["metric", "role", "control", arm.variant, "effect, interval", "finding"],
            [_row(each) for each in compared],
            "numbers",
        ),
        *_charts(result, arm, compared),
        class_=f"card {class_}",
    )


def users_text(arm: Arm) -> str:
    """Return users, requests and how they are spread."""
    text = wording.users_text(arm)
    if arm.n_eff is not None:
        text += f"; {arm.n_eff:,.0f} effective users"
    if arm.largest_bucket is not None:
        text += f"; largest of 1,024 groups {arm.largest_bucket:.1%} of the requests"
    return text


def _row(each: Comparison) -> list[Child]:
    finding = comparison_verdict(each)
    breach = is_breached(each.guardrail)
    mark = element("strong", finding, class_="bad") if breach else finding
    values = f" ({each.share:.0%} of requests)" if each.share is not None else ""
    name = element(
        "span", each.metric, element("small", values), element("small", _scale_text(each))
    )
    means = mean_text(each.control_mean), mean_text(each.mean)
    return [name, each.role, *means, effect_text(each), mark]


def _scale_text(each: Comparison) -> str:
    """Return what is compared, where it is not a mean."""
    names = {"log": "geometric mean", "zero": "share of zeros", "capped": "capped mean"}
    scale = names.get(each.scale, "" if each.scale == "mean" else each.scale)
    adjusted = ["CUPED"] if each.adjusted else []
    text = ", ".join([*([scale] if scale else []), *adjusted])
    return f" {text}" if text else ""


def _charts(result: Result, arm: Arm, compared: list[Comparison]) -> list[Element]:
    figures = []
    by_feature = {each.feature: each for each in result.distributions}
    for each in compared[:MAX_CHARTS]:
        decided = arm.decision.time if arm.decision and each.role == "goal" else None
        points = result.history.get(each.metric, {}).get(arm.variant, ())
        chart = effect_chart(points, each.mde, decided)
        if chart is not None:
            caption = (
                f"Effect on {each.metric} against {result.control}. The band misses the true effect"
                f" at any look with a probability of at most {share(each.level)}."
            )
            if has_margin(chart):
                caption += f" The dashed lines are plus and minus {share(each.mde)}."
            figures.append(element("figure", chart, element("figcaption", caption)))
    for found in list(by_feature.values())[:MAX_CHARTS]:
        chart = distribution_chart(found, result.control, arm.variant)
        if chart is not None:
            caption = (
                f"Distribution of {found.feature}: filled {arm.variant}, line {result.control}."
            )
            figures.append(element("figure", chart, element("figcaption", caption)))
    return [element("div", *figures, class_="figures")] if figures else []
