"""Drift events and targets for the tests of notifications, valid and hostile."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

from monitor.config.sections.notifications import (
    AlertmanagerTarget,
    PagerDutyTarget,
    SlackTarget,
    Target,
    WebhookTarget,
)
from monitor.events.types import DriftEvent, Summary
from monitor.notify.message import Notice

SECRET = "s3cret-path"
_NUMBERS = itertools.count()


def summary(p50: float = 800.0) -> Summary:
    """Return one side of a comparison."""
    return Summary(n=1000, missing=0.0, mean=p50, p50=p50, p95=2 * p50)


def event(change: str = "opened", alarm: str | None = None, **other: Any) -> DriftEvent:
    """Return an event with a new id, of a new alarm unless one is given."""
    identity = f"{next(_NUMBERS):016x}"
    fields: dict[str, Any] = {
        "id": identity,
        "alarm": alarm or identity,
        "change": change,
        "model": "chat",
        "segment": "",
        "feature": "latency_ms",
        "detector": "ks",
        "found_by": ("ks", "psi"),
        "severity": "critical",
        "position": 17,
        "record": 1700,
        "time": 1_790_000_000.0,
        "statistic": 0.3,
        "threshold": 0.1,
        "p_value": 1e-9,
        "psi": 0.41,
        "reference_id": "r",
        "reference": summary(),
        "current": summary(1600.0),
    }
    return DriftEvent(**fields | other)


def notice(change: str = "opened", alarm: str | None = None, **other: Any) -> Notice:
    """Return a notice of an event as `event` returns it."""
    return Notice(event(change, alarm, **other), since=1_790_000_000.0 - 7_500)


def slack(url: str = f"https://hooks.example.com/{SECRET}", **other: Any) -> SlackTarget:
    """Return a Slack target."""
    return SlackTarget.model_validate({"kind": "slack", "url": url} | other)


def pagerduty(endpoint: str = "https://events.example.com/v2", **other: Any) -> PagerDutyTarget:
    """Return a PagerDuty target."""
    fields = {"kind": "pagerduty", "routing_key": "R" * 32, "endpoint": endpoint}
    return PagerDutyTarget.model_validate(fields | other)


def webhook(url: str = f"https://hooks.example.com/{SECRET}", **other: Any) -> WebhookTarget:
    """Return a webhook target."""
    return WebhookTarget.model_validate({"kind": "webhook", "url": url} | other)


def alertmanager(*urls: str, **other: Any) -> AlertmanagerTarget:
    """Return a target of one or several Alertmanagers."""
    fields = {"kind": "alertmanager", "urls": list(urls or ("https://alerts.example.com",))}
    return AlertmanagerTarget.model_validate(fields | other)


TARGETS: list[Target] = [
    slack(),
    pagerduty(),
    alertmanager(username="u", password="tok-12345"),
    webhook(token="tok-12345"),
]

MARKUP = st.sampled_from(
    (
        *("<!channel>", "<!here|here>", "<@U123>", "@channel", "@here", "@all", "&lt;!channel&gt;"),
        *("[x](http://evil.example)", "![x](https://evil.example/y.png)", "```", "*b*", "</a>"),
        *("\x1b[2J", "\r\n", "\u202e", "\x00", '"}]}', "{model}", "%s", "\\", "\u2028", "😀"),
    )
)
TEXT = st.lists(MARKUP | st.text(max_size=8), max_size=6).map("".join) | st.builds(
    lambda part, times: part * times, MARKUP | st.just("x"), st.integers(100, 3000)
)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SIDE = st.builds(
    Summary,
    n=st.integers(-1, 2**40),
    missing=NUMBER,
    mean=st.none() | NUMBER,
    p50=st.none() | NUMBER,
    p95=st.none() | NUMBER,
    shares=st.none() | st.dictionaries(TEXT, NUMBER, max_size=4),
)
HOSTILE = st.builds(
    DriftEvent,
    id=TEXT,
    alarm=TEXT,
    change=st.sampled_from(["opened", "escalated", "updated", "resolved"]),
    model=TEXT,
    segment=TEXT,
    feature=TEXT,
    detector=TEXT,
    found_by=st.lists(TEXT, max_size=3).map(tuple),
    severity=st.sampled_from(["warning", "critical"]),
    position=st.integers(-1, 2**60),
    record=st.integers(-1, 2**60),
    time=NUMBER,
    statistic=st.none() | NUMBER,
    threshold=st.none() | NUMBER,
    p_value=st.none() | NUMBER,
    psi=NUMBER,
    reference_id=TEXT,
    reference=SIDE,
    current=SIDE,
    kind=st.sampled_from(["numeric", "binary", "categorical"]),
)
NOTICES = st.builds(Notice, HOSTILE, since=st.none() | NUMBER, partition=st.integers(0, 3))
