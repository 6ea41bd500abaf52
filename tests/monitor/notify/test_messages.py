"""Content of messages for each kind of target, with valid and hostile names."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from monitor.config.sections.notifications import Target
from monitor.events import types
from monitor.events.codec import encode_event
from monitor.events.types import ChangePoint, Explanation
from monitor.notify.channels import registry, slack
from monitor.notify.message import (
    Batch,
    Notice,
    Request,
    Sender,
    dashboard_link,
    headline,
    open_since,
    short_name,
    truncate,
)
from monitor.records import Source
from tests.monitor.events.drift_events import EXPLANATION as CHANGE
from tests.monitor.notify import receiver
from tests.monitor.notify.drift_events import (
    HOSTILE,
    NOTICES,
    TARGETS,
    TEXT,
    alertmanager,
    event,
    notice,
    pagerduty,
    webhook,
)
from tests.monitor.notify.drift_events import slack as slack_target

PURE = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
RUNBOOKS = "https://wiki.example.com/plumbline/"
SENDER = Sender("plumbline")
NOW = 1_790_000_100.0
EXPLANATION = structs.replace(
    CHANGE, since=types.ChangePoint(record=1600, time=1_790_000_000.0 - 12)
)
LINK = "https://grafana.example.com/d/drift?var-model={model}&var-feature={feature}&from={from}"


def messages(
    target: Target,
    *notices: Notice,
    template: str | None = None,
    runbooks: str | None = None,
    ended: tuple[int, ...] = (),
) -> list[Any]:
    """Return the bodies of the requests to a target."""
    sender = Sender("plumbline", template, runbooks)
    requests = registry.requests(target, Batch(notices, frozenset(ended)), sender, NOW)
    return [json.loads(request.body) for request in requests]


def storm(count: int, **other: Any) -> list[Notice]:
    """Return alarms of this number of features."""
    return [notice(feature=f"f{i}", psi=0.1 + i, **other) for i in range(count)]


# --- content ----------------------------------------------------------------------------------


def test_a_slack_message_describes_the_alarm() -> None:
    """It has the sentence, severity, model, feature, PSI, opening time and link, in red."""
    (message,) = messages(slack_target(), notice(change="escalated", alarm="a1"), template=LINK)
    (attachment,) = message["attachments"]
    assert (
        message["text"]
        == attachment["fallback"]
        == (
            "latency_ms of chat has become critical: median 800 -&gt; 1,600 ms "
            "(x2), p95 1,600 -&gt; 3,200 ms (x2); PSI 0.41"
        )
    )
    assert {field["title"]: field["value"] for field in attachment["fields"]} == {
        "Model": "chat",
        "Feature": "latency_ms",
        "Severity": "critical",
        "Drift type": "prediction",
        "PSI": "0.41",
        "Since": "2026-09-21 12:08:20 UTC",
        "Found by": "ks, psi",
    }
    assert attachment["title_link"].startswith("https://grafana.example.com/d/drift?var-model=chat")
    assert attachment["color"] == slack.RED
    assert attachment["footer"] == "Plumbline, alarm a1"


@pytest.mark.parametrize("base", [RUNBOOKS, RUNBOOKS.rstrip("/")])
@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_every_page_links_to_its_runbook(base: str, severity: str) -> None:
    """It is the page of the alert rule of this severity, as in the rules' annotation."""
    url = f"https://wiki.example.com/plumbline/plumblinedrift{severity}"
    one = notice(severity=severity)
    (chat,) = messages(slack_target(), one, runbooks=base)
    assert chat["attachments"][0]["text"] == f"<{url}|Open the runbook>"
    (chat,) = messages(slack_target(), one, notice(severity="warning"), runbooks=base)
    assert chat["attachments"][0]["text"].endswith(f"\n<{url}|Open the runbook>")
    (page,) = messages(pagerduty(), one, runbooks=base)
    assert page["links"] == [{"href": url, "text": "Runbook"}]
    (sent,) = messages(webhook(), one, runbooks=base)
    assert sent["events"][0]["runbook_url"] == url
    ((alert,),) = messages(alertmanager(), one, runbooks=base)
    assert alert["annotations"]["runbook_url"] == url


def test_pages_of_all_kinds_have_the_same_sentence() -> None:
    """Only the escaping differs."""
    one = notice(explanation=EXPLANATION)
    (chat,) = messages(slack_target(), one)
    (page,) = messages(pagerduty(), one)
    (sent,) = messages(webhook(), one)
    ((alert,),) = messages(alertmanager(), one)
    assert one.sentence() == page["payload"]["summary"] == sent["summary"]
    assert one.sentence() == chat["text"].replace("&gt;", ">")
    assert one.sentence() == alert["annotations"]["description"]
    for part in ("800 -> 1,600 ms", "since 14:13:08 UTC", "with output_tokens, cost_usd"):
        assert part in one.sentence()


@pytest.mark.parametrize("source", Source)
def test_the_source_is_shown_unless_it_is_the_log(source: Source) -> None:
    """Pages about records are as before."""
    (message,) = messages(slack_target(), notice(source=source))
    (attachment,) = message["attachments"]
    shown = {field["title"]: field["value"] for field in attachment["fields"]}
    assert shown.get("Source", "log") == source
    assert ("Source" in shown) == (source is not Source.LOG)


def test_a_resolution_is_green_and_has_the_duration() -> None:
    """The message of a resolved alarm has its status, segment and duration, and no link."""
    resolved = notice("resolved", current=event().reference, segment="metadata.route=x")
    (message,) = messages(slack_target(), resolved)
    (attachment,) = message["attachments"]
    shown = {field["title"]: field["value"] for field in attachment["fields"]}
    assert "is quiet again" in message["text"]
    assert shown["Severity"] == "resolved"
    assert shown["Segment"] == "metadata.route=x"
    assert shown["Open"] == "2026-09-21 12:08:20 UTC, for 2 h 5 min"
    assert attachment["color"] == slack.GREEN
    assert "title_link" not in attachment


@pytest.mark.parametrize(
    ("change", "since", "time", "text"),
    [
        ("opened", 0.0, 0.0, "1970-01-01 00:00:00 UTC"),
        ("resolved", 0.0, 20.0, "1970-01-01 00:00:00 UTC, for less than a minute"),
        ("resolved", 0.0, 86_400 * 3 + 60.0, "1970-01-01 00:00:00 UTC, for 3 d 1 min"),
        ("resolved", None, 0.0, "before 1970-01-01 00:00:00 UTC"),
        ("escalated", None, 0.0, "before 1970-01-01 00:00:00 UTC"),
        ("opened", 1e300, 0.0, "unknown"),
        ("opened", 0.0, -1e300, "unknown"),
    ],
)
def test_the_opening_time_is_shown_if_known(
    change: str, since: float | None, time: float, text: str
) -> None:
    """A resolution also has the duration; an unknown opening is before the event."""
    assert open_since(Notice(event(change, time=time), since)) == text


def test_many_alarms_are_one_slack_message() -> None:
    """It has the ten most severe as sentences, and the number of the others."""
    (message,) = messages(slack_target(), *storm(47), template=LINK)
    (attachment,) = message["attachments"]
    lines = attachment["text"].splitlines()
    assert message["text"] == "47 changes at once: 47 critical; of chat"
    assert len(lines) == 11
    assert "f46 of chat has drifted" in lines[0]
    assert lines[-1] == "and 37 more"


def test_the_headline_counts_events_by_status() -> None:
    """It also has the models with the most events."""
    many = [
        *(notice(model=f"m{i}") for i in range(5)),
        notice(model="m1", severity="warning"),
        notice("resolved", model="m1"),
    ]
    assert headline(many) == (
        "latency_ms has drifted in 5 models; "
        "7 changes at once: 5 critical, 1 warning, 1 resolved; of m1, m0, m2 and 2 more models"
    )


def fleet(count: int, change: str = "opened", feature: str = "latency_ms") -> list[Notice]:
    """Return the same change for this number of models."""
    return [notice(change, model=f"m{i}", feature=feature) for i in range(count)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_forty_models_that_shift_together_are_one_message(target: Target) -> None:
    """The message begins with the feature and the number of models."""
    (message,) = messages(target, *fleet(40))
    if target.kind == "alertmanager":  # PlumblineFleetDrift suppresses them there
        assert [each["labels"]["model"] for each in message] == [f"m{i}" for i in range(40)]
        return
    text = message.get("text") or message.get("summary") or message["payload"]["summary"]
    assert text == (
        "latency_ms has drifted in 40 models; "
        "40 changes at once: 40 critical; of m0, m1, m2 and 37 more models"
    )


@pytest.mark.parametrize(
    ("many", "begins"),
    [
        (fleet(2), "2 changes at once"),
        (fleet(3), "latency_ms has drifted in 3 models; 3 changes"),
        (fleet(3, "resolved"), "latency_ms is quiet again in 3 models; 3 changes"),
        (fleet(4) + fleet(8, feature="error")[3:], "error has drifted in 5 models; latency_ms has"),
        (fleet(3) + fleet(7, feature="error")[3:], "error has drifted in 4 models; 7 changes"),
        (fleet(3) + fleet(3, feature="error") + storm(9, model="x"), "latency_ms has drifted in 3"),
        ([each for i in range(9) for each in fleet(3, feature=f"f{i}")], "f0 has drifted in 3"),
        (fleet(2) + [notice(model="m0", segment=f"s={i}") for i in range(5)], "7 changes at once"),
    ],
)
def test_the_headline_begins_with_common_changes(many: list[Notice], begins: str) -> None:
    """A change is common to at least three models and half of all; segments count as one model."""
    text = headline(many)
    assert text.startswith(begins)
    assert text.count(" in 3 models") <= 3


def test_the_component_of_a_shared_incident_is_its_feature() -> None:
    """If the alarms have several features, the component says so."""
    (message,) = messages(pagerduty(), *fleet(4))
    assert message["payload"]["component"] == "latency_ms"
    (message,) = messages(pagerduty(), *fleet(4), *fleet(1, feature="error"))
    assert message["payload"]["component"] == "many features"


def test_a_webhook_receives_every_event_in_full() -> None:
    """Each event also has its sentence, link and opening time."""
    many = storm(40)
    (message,) = messages(webhook(), *many, template=LINK)
    assert (message["version"], message["source"]) == (1, "plumbline")
    for sent, each in zip(message["events"], many, strict=True):
        whole = json.loads(encode_event(each.event))
        assert {key: sent[key] for key in whole} == whole
        assert sent["summary"] == each.sentence()
        assert sent["since"] == each.since
        assert f"var-feature={each.event.feature}" in sent["dashboard_url"]


@pytest.mark.parametrize("change", ["opened", "escalated", "updated"])
def test_all_targets_state_the_same_start_of_the_change(change: str) -> None:
    """It is the one of the event, in the sentence, in fields and for programs."""
    since = ChangePoint(record=1_201, time=1_790_000_000.0 - 3_600)
    one = notice(change, explanation=Explanation(since=since))
    (slack_message,) = messages(slack_target(), one)
    (page,) = messages(pagerduty(), one)
    (call,) = messages(webhook(), one)
    (attachment,) = slack_message["attachments"]
    text = "2026-09-21 13:13:20 UTC, 500 records ago"
    shown = {field["title"]: field["value"] for field in attachment["fields"]}
    assert text.removeprefix("2026-09-21 ") in slack_message["text"]
    assert shown["Since"] == text.removeprefix("2026-09-21 ")
    assert page["payload"]["custom_details"]["since"] == shown["Since"]
    assert shown["Since"] in page["payload"]["summary"]
    (sent,) = call["events"]
    assert sent["since"] == sent["explanation"]["since"]["time"] == since.time
    assert shown["Since"] in sent["summary"]
    (resolved,) = messages(slack_target(), notice("resolved", explanation=Explanation(since=since)))
    assert "2026-09-21 13:13:20 UTC, for 1 h" in str(resolved["attachments"])
    assert "after 500 records (1 h)" in resolved["text"]


def test_the_token_of_a_webhook_is_in_the_authorization_header() -> None:
    """It is not in the body, and without a token there is no such header."""
    (request,) = registry.requests(webhook(token="tok-12345"), Batch([notice()]), SENDER, NOW)
    assert request.headers["Authorization"] == "Bearer tok-12345"
    assert b"tok-12345" not in request.body
    (request,) = registry.requests(webhook(), Batch([notice()]), SENDER, NOW)
    assert "Authorization" not in request.headers


# --- PagerDuty --------------------------------------------------------------------------------


def test_events_of_an_alarm_are_one_incident() -> None:
    """They have one deduplication key: opened and escalated trigger, resolved resolves."""
    for change, action in (
        ("opened", "trigger"),
        ("escalated", "trigger"),
        ("updated", "trigger"),
        ("resolved", "resolve"),
    ):
        (message,) = messages(pagerduty(), notice(change, alarm="0123456789abcdef"))
        assert message["dedup_key"] == "plumbline-0123456789abcdef"
        assert message["event_action"] == action
    (message,) = messages(pagerduty(), notice(severity="warning"), template=LINK)
    assert message["payload"]["severity"] == "warning"
    assert message["payload"]["source"] == "chat"
    assert message["payload"]["summary"].startswith("latency_ms of chat has drifted (warning)")
    assert message["links"][0]["href"].startswith("https://grafana.example.com/")


def test_alarms_in_one_message_share_an_incident_per_partition() -> None:
    """A single alarm has its own incident; a resolved one is only resolved, not triggered."""
    first = [structs.replace(n.event) for n in storm(3)]
    many = [Notice(each, None, partition) for each, partition in zip(first, (0, 0, 1), strict=True)]
    opened, resolved = (notice(change, alarm="brief") for change in ("opened", "resolved"))
    sent = messages(pagerduty(), *many, opened, resolved)
    assert [(m["event_action"], m["dedup_key"]) for m in sent] == [
        ("trigger", "plumbline-many-0"),
        ("trigger", f"plumbline-{many[2].event.alarm}"),
        ("resolve", "plumbline-brief"),
    ]
    assert sent[0]["payload"]["summary"] == "2 changes at once: 2 critical; of chat"
    assert len(sent[0]["payload"]["custom_details"]) == 2
    assert many[2].event.feature in sent[1]["payload"]["summary"]


def test_a_shared_incident_is_resolved_with_its_last_alarm() -> None:
    """`Batch.ended` resolves the shared incident of the partition."""
    sent = messages(pagerduty(), notice("resolved", alarm="a"), ended=(2,))
    assert [m["dedup_key"] for m in sent] == ["plumbline-a", "plumbline-many-2"]
    assert {m["event_action"] for m in sent} == {"resolve"}


# --- hostile text -----------------------------------------------------------------------------


def texts(value: Any) -> list[str]:
    """Return all texts in a JSON value, including keys."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


@PURE
@given(
    st.sampled_from(TARGETS),
    st.lists(NOTICES, min_size=1, max_size=14),
    st.none() | st.just(LINK),
)
def test_messages_of_any_event_are_valid(
    target: Target, notices: list[Notice], template: str | None
) -> None:
    """With any names and numbers, the target accepts the JSON, whose size is limited."""
    sender = Sender("plumbline", template, RUNBOOKS)
    requests = registry.requests(target, Batch(notices, frozenset({1})), sender, NOW)
    assert requests
    answer = {
        "slack": receiver.slack,
        "pagerduty": receiver.pagerduty,
        "alertmanager": receiver.alertmanager,
    }.get(target.kind)
    for request in requests:
        assert json.loads(request.body.decode("utf-8"))
        assert len(request.body) < 20_000 * len(notices) + 10_000
        if answer is not None:
            sent = receiver.Received(0.0, "/", {"content-type": "application/json"}, request.body)
            assert answer(sent).status in {200, 202}, answer(sent).body


MENTION = re.compile(r"@(?:channel|here|all|everyone)|\]\(|://|```|<|>")


@PURE
@given(st.lists(NOTICES, min_size=1, max_size=12))
def test_no_name_becomes_a_mention_or_link(notices: list[Notice]) -> None:
    """No text has a control sequence, mention, link or code, for Slack or in Markdown."""
    for message in messages(slack_target(), *notices):
        for text in texts(message):
            assert not MENTION.search(text), text
            # every ampersand begins one of the three entities that Slack decodes
            assert not re.search(r"&(?!(amp|lt|gt);)", text)
            assert text.replace("\n", "").replace("\u200b", "").isprintable()


@PURE
@given(st.lists(NOTICES, min_size=1, max_size=12))
def test_no_name_becomes_a_mention_or_link_behind_alertmanager(notices: list[Notice]) -> None:
    """Its templates pass annotations to chats and e-mails as they are."""
    for alerts in messages(alertmanager(), *notices):
        for alert in alerts:
            text = alert["annotations"]["description"]
            assert not re.search(r"@(?:channel|here|all|everyone)|\]\(|://|```|<|&", text), text
            assert text.replace("\u200b", "").isprintable()


@PURE
@given(TEXT)
def test_escaping_keeps_the_text(text: str) -> None:
    """Slack shows the text with additional zero-width spaces only."""
    shown = slack.escape(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert shown.replace("\u200b", "") == text.replace("\u200b", "")


@PURE
@given(TEXT, st.integers(1, 200))
def test_truncated_text_is_printable(text: str, chars: int) -> None:
    """A text that is too long ends with an ellipsis."""
    shown = truncate(text, chars)
    assert len(shown) <= chars
    assert shown.isprintable()
    assert len(text) <= chars or shown.endswith("…")


@PURE
@given(HOSTILE)
def test_a_value_cannot_change_the_link(hostile: types.DriftEvent) -> None:
    """Every value stays in its query parameter."""
    url = dashboard_link(LINK, Notice(hostile, None))
    assert url is not None
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "grafana.example.com", "/d/drift")
    assert list(query) == ["var-model", "var-feature", "from"]
    assert query["var-model"] == [short_name(hostile.model)]
    assert not parts.fragment
    assert url.isascii()


def test_values_of_a_link_are_percent_encoded() -> None:
    """This holds in the path and in the query."""
    drifted = notice(model="a/b?c#d&e=f", feature="ä {model}")
    url = dashboard_link("https://g/{model}/x?f={feature}", drifted)
    assert url == "https://g/a%2Fb%3Fc%23d%26e%3Df/x?f=%C3%A4%20%7Bmodel%7D"


def test_a_link_has_the_time_range_of_the_drift() -> None:
    """It is from an hour before the opening to an hour after the event, in milliseconds."""
    drifted = Notice(event(time=10_000.0), since=8_000.0)
    assert dashboard_link("https://g/?{from}-{to}", drifted) == "https://g/?4400000-13600000"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_the_repr_of_a_request_has_no_secret(target: Target) -> None:
    """URL, key and token do not appear in logs or tracebacks."""
    for request in registry.requests(target, Batch([notice()]), SENDER, NOW):
        for secret in ("s3cret-path", "R" * 32, "tok-12345"):
            assert secret not in repr(request)


def test_a_request_lists_the_secrets_to_mask() -> None:
    """These are the URL, the words of its path and query, keys and token, but not short words."""
    url = "https://hooks.example.com/in/T0123456?key=abcdef#"
    request = Request.json(url, {}, "routing", token="token1")
    assert {url, "T0123456", "abcdef", "routing", "token1"} == set(request.secrets)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_a_response_that_repeats_the_message_has_no_request_id(target: Target) -> None:
    """Details of a response are logged, and the log has no request ids."""
    explanation = types.Explanation(examples=("req-1-secret", "req-2-secret"))
    batch = Batch([notice(explanation=explanation), notice(explanation=explanation)])
    for request in registry.requests(target, batch, SENDER, NOW):
        for word in ("req-1-secret", "req-2-secret"):
            assert (word.encode() in request.body) <= (word in request.secrets)
