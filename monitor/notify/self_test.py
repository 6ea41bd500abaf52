"""Send a message marked as a test to targets and report their responses."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from msgspec import structs

from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.events.codec import event_id
from monitor.events.types import DriftEvent, Summary
from monitor.notify.channels import registry
from monitor.notify.http_client import Response, post
from monitor.notify.message import Batch, Notice, Request, Sender

MARK = "TEST, nothing has drifted: "
"""Text before the sentence of the test event."""
SOURCE = "plumbline-notify-test"


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """Responses of a target to the requests up to the first that failed."""

    name: str
    kind: str
    responses: tuple[Response, ...]

    @property
    def passed(self) -> bool:
        """Whether the target accepted the message."""
        return self.responses[-1].reason is None

    def __str__(self) -> str:
        last = self.responses[-1]
        status = "" if last.status is None else f" {last.status}"
        verdict = "delivered" if self.passed else f"not delivered ({last.reason})"
        return f"{self.name} ({self.kind}): {verdict}:{status} {last.detail}".rstrip(": ")


def to_dict(result: SelfTestResult) -> dict[str, Any]:
    """Return the result as JSON values."""
    return {
        "target": result.name,
        "kind": result.kind,
        "delivered": result.passed,
        "answers": [
            {"status": each.status, "reason": each.reason, "detail": each.detail}
            for each in result.responses
        ],
    }


def run(config: Config, names: Collection[str], now: float) -> Iterator[SelfTestResult]:
    """Test the named targets, or all if no names are given.

    The incident that this opens at PagerDuty is resolved at once; the alert at an Alertmanager
    expires.

    now: time of the test event, in seconds since the epoch.
    Raises UserError for an unknown name and if no target is configured.
    """
    targets = config.notifications.targets
    if not targets:
        raise UserError("no target is configured: add one to notifications.targets")
    for name in names:
        if name not in targets:
            known = ", ".join(targets)
            raise UserError(f"no target {name!r} in notifications.targets; it has {known}")
    return (_test(config, name, now) for name in targets if not names or name in names)


def _test(config: Config, name: str, now: float) -> SelfTestResult:
    target, notifications = config.notifications.targets[name], config.notifications
    sender = Sender(SOURCE, notifications.dashboard_url, notifications.runbooks_url)
    opened = _event(now)
    events = [opened]
    if target.kind == "pagerduty":
        events.append(structs.replace(opened, change="resolved", current=opened.reference, psi=0.0))
    batches = [Batch([Notice(event, now, mark=MARK)]) for event in events]
    responses = []
    requests = (r for b in batches for r in registry.requests(target, b, sender, now))
    for request in chain.from_iterable(map(_members, requests)):
        responses.append(post(request))
        if responses[-1].reason:
            break
    return SelfTestResult(name, target.kind, tuple(responses))


def _members(request: Request) -> list[Request]:
    """Return a request for each member of a cluster, so that each is tested."""
    urls = (request.url, *request.replicas)
    return [replace(request, url=url, replicas=()) for url in urls]


def _event(now: float) -> DriftEvent:
    model, feature, detector = "plumbline-test", "latency_ms", "ks"
    identity = event_id(
        model=model, segment="", feature=feature, detector=detector, record=1000, time=now
    )
    return DriftEvent(
        id=identity,
        alarm=identity,
        change="opened",
        model=model,
        segment="",
        feature=feature,
        detector=detector,
        found_by=(detector,),
        severity="warning",
        position=1000,
        record=1000,
        time=now,
        statistic=0.41,
        threshold=0.12,
        p_value=1e-9,
        psi=0.17,
        reference_id="test",
        reference=Summary(n=50_000, missing=0.0, mean=860.0, p50=800.0, p95=1900.0),
        current=Summary(n=1000, missing=0.0, mean=1080.0, p50=1000.0, p95=2400.0),
    )
