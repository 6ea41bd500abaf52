"""The section of one drifted feature: its alarms with distribution, statistics and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from monitor.cli.html.incidents import DriftedFeature, Incident
from monitor.detect.explain.distribution import Distribution
from monitor.events.types import DriftEvent, Severity
from monitor.events.wording.comparison import common_statistics, unit_of
from monitor.events.wording.drift import (
    number_text,
    numbers_text,
    ratio_text,
    sentence,
    share_text,
    shares_text,
    since_text,
)
from monitor.events.wording.markup import Child, element, table, unordered

MAX_INCIDENTS = 5
"""Alarms of a feature that are shown in full, the newest ones."""
_ORDER = ("mean", "p05", "median", "p95", "p99")
BADGES = {
    "critical": "\N{BLACK UP-POINTING TRIANGLE} critical",
    "warning": "\N{BLACK DIAMOND} warning",
    "info": "\N{WHITE CIRCLE} info",
}


def section(
    feature: DriftedFeature, distributions: Mapping[str, Distribution], anchor: str
) -> Element:
    """Return the section. distributions: by event id. anchor: its id in the page."""
    shown = feature.incidents[-MAX_INCIDENTS:]
    left = len(feature.incidents) - len(shown)
    more = f"The newest {MAX_INCIDENTS} of {len(feature.incidents)} alarms; see the timeline."
    state = "open at the end of the log"
    if feature.incidents[-1].resolved:
        state = "resolved"
    drift = feature.incidents[-1].shown.drift_type
    return element(
        "section",
        element("h3", feature.title, " ", badge(feature.severity), " ", element("small", state)),
        element("p", f"{drift} drift", class_="muted"),
        element("p", more) if left else None,
        *(_incident(each, distributions) for each in reversed(shown)),
        class_=f"feature {feature.severity}",
        id=anchor,
    )


def badge(severity: Severity) -> Element:
    """Return a severity with its symbol."""
    return element("span", BADGES[severity], class_=f"badge {severity}")


def _incident(incident: Incident, distributions: Mapping[str, Distribution]) -> Element:
    event, resolved = incident.shown, incident.resolved
    whole = distributions.get(event.id)
    return element(
        "article",
        element("p", sentence(event), class_="sentence"),
        element("p", sentence(resolved)) if resolved else None,
        element(
            "div",
            _distribution(whole, unit_of(event.feature)) if whole else None,
            element("div", _statistics(event), _evidence(incident), _examples(event)),
            class_="columns",
        ),
    )


def _distribution(whole: Distribution, unit: str) -> Element:
    """Return a table with a pair of bars for each bin that has records."""
    rows = zip(whole.bins, whole.before.tolist(), whole.after.tolist(), strict=True)
    filled = [(name, before, after) for name, before, after in rows if before or after]
    largest = max(share for _, *shares in filled for share in shares)
    body: list[Sequence[Child]] = [
        (name, _bars(before / largest, after / largest), *shares_text(before, after).split(" -> "))
        for name, before, after in filled
    ]
    title = f"Share of records by value{f', {unit}' if unit else ''}"
    return element(
        "figure",
        element("figcaption", element("strong", title), " ", *_legend()),
        table(["value", "", "reference", "current"], body, "bins"),
    )


def _legend() -> Iterator[Child]:
    for side in ("reference", "current"):
        key = element("rect", class_=side, x=1, y=1, width=14, height=8)
        yield element("svg", key, width=16, height=10, aria_hidden="true")
        yield f" {side} "


def _bars(before: float, after: float) -> Element:
    """Return two bars; before, after: lengths as share of the width."""
    return element(
        "svg",
        element("rect", class_="reference", x=1, y=1, width=f"{98.5 * before:.2f}%", height=7),
        element("rect", class_="current", x=1, y=9, width=f"{98.5 * after:.2f}%", height=8),
        width="100%",
        height=18,
        aria_hidden="true",
    )


def _statistics(event: DriftEvent) -> Element:
    """Return the table of statistics before and after."""
    before, after = event.reference, event.current
    unit = unit_of(event.feature)
    rows: list[Sequence[Child]] = [
        ("records with a value", f"{before.n:,}", f"{after.n:,}", ""),
        ("missing", *shares_text(before.missing, after.missing).split(" -> "), ""),
    ]
    if event.kind == "binary" and before.mean is not None and after.mean is not None:
        shares = shares_text(before.mean, after.mean).split(" -> ")
        rows.append(("share of records", *shares, ratio_text(before.mean, after.mean).strip(" ()")))
    elif event.kind == "numeric":
        rows += [_statistic(event, name) for name in _ORDER if name in _common(event)]
    title = f"Reference and current records{f', {unit}' if unit else ''}"
    return element(
        "figure",
        element("figcaption", element("strong", title)),
        table(["statistic", "reference", "current", "change"], rows, "numbers"),
    )


def _common(event: DriftEvent) -> dict[str, tuple[float, float]]:
    return common_statistics(event.reference, event.current)


def _statistic(event: DriftEvent, name: str) -> Sequence[Child]:
    before, after = _common(event)[name]
    if name in event.explanation.unmoved:
        return name, number_text(before, 3), "as before", "none that is certain"
    if name in event.explanation.uncertain:
        return name, number_text(before, 3), "not known", "too few records"
    return name, *numbers_text(before, after).split(" -> "), ratio_text(before, after).strip(" ()")


def _evidence(incident: Incident) -> Element:
    """Return where, when and by which detector the change was found."""
    event = incident.shown
    entries = [
        ("found at", f"line {event.position:,}, {_time(event.time)}".rstrip(", ")),
        ("since", since_text(event) or "unknown"),
        ("size", f"PSI {event.psi:.2f}"),
        ("found by", ", ".join(event.found_by)),
        ("evidence", _test(event)),
    ]
    if new := event.explanation.new_categories:
        shares = ", ".join(
            f"{name} ({share_text(share)} of the values)" for name, share in new.items()
        )
        entries.append(("new categories", shares))
    if together := event.explanation.together:
        others = ", ".join(f"{name} (PSI {psi:.2f})" for name, psi in together.items())
        entries.append(("changed too", others))
    history = (f"{each.change} at line {each.position:,}" for each in incident.events)
    entries.append(("alarm", ", ".join(history)))
    return element("dl", *(element("div", *_pair(*entry)) for entry in entries))


def _pair(name: str, text: str) -> tuple[Element, Element]:
    return element("dt", name), element("dd", text)


def _test(event: DriftEvent) -> str:
    """Return statistic, threshold and p-value of the detector with the strongest evidence."""
    numbers = {
        "statistic": event.statistic,
        "threshold": event.threshold,
        "p-value": event.p_value,
    }
    known = [f"{name} {value:.3g}" for name, value in numbers.items() if value is not None]
    return f"{event.detector}: {', '.join(known) or 'no number'}"


def _time(seconds: float) -> str:
    """Return an event time; "" for one that is certainly wrong."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def _examples(event: DriftEvent) -> Element | None:
    ids = event.explanation.examples
    if not ids:
        return None
    return element(
        "figure",
        element("figcaption", element("strong", "Example requests")),
        unordered((element("code", each) for each in ids), "examples"),
    )
