"""Notifications about experiments: their content for each kind of target, and the queue."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor.config.schema import Config
from monitor.config.sections.notifications import Target
from monitor.events.findings.experiments import ExperimentEvent, encode_experiment
from monitor.events.wording.experiments import experiment_sentence
from monitor.notify.channels import registry
from monitor.notify.findings.finding import FindingBatch, FindingNotice
from monitor.notify.message import Batch, Sender
from monitor.notify.queue import EventQueue
from monitor.roles.notify import TargetConsumer, _decode
from monitor.telemetry.counters.metrics import Metrics
from tests.monitor.notify import receiver
from tests.monitor.notify.drift_events import (
    TARGETS,
    alertmanager,
    event,
    pagerduty,
    slack,
    webhook,
)
from tests.monitor.notify.experiment_events import NOTICES, breach, mismatch, verdict

NOW = 1_790_000_100.0
SENDER = Sender(
    "plumbline",
    None,
    "https://wiki.example.com/plumbline/",
    "https://grafana.example.com/d/plumbline-experiments?var-experiment={experiment}",
)
RUNBOOK = "https://wiki.example.com/plumbline/plumblineexperimentverdict"
REPORT = "https://grafana.example.com/d/plumbline-experiments?var-experiment=prompt-v2"
RESPOND = {
    "slack": receiver.slack,
    "pagerduty": receiver.pagerduty,
    "alertmanager": receiver.alertmanager,
}


def messages(target: Target, *events: ExperimentEvent) -> list[Any]:
    """Return the bodies of the requests to a target."""
    batch = FindingBatch([FindingNotice(each) for each in events])
    return [json.loads(each.body) for each in registry.requests(target, batch, SENDER, NOW)]


# --- content ----------------------------------------------------------------------------------


def test_all_kinds_have_the_sentence_and_the_links() -> None:
    """Chat, pager, program and Alertmanager receive the same text, report and runbook."""
    one = verdict()
    sentence = experiment_sentence(one)
    (chat,) = messages(slack(), one)
    assert chat["text"] == sentence
    assert chat["attachments"][0]["title_link"] == REPORT
    assert chat["attachments"][0]["text"] == f"<{RUNBOOK}|How to read this>"
    (page,) = messages(pagerduty(), one)
    assert page["payload"]["summary"] == sentence
    assert {each["href"] for each in page["links"]} == {RUNBOOK, REPORT}
    (sent,) = messages(webhook(), one)
    assert sent["events"][0]["type"] == "experiment"
    assert sent["events"][0]["summary"] == sent["summary"] == sentence
    assert sent["events"][0]["runbook_url"] == RUNBOOK
    ((alert,),) = messages(alertmanager(), one)
    assert alert["annotations"]["description"] == sentence
    assert alert["labels"]["alertname"] == "PlumblineExperimentVerdict"
    assert alert["labels"]["experiment"] == "prompt-v2"
    assert alert["endsAt"] > alert["startsAt"]


def test_many_findings_are_one_chat_message() -> None:
    """Warnings come first, and the headline names the experiments."""
    (message,) = messages(slack(), verdict(), breach(experiment="other"), mismatch())
    assert message["text"] == "3 findings in experiments: prompt-v2, other"
    lines = message["attachments"][0]["text"].split("\n")
    assert "guardrail" in lines[0]
    assert "better" in lines[2]


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(notices=st.lists(NOTICES, min_size=1, max_size=4), target=st.sampled_from(TARGETS))
def test_hostile_names_give_valid_messages(notices: list[FindingNotice], target: Target) -> None:
    """Whatever names a log has, targets accept the messages, and no mention or link is in them."""
    for request in registry.requests(target, FindingBatch(notices), SENDER, NOW):
        respond = RESPOND.get(target.kind)
        if respond is not None:
            received = receiver.Received(0.0, "/", dict(JSON), request.body)
            assert respond(received).status < 300
        text = request.body.decode()
        if target.kind == "alertmanager":  # its labels are those of the metrics
            text = json.dumps([alert["annotations"] for alert in json.loads(text)])
        assert "<!" not in text.replace("\\u003c", "<") or target.kind in {"webhook", "pagerduty"}
        assert len(request.body) < 100_000


JSON = {"content-type": "application/json; charset=utf-8"}


# --- the queue --------------------------------------------------------------------------------


def queue(target: Target) -> EventQueue:
    """Return an empty queue whose clock stands still."""
    return EventQueue(target, lambda: 0.0)


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (slack(), ["verdict", "srm", "srm", "guardrail"]),
        (webhook(), ["verdict", "srm", "srm", "guardrail"]),
        (pagerduty(), ["srm", "guardrail"]),
        (alertmanager(), ["srm", "guardrail"]),
        (pagerduty(experiments="all"), ["verdict", "srm", "srm", "guardrail"]),
        (slack(experiments="problems", severity="critical"), []),
        (slack(experiments="none"), []),
    ],
)
def test_a_target_receives_what_it_asks_for(target: Target, sent: list[str]) -> None:
    """Chats receive verdicts; pagers receive what needs an action."""
    waiting = queue(target)
    for offset, each in enumerate([verdict(), mismatch("warn"), mismatch(), breach()]):
        waiting.add_finding(0, offset, each)
    assert [getattr(notice.event, "kind", "") for _, notice in waiting.waiting] == sent


def test_an_event_is_sent_once_and_its_offset_committed_afterwards() -> None:
    """A repeated event is recognized, also one that an earlier process has handled."""
    waiting, one, old = queue(slack()), verdict(), verdict()
    waiting.replay_finding(old)
    assert waiting.add_finding(0, 5, one) is None
    assert waiting.add_finding(0, 6, one) == "duplicate"
    assert waiting.add_finding(0, 7, old) == "duplicate"
    assert waiting.offsets() == {0: 5}
    batch = waiting.next_batch()
    assert isinstance(batch, FindingBatch)
    waiting.complete(batch)
    assert waiting.offsets() == {0: 8}


def test_a_message_has_events_of_one_type() -> None:
    """When messages are short, events of drift and of experiments are combined apart."""
    waiting = queue(slack(per_minute=2))
    drift = [event(), event()]
    findings = [verdict(), breach()]
    for offset, each in enumerate(drift):
        waiting.add(0, offset, each)
    for offset, found in enumerate(findings, 2):
        waiting.add_finding(0, offset, found)
    first = waiting.next_batch()
    assert isinstance(first, Batch)
    assert [notice.event.id for notice in first.notices] == [each.id for each in drift]
    waiting.complete(first)
    second = waiting.next_batch()
    assert isinstance(second, FindingBatch)
    assert waiting.offsets() == {0: 2}


# --- the role ---------------------------------------------------------------------------------


def test_the_role_decodes_events_of_experiments() -> None:
    """A damaged one is unreadable, and one that cannot be put into words as well."""
    one = verdict()
    assert _decode(encode_experiment(one)) == one
    assert _decode(b'{"type": "experiment", "id": 7}') is None
    users, expected = {"a": 2**63}, {"a": 1e308}
    assert _decode(encode_experiment(verdict(kind="srm", users=users, expected=expected))) is None


def test_the_role_remembers_earlier_events() -> None:
    """Events before the first one to send are not sent."""
    consumer = TargetConsumer("team", slack(), Config(), Metrics(), lambda: None)
    one = verdict()
    with capture_logs():
        consumer._remember(0, one)
    assert consumer.queue.add_finding(0, 3, one) == "duplicate"
