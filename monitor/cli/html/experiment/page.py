"""The page of an experiment: criteria, trust, one card for each variant, earlier phases."""

from __future__ import annotations

from importlib.resources import files
from xml.etree.ElementTree import Element

from monitor import __version__
from monitor.cli.html.experiment.card import card, users_text
from monitor.events.wording.experiments import share
from monitor.events.wording.markup import Child, document, element, table, unordered
from monitor.experiments.decisions.result import Result
from monitor.experiments.report.wording import (
    DAYS,
    cautions,
    doubts,
    srm_text,
    time_text,
    verdict_text,
)

MAX_CARDS = 50


def experiment_page(result: Result) -> bytes:
    """Return the page as HTML, without a script and without any request."""
    folder = files("monitor.cli.html")
    style = (folder / "style.css").read_text(encoding="utf-8")
    style += (folder / "experiment" / "experiment.css").read_text(encoding="utf-8")
    arms = result.arms[1 : MAX_CARDS + 1]
    left = len(result.arms) - 1 - len(arms)
    return document(
        f"Experiment {result.experiment}",
        style,
        _header(result),
        element(
            "main",
            *(card(result, arm) for arm in arms),
            element("p", f"{left:,} more variants") if left else None,
            _trust(result),
            _criteria(result),
            _archive(result),
        ),
        element("footer", f"Plumbline {__version__}"),
    )


def _header(result: Result) -> Element:
    verdicts = "; ".join(f"{arm.variant}: {verdict_text(result, arm)}" for arm in result.arms[1:9])
    control = result.arms[0]
    return element(
        "header",
        element("h1", f"Experiment {result.experiment}"),
        element("p", verdicts, class_="verdict"),
        element("p", f"Look at {time_text(result.time)}, since {time_text(result.first_time)}"),
        element("p", f"Control: {control.variant}, {users_text(control)}", class_="muted"),
        *(element("p", f"{text}.", class_="breach") for text in doubts(result)),
        unordered(cautions(result), "limits") if cautions(result) else None,
    )


def _trust(result: Result) -> Element:
    rows: list[list[Child]] = []
    for arm in result.arms:
        split = f"{result.srm.users.get(arm.variant, 0):,}"
        planned = result.srm.expected.get(arm.variant)
        days = ", ".join(DAYS[day] for day in arm.weekdays if 0 <= day < len(DAYS))
        rows.append(
            [
                arm.variant,
                split,
                "-" if planned is None else f"{planned:.1%}",
                "-" if arm.requests_per_user is None else f"{arm.requests_per_user:.2f}",
                "-" if arm.largest_bucket is None else f"{arm.largest_bucket:.2%}",
                days or "-",
            ]
        )
    counts = {
        "users in several variants": result.in_several_arms,
        "exposures that differ from the hash": result.disagreements,
        "exposures of undeclared variants": result.other_variants,
        "late exposures": result.late,
    }
    return element(
        "section",
        element("h2", "Trust"),
        element("p", srm_text(result)) if result.srm.status == "ok" else None,
        table(
            ["variant", "users", "planned", "requests per user", "largest group", "days"],
            rows,
            "numbers",
        ),
        element("p", "; ".join(f"{count:,} {name}" for name, count in counts.items())),
    )


def _criteria(result: Result) -> Element:
    criteria = result.criteria
    planned = f"{criteria.planned_users:,}" if criteria.planned_users is not None else "none"
    facts = {
        "goal": f"{criteria.goal}, {criteria.direction} is better",
        "smallest effect": share(criteria.mde),
        "alpha": f"{share(criteria.alpha)} over all variants and looks",
        "minimum": f"{criteria.min_users:,} users, {criteria.min_hours:g} hours",
        "planned end": planned,
        "phase": result.phase,
    }
    rows = [
        element("div", element("dt", name), element("dd", value)) for name, value in facts.items()
    ]
    return element("section", element("h2", "Declared criteria"), element("dl", *rows))


def _archive(result: Result) -> Element | None:
    if not result.archive:
        return None
    rows: list[list[Child]] = [
        [
            phase.phase,
            time_text(phase.first_time),
            time_text(phase.time),
            f"{sum(phase.users.values()):,}",
            "; ".join(f"{each.variant}: {each.verdict}" for each in phase.decisions) or "none",
        ]
        for phase in reversed(result.archive)
    ]
    return element(
        "section",
        element("h2", "Earlier phases"),
        table(["phase", "from", "to", "users", "verdicts"], rows, "numbers"),
    )
