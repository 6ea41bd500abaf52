"""One clearly marked message to each target, so that users see whether their settings work."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from monitor.config import Config
from monitor.errors import UserError
from monitor.events import DriftEvent, Summary, event_id
from monitor.notify import kinds
from monitor.notify.notice import Batch, Notice
from monitor.notify.post import Answer, post

MARK = "TEST, nothing has drifted: "


@dataclass(frozen=True, slots=True)
class Trial:
    """What a target answered, to each request until one failed."""

    name: str
    kind: str
    answers: tuple[Answer, ...]

    @property
    def passed(self) -> bool:
        """Whether the message was taken."""
        return self.answers[-1].reason is None

    def __str__(self) -> str:
        last = self.answers[-1]
        status = "" if last.status is None else f" {last.status}"
        verdict = "delivered" if self.passed else f"not delivered ({last.reason})"
        return f"{self.name} ({self.kind}): {verdict}:{status} {last.detail}".rstrip(": ")


def plain(trial: Trial) -> dict[str, Any]:
    """A trial for JSON."""
    return {
        "target": trial.name,
        "kind": trial.kind,
        "delivered": trial.passed,
        "answers": [
            {"status": each.status, "reason": each.reason, "detail": each.detail}
            for each in trial.answers
        ],
    }


def run(config: Config, names: Collection[str], now: float) -> Iterator[Trial]:
    """Try the targets of these names, or all; now: the time of day that the message tells.

    An incident that this opens at PagerDuty is resolved at once.
    Raises UserError for a name that is none, and where there is no target.
    """
    targets = config.notifications.targets
    known = ", ".join(targets)
    if not targets:
        raise UserError("there is nobody to tell: configure notifications.targets")
    for name in names:
        if name not in targets:
            raise UserError(f"there is no target {name!r} in notifications.targets, only {known}")
    return (_try(config, name, now) for name in targets if not names or name in names)


def _try(config: Config, name: str, now: float) -> Trial:
    target, template = config.notifications.targets[name], config.notifications.dashboard_url
    found = _event(now)
    told = [found]
    if target.kind == "pagerduty":
        told.append(structs.replace(found, change="resolved", current=found.reference, psi=0.0))
    answers = []
    for event in told:
        batch = Batch([Notice(event, now, mark=MARK)])
        for request in kinds.requests(target, batch, template, "plumbline-notify-test"):
            answers.append(post(request))
            if answers[-1].reason:
                return Trial(name, target.kind, tuple(answers))
    return Trial(name, target.kind, tuple(answers))


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
