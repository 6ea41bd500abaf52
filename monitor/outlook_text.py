"""What follows from a configuration, in words: a line each, for `plumbline config check`."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.delays import Delay
from monitor.outlook import Feature, ModelOutlook, Outlook

WARNING = "  ! "
"""How a line begins that warns."""


def lines(outlook: Outlook) -> Iterator[str]:
    """All that there is to say; names of features and models as they came from a log."""
    pages = "false page" if outlook.false_pages == 1 else "false pages"
    text = (
        f"{three_digits(outlook.false_pages)} {pages} in {outlook.per_days:g} days allowed to each "
        "model when nothing has changed"
    )
    if outlook.whole_model != outlook.false_pages:
        text += f": {three_digits(outlook.whole_model)} to its whole traffic, and as many to the "
        text += "segments of each key"
    yield text
    for warning in outlook.warnings:
        yield WARNING + warning
    for model in outlook.models:
        yield from _model(model)
    if outlook.left_out:
        yield f"and {outlook.left_out:,} more models, of fewer records"


def three_digits(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _model(model: ModelOutlook) -> Iterator[str]:
    """Who has which part of the budget, how soon shifts are seen, what to mind."""
    name = "a model of independent records (assumed)" if model.assumed else model.model
    yield (
        f"{name}: {three_digits(model.records_per_second)} records a second, evaluated every "
        f"{three_digits(model.seconds_per_evaluation)} s against {model.reference_records:,}"
    )
    yield from _parts(model)
    for feature in model.features:
        if feature.delays:
            first, *more = feature.delays
            clauses = [_first(feature, first), *(_further(feature, delay) for delay in more)]
            yield f"  {feature.name}: " + "; ".join(clauses)
    for warning in model.warnings:
        yield WARNING + warning


def _parts(model: ModelOutlook) -> Iterator[str]:
    """Shares of the budget, the level that follows for each detector, and the sum."""
    for part in sorted(model.parts, key=lambda part: -part.share):
        if part.share:
            yield (
                f"  {part.detector} has {part.share:.1%} of the budget: at each evaluation a "
                f"chance of {part.level:.1e} for each of {part.streams:,} features"
            )
    whole = sum(part.share for part in model.parts)
    rest = ", ".join(part.detector for part in model.parts if not part.share)
    left = f"; nothing for {rest}, which can raise no alarm" if rest else ""
    yield f"  together {whole:.0%}{left}"


def _first(feature: Feature, delay: Delay) -> str:
    """When a shift is seen, and when it pages, as a sentence."""
    moved = f"{_unit(feature, delay.before)} -> {_unit(feature, delay.after)}"
    moved = f"median {moved}" if feature.kind == "numeric" else moved
    text = f"a shift of {delay.sd:g} sd ({moved}) is "
    if delay.seen is None:
        return f"{text}not seen within {delay.limit:,} records"
    text += f"seen after about {delay.seen:,} records"
    if delay.paged is None:
        return f"{text}, too small to page (PSI {delay.psi:.2f})"
    return f"{text}, paged after {delay.paged:,}"


def _further(feature: Feature, delay: Delay) -> str:
    """The same of a further shift, in short."""
    text = f"{delay.sd:g} sd (-> {_unit(feature, delay.after)}) "
    if delay.seen is None:
        return text + "not seen"
    page = f"paged {delay.paged:,}" if delay.paged is not None else "too small to page"
    return f"{text}seen after {delay.seen:,}, {page}"


def _unit(feature: Feature, number: float) -> str:
    return three_digits(number) if feature.kind == "numeric" else f"{number:.1%}"
