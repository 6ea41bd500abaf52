"""The forecast of a configuration as lines of text, for `plumbline config check`."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.detect.audit.delays import Delay
from monitor.detect.audit.forecast import FeatureForecast, Forecast, ModelForecast

WARNING = "  ! "
"""Prefix of a warning."""


def lines(forecast: Forecast) -> Iterator[str]:
    """Yield the lines. They contain names of models and features unescaped."""
    pages = "false page" if forecast.false_pages == 1 else "false pages"
    text = (
        f"budget: {three_digits(forecast.false_pages)} {pages} per model in "
        f"{forecast.per_days:g} days without a change"
    )
    if forecast.whole_model != forecast.false_pages:
        share = three_digits(forecast.whole_model)
        text += f", {share} of them for its whole traffic and {share} for each segment key"
    yield text
    for warning in forecast.warnings:
        yield WARNING + warning
    for model in forecast.models:
        yield from _model_lines(model)
    if forecast.left_out:
        yield f"and {forecast.left_out:,} more models with fewer records"


def three_digits(value: float) -> str:
    """Format a number with three significant digits, but with all digits before the point."""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def _model_lines(model: ModelForecast) -> Iterator[str]:
    """Yield record rate, shares of the budget, detection delays and warnings."""
    name = "assumed model (independent records)" if model.assumed else model.model
    yield (
        f"{name}: {three_digits(model.records_per_second)} records per second, an evaluation every "
        f"{three_digits(model.seconds_per_evaluation)} s, a reference of "
        f"{model.reference_records:,} records"
    )
    yield from _budget_lines(model)
    for feature in model.features:
        if feature.delays:
            first, *more = feature.delays
            clauses = [_first_shift(feature, first)]
            clauses += [_further_shift(feature, delay) for delay in more]
            yield f"  {feature.name}: " + "; ".join(clauses)
    for warning in model.warnings:
        yield WARNING + warning


def _budget_lines(model: ModelForecast) -> Iterator[str]:
    """Yield share of the budget and significance level by detector, and the sum."""
    for part in sorted(model.parts, key=lambda part: -part.share):
        if part.share:
            yield (
                f"  {part.detector}: {part.share:.1%} of the budget, level {part.level:.1e} per "
                f"evaluation for each of {part.streams:,} features"
            )
    total = sum(part.share for part in model.parts)
    rest = ", ".join(part.detector for part in model.parts if not part.share)
    yield f"  total: {total:.0%}" + (f"; no share and no alarms: {rest}" if rest else "")


def _first_shift(feature: FeatureForecast, delay: Delay) -> str:
    """Describe when a shift is detected and when it pages."""
    change = f"{_value(feature, delay.before)} -> {_value(feature, delay.after)}"
    change = f"median {change}" if feature.kind == "numeric" else change
    text = f"a shift of {delay.sd:g} sd ({change}) is "
    if delay.seen is None:
        return f"{text}not detected within {delay.limit:,} records"
    text += f"detected after about {delay.seen:,} records"
    if delay.paged is None:
        return f"{text}, too small to page (PSI {delay.psi:.2f})"
    return f"{text}, paged after {delay.paged:,}"


def _further_shift(feature: FeatureForecast, delay: Delay) -> str:
    """Describe a further shift in short."""
    text = f"{delay.sd:g} sd (-> {_value(feature, delay.after)}) "
    if delay.seen is None:
        return text + "not detected"
    page = f"paged after {delay.paged:,}" if delay.paged is not None else "too small to page"
    return f"{text}detected after {delay.seen:,}, {page}"


def _value(feature: FeatureForecast, number: float) -> str:
    return three_digits(number) if feature.kind == "numeric" else f"{number:.1%}"
