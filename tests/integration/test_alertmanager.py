"""The channel to a real Alertmanager, with the committed example configuration."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from monitor.events.types import ChangePoint, DriftEvent, Explanation
from monitor.notify.counts import DeliveryCounts
from monitor.notify.delivery import DeliveryWorker
from monitor.notify.message import Sender
from monitor.notify.queue import EventQueue
from tests.integration.harness import until
from tests.integration.prometheus import GROUP_WAIT_SECONDS, Alertmanager, Json, Webhook, firing
from tests.integration.test_incidents import ALL, HELD_BACK_SECONDS, messages
from tests.long_form import long_only
from tests.monitor.notify.drift_events import alertmanager as target_of
from tests.monitor.notify.drift_events import event

SENDER = Sender("plumbline", "https://grafana.example.com/d/drift?m={model}", "https://wiki/books")
VALID_SECONDS = GROUP_WAIT_SECONDS + 5


class Channel:
    """Notify without Kafka: it runs in a thread until the block ends."""

    def __init__(self, url: str, cluster: str, **target: Any) -> None:
        labels = {"job": "p", "cluster": cluster}
        self.cluster = cluster
        self.queue = EventQueue(target_of(url, labels=labels, **target), time.monotonic)
        self.worker = DeliveryWorker("am", self.queue, DeliveryCounts(), SENDER)
        assert self.worker.open_alerts is not None
        self.open = self.worker.open_alerts
        self.open.ready = True
        self.waiting: list[DriftEvent] = []
        self.offset = 0

    def add(self, *args: Any, **other: Any) -> None:
        """Send an event at the present time."""
        self.waiting.append(event(*args, **({"time": time.time()} | other)))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the loop of notify."""
        ended = threading.Event()

        def loop() -> None:
            while not ended.wait(0.02):
                while self.waiting:
                    self.queue.add(0, self.offset, self.waiting.pop(0))
                    self.offset += 1
                self.worker.run_once()

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refresh each half second."""
    monkeypatch.setattr("monitor.notify.open_alerts.REFRESH_SECONDS", 0.5)


def of_prometheus(cluster: str, name: str, **labels: str) -> Json:
    """Return an alert of a rule, as Prometheus sends it."""
    return firing(name, ALL[name].labels, job="p", cluster=cluster, **labels)


def senders(webhook: Webhook, cluster: str) -> set[str | None]:
    """Return the senders of all alerts in the messages about a cluster; None is Prometheus."""
    return {
        alert["labels"].get("sender")
        for each in list(webhook.received)
        if each.body["groupLabels"].get("cluster") == cluster
        for alert in each.body["alerts"]
    }


def test_a_drift_pages_once(alertmanager: Alertmanager, webhook: Webhook) -> None:
    """While Plumbline posts its alerts, those of Prometheus for the same alarms do not notify; not
    even when an alarm has resolved and the rule has not yet. The page has the sentence and links.
    """
    cluster = "posted alerts"
    channel = Channel(alertmanager.url, cluster)
    onset = Explanation(since=ChangePoint(record=1600, time=time.time() - 60))
    with channel.running():
        channel.add(alarm="a", model="a", explanation=onset)
        channel.add(alarm="b", model="b", feature="prompt_chars", severity="warning")
        until(lambda: len(alertmanager.active(cluster=cluster)) == 3, "the alerts")
        alertmanager.post(
            [
                of_prometheus(cluster, "PlumblineDriftCritical", model="a", feature="latency_ms"),
                of_prometheus(cluster, "PlumblineDriftWarning", model="b", feature="prompt_chars"),
            ]
        )
        expected = [("chat", ["PlumblineDriftWarning"]), ("pager", ["PlumblineDriftCritical"])]
        until(lambda: messages(webhook, cluster) == expected, "the messages")
        channel.add("resolved", alarm="a", model="a")
        pages = webhook.about("pager", cluster=cluster)

        def resolved() -> bool:
            return bool(webhook.about("pager", cluster=cluster)[-1].body["status"] == "resolved")

        until(resolved, "the resolution")
        time.sleep(HELD_BACK_SECONDS)
    assert messages(webhook, cluster) == expected
    assert senders(webhook, cluster) == {"plumbline"}
    (page,) = pages[0].alerts()
    assert page["labels"]["drift_type"] == "prediction"
    text = page["annotations"]["description"]
    assert text.startswith("latency_ms of a has drifted (critical): median 800 -> 1,600 ms (x2)")
    assert ", since " in text
    assert page["annotations"]["runbook_url"] == "https://wiki/books/plumblinedriftcritical"
    assert page["annotations"]["dashboard_url"] == page["generatorURL"]
    assert page["generatorURL"] == "https://grafana.example.com/d/drift?m=a"
    assert onset.since is not None
    assert datetime.fromisoformat(page["startsAt"]).timestamp() == pytest.approx(onset.since.time)


def test_the_rules_take_over_when_nothing_is_posted(
    alertmanager: Alertmanager, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open alarm outlives the validity of its alert while notify runs, also across a restart;
    after the end of notify the alert of Prometheus pages.
    """
    monkeypatch.setattr("monitor.notify.channels.alertmanager.VALID_SECONDS", VALID_SECONDS)
    cluster, posted = "an end of notify", ("pager", ["PlumblineDriftCritical"])
    of_rule = of_prometheus(cluster, "PlumblineDriftCritical", model="a", feature="latency_ms")
    first = Channel(alertmanager.url, cluster)
    with first.running():
        first.add(alarm="a", model="a")
        until(lambda: len(alertmanager.active(cluster=cluster)) == 2, "the alerts")
        alertmanager.post([of_rule])
        time.sleep(VALID_SECONDS + 1)
    second = Channel(alertmanager.url, cluster)
    for notice in first.open.notices.values():
        second.open.restore(0, notice.event)
    with second.running():
        time.sleep(VALID_SECONDS + 1)
        found = alertmanager.active(cluster=cluster, sender="plumbline", model="a")
        assert [alert["status"]["state"] for alert in found] == ["active"]
        assert messages(webhook, cluster) == [posted]
    until(lambda: messages(webhook, cluster) == [posted, posted], "the page of Prometheus")
    assert senders(webhook, cluster) == {"plumbline", None}


def test_a_change_of_the_fleet_is_one_page(alertmanager: Alertmanager, webhook: Webhook) -> None:
    """The alert of Prometheus about most models suppresses the posted alerts of single models."""
    cluster = "a fleet that is posted"
    channel = Channel(alertmanager.url, cluster, per_minute=60)
    with channel.running():
        for number in range(8):
            channel.add(model=f"m{number}")
        until(lambda: len(alertmanager.active(cluster=cluster)) == 9, "the alerts")
        alertmanager.post([of_prometheus(cluster, "PlumblineFleetDrift", feature="latency_ms")])
        until(lambda: messages(webhook, cluster) != [], "the page")
        time.sleep(HELD_BACK_SECONDS)
    assert messages(webhook, cluster) == [("pager", ["PlumblineFleetDrift"])]


def test_a_worse_drift_replaces_its_warning(alertmanager: Alertmanager) -> None:
    """An escalation ends the warning, and a resolution ends the critical alert."""
    cluster = "an escalation"
    channel = Channel(alertmanager.url, cluster)

    def names() -> list[str]:
        found = alertmanager.active(cluster=cluster, model="a")
        return [each["labels"]["alertname"] for each in found]

    with channel.running():
        channel.add(alarm="a", model="a", severity="warning")
        until(lambda: names() == ["PlumblineDriftWarning"], "the warning")
        channel.add("escalated", alarm="a", model="a")
        until(lambda: names() == ["PlumblineDriftCritical"], "the critical alert")
        channel.add("resolved", alarm="a", model="a")
        until(lambda: names() == [], "the end")


@long_only
def test_a_critical_target_leaves_warnings_to_prometheus(
    alertmanager: Alertmanager, webhook: Webhook
) -> None:
    """Only the rule for critical drift is inhibited."""
    cluster = "critical alerts only"
    channel = Channel(alertmanager.url, cluster, severity="critical")
    with channel.running():
        channel.add(model="a")
        channel.add(model="b", severity="warning")
        until(lambda: len(alertmanager.active(cluster=cluster)) == 2, "the alerts")
        alertmanager.post(
            [
                of_prometheus(cluster, "PlumblineDriftCritical", model="a", feature="latency_ms"),
                of_prometheus(cluster, "PlumblineDriftWarning", model="b", feature="latency_ms"),
            ]
        )
        expected = [("chat", ["PlumblineDriftWarning"]), ("pager", ["PlumblineDriftCritical"])]
        until(lambda: messages(webhook, cluster) == expected, "the messages")
        time.sleep(HELD_BACK_SECONDS)
    assert messages(webhook, cluster) == expected
