"""Decisions about models and experiments: ship, hold, roll back; and the audit trail."""

from __future__ import annotations

from typing import Annotated, Final, cast, get_args

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.events.wording.experiments import p_text, share
from monitor.experiments.decisions.result import Result
from monitor.experiments.report import wording
from monitor.web.api.routing import Admin, Context, Viewer
from monitor.web.context import WebContext
from monitor.web.pages.forms import Form, first
from monitor.web.pages.rendering import render
from monitor.web.review.model import NotFound, ReviewError
from monitor.web.views import decisions, fleet, results
from monitor.web.views.decisions import NewDecision, Outcome

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
OUTCOMES: Final = get_args(Outcome)
MAX_DECISIONS: Final = 200
MAX_LINES: Final = 100
MAX_CHARS: Final = 4_000
MAX_SUBJECT: Final = 200
EXPERIMENT: Final = "experiment/"
MODEL: Final = "model/"
Subject = Annotated[str, Query(max_length=MAX_SUBJECT)]


@router.get("/decisions")
def listed(request: Request, context: Context, identity: Viewer, subject: Subject = "") -> Response:
    """Show the decisions, optionally about one subject."""
    with context.store.read() as connection:
        found = decisions.listed(connection, subject or None, MAX_DECISIONS)
    return render(request, "decisions.html", decisions=found, subject=subject)


@router.get("/decisions/new")
def form(request: Request, context: Context, identity: Admin, subject: Subject = "") -> Response:
    """Show the form of a decision, with the criteria and the evidence that are known."""
    criteria, evidence = _known(context, subject)
    return _form(request, {"subject": subject, "criteria": criteria, "evidence": evidence})


def _form(request: Request, values: dict[str, str], error: str = "") -> Response:
    known = {"subject": "", "outcome": "", "reason": "", "criteria": "", "evidence": ""} | values
    status = 422 if error else 200
    return render(
        request, "decision_form.html", status, values=known, error=error, outcomes=OUTCOMES
    )


def _known(context: WebContext, subject: str) -> tuple[str, str]:
    """Return criteria and evidence of a subject, one a line; empty if there are none."""
    published = context.sources.published
    if subject.startswith(EXPERIMENT):
        try:
            result = results.experiment(published, subject.removeprefix(EXPERIMENT))
        except NotFound:
            return "", ""
        return _criteria(result), _evidence(result)
    if subject.startswith(MODEL):
        model = fleet.model(published, subject.removeprefix(MODEL))
        lines = [each.summary for each in model.alarms[:10]]
        lines += [each.summary for each in model.replays[:3]]
        lines += [
            f"{each.rubric}: {each.value:.2f} ({each.lower:.2f} to {each.upper:.2f})"
            for each in model.quality
        ]
        return "", "\n".join(lines)
    return "", ""


def _criteria(result: Result) -> str:
    each = result.criteria
    lines = [
        f"{each.goal}: {each.direction} is better, alpha {share(each.alpha)},"
        f" smallest effect that matters {share(each.mde)}",
        f"at least {each.min_users:,} users a variant and {each.min_hours:g} hours",
    ]
    lines += dict.fromkeys(
        f"guardrail {c.metric}: not worse by {share(c.guardrail.margin)}"
        for c in result.comparisons
        if c.guardrail is not None
    )
    return "\n".join(lines)


def _evidence(result: Result) -> str:
    lines = [f"look at {wording.time_text(result.time)}"]
    for arm in result.arms[1:]:
        lines.append(f"{arm.variant}: {wording.verdict_text(result, arm)}")
        lines += [
            f"{arm.variant}, {c.metric}: {wording.effect_text(c)}, {p_text(c.p_value)},"
            f" {wording.comparison_verdict(c)}"
            for c in result.comparisons
            if c.variant == arm.variant
        ]
    return "\n".join([*lines, wording.srm_text(result)])


@router.post("/decisions")
def decide(request: Request, context: Context, identity: Admin, form: Form) -> Response:
    """Record a decision, which cannot be changed."""
    names = ("subject", "outcome", "reason", "criteria", "evidence")
    values = {name: first(form, name).replace("\r\n", "\n").strip() for name in names}
    try:
        new = _decision(values)
    except ReviewError as error:
        return _form(request, values, str(error))
    with context.store.write() as connection:
        made = decisions.decide(connection, new, identity.person, context.clock())
    return RedirectResponse(f"/decisions#{made.id}", 303)


def _decision(values: dict[str, str]) -> NewDecision:
    """Return the decision of a form. Raises ReviewError."""
    lines = [_lines(values[name]) for name in ("criteria", "evidence")]
    if not 1 <= len(values["subject"]) <= MAX_SUBJECT:
        raise ReviewError(f"name a subject of at most {MAX_SUBJECT} characters")
    if values["outcome"] not in OUTCOMES:
        raise ReviewError("choose one of ship, hold and roll back")
    if not 1 <= len(values["reason"]) <= MAX_CHARS:
        raise ReviewError(f"give a reason of at most {MAX_CHARS:,} characters")
    return NewDecision(
        values["subject"], cast("Outcome", values["outcome"]), values["reason"], *lines
    )


def _lines(text: str) -> tuple[str, ...]:
    found = tuple(each.strip() for each in text.split("\n") if each.strip())
    if len(found) > MAX_LINES or any(len(each) > MAX_CHARS for each in found):
        raise ReviewError(f"at most {MAX_LINES} lines of {MAX_CHARS:,} characters are stored")
    return found


@router.get("/audit")
def audit(
    request: Request,
    context: Context,
    identity: Admin,
    before: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    head: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show the audit trail and whether it is complete. head: a hash noted earlier."""
    with context.store.read() as connection:
        entries = decisions.audit_entries(connection, before)
        status = decisions.verify(connection, head)
    return render(request, "audit.html", entries=entries, chain=status, head=head, before=before)
