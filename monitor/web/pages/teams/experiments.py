"""Live cards of experiments. The page loads its card again when an event says that it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from monitor.experiments.decisions.result import Arm, Comparison, Result
from monitor.experiments.report import wording
from monitor.web.api.routing import Context, Viewer
from monitor.web.pages.plots import distributions, intervals
from monitor.web.pages.rendering import render
from monitor.web.views import decisions, fleet, results

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
MAX_DECISIONS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of a variant. tone: good, bad or ""; of what is certain."""

    comparison: Comparison
    effect: str
    finding: str
    plot: Markup
    tone: str


@dataclass(frozen=True, slots=True)
class Card:
    """A variant. finding, rest: its headline. reason: since when it is decided, or what is open."""

    arm: Arm
    finding: str
    rest: str
    reason: str
    users: str
    breached: str
    tone: str
    rows: tuple[Row, ...]
    course: Markup | None


def cards(result: Result) -> list[Card]:
    """Return the cards of the variants, without the control."""
    return [_card(result, arm) for arm in result.arms[1:]]


def _card(result: Result, arm: Arm) -> Card:
    mine = [each for each in result.comparisons if each.variant == arm.variant]
    finding, rest = wording.verdict_parts(result, arm)
    breached = wording.breached_text(result, arm.variant)
    points = result.history.get(result.goal, {}).get(arm.variant, ())
    label = f"Effect on {result.goal} with its interval at each look"
    return Card(
        arm=arm,
        finding=finding,
        rest=rest,
        reason=wording.decided_text(result, arm),
        users=wording.users_text(arm),
        breached=breached,
        tone="bad" if breached else {"better": "good", "worse": "bad"}.get(arm.verdict, ""),
        rows=tuple(_rows(mine)),
        course=intervals.course(points, result.criteria.mde, label),
    )


def _rows(comparisons: Sequence[Comparison]) -> list[Row]:
    scale = intervals.row_scale(comparisons)
    return [
        Row(
            each,
            wording.effect_text(each),
            wording.comparison_verdict(each),
            intervals.row(each, scale),
            _tone(each),
        )
        for each in comparisons
    ]


def _tone(each: Comparison) -> str:
    if wording.is_breached(each.guardrail):
        return "bad"
    return {"better": "good", "worse": "bad"}.get(each.verdict, "")


@router.get("/experiments")
def listed(
    request: Request,
    context: Context,
    identity: Viewer,
    name: Annotated[str | None, Query(max_length=1_000)] = None,
) -> Response:
    """Show all experiments, or one whose name cannot be in a path."""
    if name is not None:
        return experiment(request, context, identity, name)
    found = fleet.fleet(context.sources.published)
    return render(request, "experiments.html", fleet=found)


@router.get("/experiments/{name:path}")
def experiment(request: Request, context: Context, identity: Viewer, name: str) -> Response:
    """Show the live card of an experiment."""
    result = results.experiment(context.sources.published, name)
    order = [arm.variant for arm in result.arms]
    plots = [(each, distributions.arms(each, order)) for each in result.distributions]
    with context.store.read() as connection:
        made = decisions.listed(connection, f"experiment/{name}"[:200], limit=MAX_DECISIONS)
    return render(
        request,
        "experiment.html",
        result=result,
        cards=cards(result),
        doubts=wording.doubts(result),
        cautions=wording.cautions(result),
        split=wording.srm_text(result),
        control_users=wording.users_text(result.arms[0]),
        plots=[(each, plot) for each, plot in plots if plot is not None],
        decisions=made,
    )
