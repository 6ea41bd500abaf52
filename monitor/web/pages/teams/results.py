"""Runs of evaluations: their history, and two of them side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from monitor.web.api.routing import Context, Viewer
from monitor.web.context import WebContext
from monitor.web.pages.plots import scores
from monitor.web.pages.plots.scores import ScorePoint
from monitor.web.pages.rendering import render
from monitor.web.review.model import NotFound
from monitor.web.views.sources import RunScore, RunSummary

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
MAX_RUNS: Final = 50
MAX_HISTORIES: Final = 12
_TONES: Final = {"regressed": "bad", "not_regressed": "good", "passed": "good"}
RunId = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class History:
    """A score of a model over its runs."""

    model: str
    task: str
    metric: str
    plot: Markup


@dataclass(frozen=True, slots=True)
class ScorePair:
    """A score of two runs. difference: second less first, with a 95 % interval, if both have one.

    The interval takes both runs as independent; that of a replay pairs the items and is narrower.
    """

    task: str
    metric: str
    first: RunScore | None
    second: RunScore | None
    difference: float | None
    lower: float | None
    upper: float | None


@router.get("/results")
def listed(
    request: Request,
    context: Context,
    identity: Viewer,
    model: Annotated[str, Query(max_length=1_000)] = "",
) -> Response:
    """Show the newest runs and the course of their scores."""
    runs = _newest(context, model)
    return render(
        request, "results.html", runs=runs, model=model, histories=_histories(runs), tones=_TONES
    )


def _newest(context: WebContext, model: str) -> Sequence[RunSummary]:
    source = context.sources.runs
    return () if source is None else source.newest(model or None, MAX_RUNS)


def _histories(runs: Sequence[RunSummary]) -> list[History]:
    """Return the scores that at least two runs of a model have, the most frequent first."""
    found: dict[tuple[str, str, str], list[ScorePoint]] = defaultdict(list)
    for run in runs:
        for score in run.scores:
            if score.mean is None:
                continue
            at = run.finished_at or run.created_at
            point = ScorePoint(at, score.mean, score.stderr or 0.0, _TONES.get(run.verdict, ""))
            found[run.model, score.task, score.metric].append(point)
    frequent = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:MAX_HISTORIES]
    made = []
    for (model, task, metric), points in frequent:
        plot = scores.course(points, f"{metric} of {task}, {model}: {len(points)} runs")
        if plot is not None:
            made.append(History(model, task, metric, plot))
    return made


@router.get("/compare")
def compare(
    request: Request, context: Context, identity: Viewer, first: RunId = "", second: RunId = ""
) -> Response:
    """Show two runs side by side, or a form that chooses them."""
    chosen = [_run(context, each) if each else None for each in (first, second)]
    pairs = _pairs(chosen[0], chosen[1]) if chosen[0] and chosen[1] else []
    runs = _newest(context, "")
    return render(
        request, "compare.html", runs=runs, first=chosen[0], second=chosen[1], pairs=pairs
    )


def _run(context: WebContext, identity: str) -> RunSummary:
    found = None if context.sources.runs is None else context.sources.runs.run(identity)
    if found is None:
        raise NotFound("there is no such run")
    return found


def _pairs(first: RunSummary, second: RunSummary) -> list[ScorePair]:
    known = [{(s.task, s.metric): s for s in run.scores} for run in (first, second)]
    return [
        _pair(*key, known[0].get(key), known[1].get(key)) for key in sorted({*known[0], *known[1]})
    ]


def _pair(task: str, metric: str, first: RunScore | None, second: RunScore | None) -> ScorePair:
    difference = lower = upper = None
    if first is not None and second is not None and None not in (first.mean, second.mean):
        difference = (second.mean or 0.0) - (first.mean or 0.0)
        if first.stderr is not None and second.stderr is not None:
            half = scores.Z * math.hypot(first.stderr, second.stderr)
            lower, upper = difference - half, difference + half
    return ScorePair(task, metric, first, second, difference, lower, upper)
