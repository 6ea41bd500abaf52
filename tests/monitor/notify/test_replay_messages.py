"""Notifications about replays: their content for each kind of target, and which are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config.sections.notifications import Target
from monitor.events.replay import ReplayEvent, ReplayVerdict, encode_replay
from monitor.events.wording.replay import replay_sentence
from monitor.notify.channels import registry
from monitor.notify.findings.finding import FindingBatch, FindingEvent, FindingNotice
from monitor.notify.message import Sender
from monitor.notify.queue import EventQueue
from monitor.roles.notify import _decode
from tests.monitor.notify import receiver
from tests.monitor.notify.drift_events import (
    TARGETS,
    alertmanager,
    event,
    pagerduty,
    slack,
    webhook,
)
from tests.monitor.notify.experiment_events import verdict
from tests.monitor.notify.replay_events import HOSTILE_REPLAYS, replayed

NOW = 1_790_000_100.0
WIKI = "https://wiki.example.com/plumbline"
SENDER = Sender(
    "plumbline",
    None,
    f"{WIKI}/",
    None,
    "https://grafana.example.com/d/replay?model={model}&run={run}&alarm={alarm}",
)
LINK = "https://grafana.example.com/d/replay?model=llama&run=run-1&alarm=00000000000000aa"
RESPOND = {
    "slack": receiver.slack,
    "pagerduty": receiver.pagerduty,
    "alertmanager": receiver.alertmanager,
}


def messages(target: Target, *events: ReplayEvent) -> list[Any]:
    """Return the bodies of the requests to a target."""
    batch = FindingBatch([FindingNotice(each) for each in events])
    return [json.loads(each.body) for each in registry.requests(target, batch, SENDER, NOW)]


def test_all_kinds_have_the_sentence_and_the_links() -> None:
    """Chat, pager, program and Alertmanager receive the same text, link and runbook."""
    one, page = replayed(), f"{WIKI}/plumblinereplayregressed"
    sentence = replay_sentence(one)
    (chat,) = messages(slack(), one)
    assert chat["text"] == sentence
    assert chat["attachments"][0]["title_link"] == LINK
    assert chat["attachments"][0]["text"] == f"<{page}|How to read this>"
    (paged,) = messages(pagerduty(), one)
    assert paged["payload"]["summary"] == sentence
    assert paged["payload"]["severity"] == "critical"
    assert {each["href"] for each in paged["links"]} == {page, LINK}
    (sent,) = messages(webhook(), one)
    assert sent["events"][0]["type"] == "replay"
    assert sent["events"][0]["summary"] == sent["summary"] == sentence
    assert (sent["events"][0]["replay_url"], sent["events"][0]["runbook_url"]) == (LINK, page)
    ((alert,),) = messages(alertmanager(), one)
    assert alert["annotations"]["description"] == sentence
    assert alert["labels"]["alertname"] == "PlumblineReplayRegressed"
    assert (alert["labels"]["model"], alert["labels"]["verdict"]) == ("llama", "regressed")


def test_many_replays_are_one_chat_message() -> None:
    """Regressions come first, and the headline counts them."""
    (message,) = messages(slack(), replayed("not_regressed"), replayed(model="other"))
    assert message["text"] == "2 replays ended, 1 regressed: llama, other"
    assert "replay: regressed" in message["attachments"][0]["text"].split("\n")[0]


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(events=st.lists(HOSTILE_REPLAYS, min_size=1, max_size=4), target=st.sampled_from(TARGETS))
def test_hostile_names_give_valid_messages(events: list[ReplayEvent], target: Target) -> None:
    """Whatever names a log has, targets accept the messages, and no mention is in them."""
    batch = FindingBatch([FindingNotice(each) for each in events])
    for request in registry.requests(target, batch, SENDER, NOW):
        respond = RESPOND.get(target.kind)
        if respond is not None:
            headers = {"content-type": "application/json; charset=utf-8"}
            assert respond(receiver.Received(0.0, "/", headers, request.body)).status < 300
        text = request.body.decode().replace("\\u003c", "<")
        assert "<!" not in text or target.kind != "slack"
        assert len(request.body) < 100_000


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (slack(), ["regressed", "not_regressed", "error"]),
        (pagerduty(), ["regressed", "error"]),
        (alertmanager(), ["regressed", "error"]),
        (pagerduty(severity="critical"), ["regressed"]),
        (pagerduty(replays="all"), ["regressed", "not_regressed", "error"]),
        (slack(replays="none", experiments="all"), []),
    ],
)
def test_a_target_receives_what_it_asks_for(target: Target, sent: list[str]) -> None:
    """Chats receive all verdicts; pagers receive what needs an action."""
    waiting = EventQueue(target, lambda: 0.0)
    verdicts: tuple[ReplayVerdict, ...] = ("regressed", "not_regressed", "error")
    for offset, each in enumerate(verdicts):
        waiting.add_finding(0, offset, replayed(each))
    assert [getattr(n.event, "verdict", "") for _, n in waiting.waiting] == sent


def test_a_message_has_events_of_one_type() -> None:
    """When messages are short, drift, experiments and replays are combined apart."""
    waiting = EventQueue(slack(per_minute=3), lambda: 0.0)
    waiting.add(0, 0, event())
    waiting.add(0, 1, event())
    findings: list[FindingEvent] = [verdict(id="a"), verdict(id="b"), replayed(), replayed()]
    for offset, found in enumerate(findings, 2):
        waiting.add_finding(0, offset, found)
    kinds = []
    while (batch := waiting.next_batch()) is not None:
        kinds.append({type(notice.event).__name__ for notice in batch.notices})
        waiting.complete(batch)
    assert kinds == [{"DriftEvent"}, {"ExperimentEvent"}, {"ReplayEvent"}]


def test_the_role_decodes_replay_events() -> None:
    """A damaged one is unreadable."""
    one = replayed()
    assert _decode(encode_replay(one)) == one
    assert _decode(b'{"type": "replay", "id": 7}') is None
