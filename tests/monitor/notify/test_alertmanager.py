"""Alerts for Alertmanager: labels and times, refreshes, and the members of a cluster."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from grafana.alerts.rules import RULES, by_name, groups
from monitor.config.sections.notifications import AlertmanagerTarget
from monitor.events.types import ChangePoint, Explanation
from monitor.notify.channels import alertmanager as channel
from monitor.notify.counts import DeliveryCounts
from monitor.notify.delivery import DeliveryWorker
from monitor.notify.message import Batch, Notice, Sender
from monitor.notify.open_alerts import OpenAlerts
from monitor.notify.queue import EventQueue
from tests.integration.harness import until
from tests.monitor.notify import receiver
from tests.monitor.notify.drift_events import alertmanager, event, notice
from tests.monitor.notify.receiver import Receiver, Reply

NOW = 1_790_000_100.0
SENDER = Sender("plumbline")


def alerts(*notices: Notice, refresh: bool = False, **target: Any) -> list[Any]:
    """Return the alerts of a message at NOW."""
    batch = Batch(notices, refresh=refresh)
    requests = channel.requests(alertmanager(**target), batch, SENDER, NOW)
    return [alert for request in requests for alert in json.loads(request.body)]


def at(text: str) -> float:
    """Return a time of an alert in seconds since the epoch."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", text)
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


# --- content ----------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_an_alert_has_the_labels_and_the_summary_of_its_rule(severity: str) -> None:
    """It also has the labels that only events have, and those of the target."""
    rule = by_name(groups(RULES.read_text()))[f"PlumblineDrift{severity.title()}"]
    one = notice(severity=severity, segment="metadata.route=x", feature="score.tone")
    (alert,) = alerts(one, labels={"job": "p", "cluster": "eu"})
    assert alert["labels"] == rule.labels | {
        "alertname": rule.alert,
        "model": "chat",
        "feature": "score.tone",
        "segment": "metadata.route=x",
        "drift_type": "concept",
        "sender": "plumbline",
        "job": "p",
        "cluster": "eu",
    }
    assert alert["annotations"]["summary"] == rule.annotations["summary"]


ONSET = Explanation(since=ChangePoint(record=5, time=NOW - 900))


@pytest.mark.parametrize(
    ("one", "start", "end"),
    [
        (notice(time=NOW - 60, explanation=ONSET), NOW - 900, NOW + 600),
        (Notice(event(time=NOW - 60), NOW - 100), NOW - 100, NOW + 600),
        (Notice(event("escalated", time=NOW - 60), None), NOW - 60, NOW + 600),
        (Notice(event(time=NOW + 1e6), NOW + 1e6), NOW, NOW + 600),
        (Notice(event(time=1e300), 1e300), NOW, NOW + 600),
        (Notice(event(time=-1e300), -1e300), 0.0, NOW + 600),
        (Notice(event("resolved", time=NOW - 60), NOW - 100), NOW - 100, NOW - 60),
        (Notice(event("resolved", time=NOW + 1e9), NOW - 100), NOW - 100, NOW),
        (Notice(event("resolved", time=NOW - 200), NOW - 100), NOW - 200, NOW - 200),
        (Notice(event("resolved", time=-5.0), None), 0.0, 0.0),
    ],
)
def test_times_of_an_alert(one: Notice, start: float, end: float) -> None:
    """It starts with the change and ends with its resolution, never in the future. While it is open
    it is valid for ten minutes.
    """
    alert = alerts(one)[-1]
    assert (at(alert["startsAt"]), at(alert["endsAt"])) == (start, end)


def test_an_escalation_ends_the_warning() -> None:
    """A target that receives critical alarms only has no warning to end."""
    worse = notice("escalated", alarm="a", time=NOW - 5)
    ended, opened = alerts(worse)
    assert ended["labels"]["alertname"] == "PlumblineDriftWarning"
    assert at(ended["endsAt"]) == NOW - 5
    assert opened["labels"]["alertname"] == "PlumblineDriftCritical"
    assert at(opened["endsAt"]) > NOW
    (only,) = alerts(worse, severity="critical")
    assert only == opened


def test_of_several_events_of_a_stream_the_last_counts() -> None:
    """An alarm that opened and resolved meanwhile is one resolved alert."""
    (alert,) = alerts(notice(alarm="a"), notice("resolved", alarm="a", time=NOW - 1))
    assert at(alert["endsAt"]) == NOW - 1


@pytest.mark.parametrize("names", [("x" * 200 + "a", "x" * 200 + "b"), ("a\nb", "a\tb")])
def test_names_that_are_changed_stay_apart(names: tuple[str, str]) -> None:
    """A label is printable and at most 120 characters long, and ends with a hash if changed."""
    labels = [alerts(notice(model=name))[0]["labels"]["model"] for name in names]
    assert labels[0] != labels[1]
    assert all(len(label) <= 120 and label.isprintable() for label in labels)


def test_a_refresh_has_the_alert_that_inhibits_the_rules() -> None:
    """Messages about events do not: `notify test` must not inhibit anything."""
    one = notice()
    marker, alert = alerts(one, refresh=True, severity="critical", labels={"job": "p"})
    assert marker["labels"] == {
        "alertname": channel.POSTED,
        "severity": "info",
        "scope": "monitor",
        "sender": "plumbline",
        "least_severity": "critical",
        "job": "p",
    }
    assert [alert] == alerts(one, severity="critical", labels={"job": "p"})


def test_many_alerts_are_several_requests() -> None:
    """The number depends on the batch only, so that a retry sends what is left."""
    many = Batch([notice(feature=f"f{i}") for i in range(1200)], refresh=True)
    for now in (NOW, NOW + 5):
        sent = channel.requests(alertmanager(), many, SENDER, now)
        assert [len(json.loads(request.body)) for request in sent] == [500, 500, 201]


@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({}, None),
        ({"token": "tok-12345"}, "Bearer tok-12345"),
        ({"username": "me", "password": "pw-12345"}, f"Basic {b64encode(b'me:pw-12345').decode()}"),
    ],
)
def test_credentials_are_in_the_authorization_header(
    fields: dict[str, str], header: str | None
) -> None:
    """They are masked wherever an answer repeats them."""
    (request,) = channel.requests(alertmanager(**fields), Batch([notice()]), SENDER, NOW)
    assert request.headers.get("Authorization") == header
    assert request.url == "https://alerts.example.com/api/v2/alerts"
    if header is not None:
        assert header.split()[1] in request.secrets
        assert header not in repr(request)


# --- open alarms ------------------------------------------------------------------------------


def store(severity: Any = "warning") -> OpenAlerts:
    """Return an empty store that is ready."""
    return OpenAlerts(severity, lambda: 0.0, ready=True)


def kept(opened: OpenAlerts) -> list[str]:
    """Return the alarms of the store."""
    return [each.event.alarm for each in opened.notices.values()]


def test_open_alarms_are_those_without_a_resolution() -> None:
    """A new alarm of the same stream replaces one whose resolution is missing."""
    opened = store()
    for change, alarm, feature in (
        ("opened", "a", "f"),
        ("opened", "b", "g"),
        ("escalated", "a", "f"),
        ("opened", "c", "g"),
        ("opened", "d", "h"),
        ("resolved", "d", "h"),
    ):
        opened.restore(0, event(change, alarm=alarm, feature=feature))
    assert kept(opened) == ["a", "c"]


def test_an_alarm_keeps_its_opening_time() -> None:
    """Later events of the alarm do not have it."""
    opened = store()
    opened.restore(0, event(alarm="a", time=5.0))
    opened.restore(0, event("escalated", alarm="a", time=9.0))
    (one,) = opened.notices.values()
    assert (one.since, one.event.change) == (5.0, "escalated")


def test_a_critical_target_does_not_post_warnings() -> None:
    """A warning that becomes critical is posted from then on."""
    opened = store("critical")
    opened.restore(0, event(alarm="a", severity="warning"))
    assert kept(opened) == []
    opened.restore(0, event("escalated", alarm="a"))
    assert kept(opened) == ["a"]


def test_open_alarms_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are no longer posted, and are counted."""
    monkeypatch.setattr("monitor.notify.open_alerts.MAX_OPEN", 3)
    opened = store()
    for number in range(5):
        opened.restore(0, event(alarm=f"a{number}", feature=f"f{number}"))
    assert (kept(opened), opened.dropped) == (["a2", "a3", "a4"], 2)


def test_alarms_of_revoked_partitions_are_dropped() -> None:
    """Their new owner posts them."""
    opened = store()
    for partition in range(3):
        opened.restore(partition, event(alarm=f"a{partition}", feature=f"f{partition}"))
    opened.drop_partitions({0, 2})
    assert kept(opened) == ["a1"]


# --- delivery ---------------------------------------------------------------------------------


class Harness:
    """A delivery worker with its queue; alarms are posted again every 0.1 seconds."""

    def __init__(self, target: AlertmanagerTarget) -> None:
        self.counts = DeliveryCounts()
        self.queue = EventQueue(target, time.monotonic)
        self.worker = DeliveryWorker("am", self.queue, self.counts, SENDER)
        assert self.worker.open_alerts is not None
        self.open = self.worker.open_alerts
        self.open.ready = True
        self.offset = 0

    def add(self, *args: Any, **other: Any) -> None:
        """Add an event of partition 0 to the queue."""
        self.queue.add(0, self.offset, event(*args, **other))
        self.offset += 1

    def run_until(self, done: Any) -> None:
        """Run iterations until a condition holds."""

        def step() -> bool:
            self.worker.run_once()
            return bool(done())

        until(step, "the deliveries", 10.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.notify.open_alerts.REFRESH_SECONDS", 0.1)
    monkeypatch.setattr("monitor.notify.delivery.MIN_BACKOFF_SECONDS", 0.05)


@pytest.fixture
def members() -> Iterator[list[Receiver]]:
    """Two members of a cluster."""
    with ExitStack() as stack:
        yield [stack.enter_context(Receiver(receiver.alertmanager)) for _ in range(2)]


def cluster(members: list[Receiver], **other: Any) -> AlertmanagerTarget:
    """Return the target of a cluster."""
    return alertmanager(*(f"http://127.0.0.1:{each.port}" for each in members), **other)


def posted(member: Receiver) -> list[list[str]]:
    """Return the features of the drift alerts in each request."""
    return [
        [each["labels"]["feature"] for each in request.json if "feature" in each["labels"]]
        for request in list(member.received)
    ]


def test_an_open_alarm_is_posted_until_it_resolves(members: list[Receiver]) -> None:
    """Every refresh moves the end of its alert; the resolution ends it."""
    harness = Harness(cluster(members))
    harness.add(alarm="a", feature="f")
    harness.run_until(lambda: posted(members[0]).count(["f"]) >= 4)
    ends = [
        at(each["endsAt"])
        for request in members[0].received
        for each in request.json
        if "feature" in each["labels"]
    ]
    assert ends == sorted(set(ends))
    harness.add("resolved", alarm="a", feature="f", time=ends[0] - 700)
    harness.run_until(lambda: not harness.queue.waiting)
    sent = len(members[0].received)
    # A refresh may have been sent since: the resolution is the last request that names the alarm.
    last = [each for request in members[0].received for each in request.json][::-1]
    ended = next(each for each in last if "feature" in each["labels"])
    assert at(ended["endsAt"]) == ends[0] - 700
    harness.run_until(lambda: len(members[0].received) >= sent + 2)
    assert posted(members[0])[sent:] == [[]] * (len(members[0].received) - sent)
    assert harness.counts.sent["am"] == 2


def test_every_member_receives_every_alert(members: list[Receiver]) -> None:
    """Members exchange silences and notifications, but not alerts."""
    harness = Harness(cluster(members))
    harness.add(feature="f")
    harness.run_until(lambda: all(posted(each).count(["f"]) >= 2 for each in members))


@pytest.mark.parametrize("down", [0, 1])
@pytest.mark.parametrize("status", [500, 404, None])
def test_a_member_that_is_down_delays_nothing(
    members: list[Receiver], down: int, status: int | None
) -> None:
    """One member is enough; the failure is counted, and the next refresh reaches it again."""
    if status is None:
        target = cluster([*members[:1], *members[:0]])
        gone = "http://127.0.0.1:1"
        urls = [gone, *target.urls] if down == 0 else [*target.urls, gone]
        harness = Harness(alertmanager(*urls))
        up = members[0]
    else:
        harness, up = Harness(cluster(members)), members[1 - down]
        members[down].answer = lambda _: Reply(status)
    harness.add(feature="f")
    harness.add(feature="g")
    harness.run_until(lambda: not harness.queue.waiting)
    assert [each for each in posted(up) if len(each) == 1][:2] == [["f"], ["g"]]
    assert harness.counts.sent["am"] == 2
    assert harness.counts.retried.total() + harness.counts.failed.total() >= 2
    if status is not None:
        members[down].answer = receiver.alertmanager
        harness.run_until(lambda: ["f", "g"] in posted(members[down]))


def test_a_late_delivery_does_not_post_an_expired_alert(members: list[Receiver]) -> None:
    """Each attempt renews the times: an old end would resolve the alert."""
    harness = Harness(cluster(members[:1]))
    harness.open.ready = False
    clock = [NOW]
    harness.worker.clock = lambda: clock[0]
    members[0].answer = lambda _: Reply(503)
    harness.add(feature="f")
    harness.run_until(lambda: len(members[0].received) >= 2)
    clock[0] += 3600
    members[0].answer = receiver.alertmanager
    harness.run_until(lambda: not harness.queue.waiting)
    assert at(members[0].received[-1].json[0]["endsAt"]) == NOW + 3600 + 600


def test_a_refresh_that_fails_delays_no_event(members: list[Receiver]) -> None:
    """It is not repeated; the next one has new times."""
    harness = Harness(cluster(members[:1]))
    members[0].answer = lambda request: Reply(200 if len(request.json) == 1 else 500)
    harness.open.restore(0, event(alarm="a", feature="f"))
    harness.run_until(lambda: harness.counts.retried["am", "server_error"] >= 3)
    harness.add(feature="g")
    harness.run_until(lambda: not harness.queue.waiting)
    assert harness.counts.sent["am"] == 1


def test_nothing_is_posted_again_before_the_history_was_read(members: list[Receiver]) -> None:
    """An alarm in the middle of the history may be resolved at its end."""
    harness = Harness(cluster(members[:1]))
    harness.open.ready = False
    harness.open.restore(0, event(alarm="a", feature="f"))
    harness.add(feature="g")
    harness.run_until(lambda: not harness.queue.waiting)
    assert posted(members[0]) == [["g"]]
