"""Notifications about judges: their content for each kind of target, and which are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config.sections.notifications import Target
from monitor.events.findings.judges import JUDGE_CHANGES, JudgeEvent, decode_judge, encode_judge
from monitor.events.wording.judges import judge_sentence
from monitor.notify.channels import registry
from monitor.notify.findings.finding import FindingBatch, FindingNotice
from monitor.notify.message import Sender
from monitor.notify.queue import EventQueue
from monitor.roles.notify import _decode
from tests.monitor.notify import receiver
from tests.monitor.notify.drift_events import TARGETS, alertmanager, pagerduty, slack, webhook
from tests.monitor.notify.judge_events import HOSTILE_JUDGES, NOW, changed

WIKI = "https://wiki.example.com/plumbline"
SENDER = Sender("plumbline", None, f"{WIKI}/", None, None)
RESPOND = {
    "slack": receiver.slack,
    "pagerduty": receiver.pagerduty,
    "alertmanager": receiver.alertmanager,
}


def messages(target: Target, *events: JudgeEvent) -> list[Any]:
    """Return the bodies of the requests to a target."""
    batch = FindingBatch([FindingNotice(each) for each in events])
    return [json.loads(each.body) for each in registry.requests(target, batch, SENDER, NOW)]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            changed(),
            "judge claude: judge.answer_quality of the golden set moved by -0.42 (-0.6 to -0.24,"
            " 50 records): the judge has changed, not the models",
        ),
        (
            changed("down"),
            "judge claude: 38 of 40 calls had no answer; quality is not judged until it answers"
            " again",
        ),
        (changed("recovered"), "judge claude: answers again"),
    ],
    ids=lambda value: value.change if isinstance(value, JudgeEvent) else "",
)
def test_the_sentence_says_what_happened(event: JudgeEvent, text: str) -> None:
    """In every kind of message, with the runbook of the alert for the same condition."""
    assert judge_sentence(event) == text
    page = "plumblinejudgedrift" if event.change == "changed" else "plumblinejudgedown"
    (chat,) = messages(slack(), event)
    assert chat["text"] == text
    (incident,) = messages(pagerduty(), event)
    assert incident["payload"]["summary"] == text
    assert incident["links"] == [{"href": f"{WIKI}/{page}", "text": "Runbook"}]
    ((alert,),) = messages(alertmanager(), event)
    assert (alert["labels"]["judge"], alert["labels"]["change"]) == ("claude", event.change)
    (sent,) = messages(webhook(), event)
    assert (sent["events"][0]["summary"], sent["events"][0]["type"]) == (text, "judge")


def test_processes_that_find_the_same_write_the_same_id() -> None:
    """Within an hour; another judge, change, score or hour is another event."""
    first = changed()
    assert changed(time=NOW + 1, mean=-0.4).id == first.id
    others = (
        changed(judge="other"),
        changed(name="judge.tone"),
        changed("down"),
        changed(time=NOW + 3_600),
    )
    assert len({first.id, *(each.id for each in others)}) == 5


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ("all", ["down", "recovered", "changed"]),
        ("problems", ["down", "changed"]),
        ("none", []),
    ],
)
def test_a_target_chooses_what_it_receives(wanted: str, sent: list[str]) -> None:
    """A recovery is no problem. An event that is written twice is sent once."""
    queue = EventQueue(slack(judges=wanted), lambda: NOW)
    offset = 0
    for change in JUDGE_CHANGES:
        for _ in range(2):
            queue.add_finding(0, offset, changed(change))
            offset += 1
    waiting = [notice.event for _, notice in queue.waiting]
    assert [each.change for each in waiting if isinstance(each, JudgeEvent)] == sent


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(HOSTILE_JUDGES, min_size=1, max_size=3))
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_any_event_becomes_a_valid_request(target: Target, events: list[JudgeEvent]) -> None:
    """Whatever a stranger has written into the events topic."""
    for event in events:
        content = encode_judge(event)
        assert _decode(content) == decode_judge(content)
    batch = FindingBatch([FindingNotice(each) for each in events])
    for request in registry.requests(target, batch, SENDER, NOW):
        respond = RESPOND.get(target.kind)
        if respond is not None:
            headers = {"content-type": "application/json; charset=utf-8"}
            assert respond(receiver.Received(0.0, "/", headers, request.body)).status < 300
        assert len(request.body) < 100_000


def test_other_bytes_are_no_event() -> None:
    """They are counted as invalid, and nothing is raised."""
    for content in (b'{"type": "judge"}', b'{"type": "judge", "change": "sideways"}'):
        assert _decode(content) is None
