"""What targets are sent: a sentence to act on, valid for its reader, whatever the names are."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from monitor import events
from monitor.config_notify import Target
from monitor.notify import kinds, slack
from monitor.notify.notice import Batch, Notice, Request, cut, headline, link, name, when
from tests.monitor.notify import receiver
from tests.monitor.notify.news import (
    HOSTILE,
    NOTICES,
    TARGETS,
    TEXT,
    event,
    notice,
    pagerduty,
    webhook,
)
from tests.monitor.notify.news import slack as slack_target

PURE = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
LINK = "https://grafana.example.com/d/drift?var-model={model}&var-feature={feature}&from={from}"


def messages(
    target: Target, *notices: Notice, template: str | None = None, ended: tuple[int, ...] = ()
) -> list[Any]:
    """The bodies of what a target is sent."""
    made = kinds.requests(target, Batch(notices, frozenset(ended)), template, "plumbline")
    return [json.loads(request.body) for request in made]


def storm(count: int, **other: Any) -> list[Notice]:
    """Alarms of as many features."""
    return [notice(feature=f"f{i}", psi=0.1 + i, **other) for i in range(count)]


# --- what they say ----------------------------------------------------------------------------


def test_slack_message_can_be_acted_on() -> None:
    """Sentence, severity, model, feature, PSI, since when and a link, in red."""
    (message,) = messages(slack_target(), notice(change="escalated", alarm="a1"), template=LINK)
    (attachment,) = message["attachments"]
    assert (
        message["text"]
        == attachment["fallback"]
        == (
            "latency_ms of chat has drifted further (critical): median 800 -&gt; 1,600 ms "
            "(x2), p95 1,600 -&gt; 3,200 ms (x2); PSI 0.41"
        )
    )
    assert {field["title"]: field["value"] for field in attachment["fields"]} == {
        "Model": "chat",
        "Feature": "latency_ms",
        "Severity": "critical",
        "PSI": "0.41",
        "Since": "2026-09-21 12:08:20 UTC",
        "Found by": "ks, psi",
    }
    assert attachment["title_link"].startswith("https://grafana.example.com/d/drift?var-model=chat")
    assert attachment["color"] == slack.RED
    assert attachment["footer"] == "Plumbline, alarm a1"


def test_resolution_is_green_and_says_how_long_it_was() -> None:
    """The end of an alarm looks like one."""
    over = notice("resolved", current=event().reference, segment="metadata.route=x")
    (message,) = messages(slack_target(), over)
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
        ("opened", 1e300, 0.0, "not known"),
        ("opened", 0.0, -1e300, "not known"),
    ],
)
def test_since_when(change: str, since: float | None, time: float, text: str) -> None:
    """As far as it is known, and no further."""
    assert when(Notice(event(change, time=time), since)) == text


def test_a_storm_is_one_slack_message() -> None:
    """The worst ten in words, and how many more."""
    (message,) = messages(slack_target(), *storm(47), template=LINK)
    (attachment,) = message["attachments"]
    lines = attachment["text"].splitlines()
    assert message["text"] == "47 changes at once: 47 critical; of chat"
    assert len(lines) == 11
    assert "f46 of chat has drifted" in lines[0]
    assert lines[-1] == "and 37 more"


def test_headline_counts_what_it_is_about() -> None:
    """How much of it is bad, how much good, and whose."""
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
    """The same news of as many models."""
    return [notice(change, model=f"m{i}", feature=feature) for i in range(count)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_forty_models_that_shift_together_are_one_message(target: Target) -> None:
    """It begins with the feature, and says in how many models."""
    (message,) = messages(target, *fleet(40))
    said = message.get("text") or message.get("summary") or message["payload"]["summary"]
    assert said == (
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
def test_what_models_have_in_common_is_said_first(many: list[Notice], begins: str) -> None:
    """From three models and half of those told of on; segments of a model are no models."""
    said = headline(many)
    assert said.startswith(begins)
    assert said.count(" in 3 models") <= 3


def test_an_incident_of_one_feature_names_it() -> None:
    """The component of many alarms is their feature, where it is the same."""
    (message,) = messages(pagerduty(), *fleet(4))
    assert message["payload"]["component"] == "latency_ms"
    (message,) = messages(pagerduty(), *fleet(4), *fleet(1, feature="error"))
    assert message["payload"]["component"] == "many features"


def test_webhook_gets_every_event_whole() -> None:
    """A program reads them all, with the sentence, the link and since when beside each."""
    many = storm(40)
    (message,) = messages(webhook(), *many, template=LINK)
    assert (message["version"], message["source"]) == (1, "plumbline")
    for sent, each in zip(message["events"], many, strict=True):
        whole = json.loads(events.encode(each.event))
        assert {key: sent[key] for key in whole} == whole
        assert sent["summary"] == each.sentence()
        assert sent["since"] == each.since
        assert f"var-feature={each.event.feature}" in sent["dashboard_url"]


def test_webhook_token_is_a_bearer() -> None:
    """A token, where there is one, is in the header and nowhere else."""
    (made,) = kinds.requests(webhook(token="tok-12345"), Batch([notice()]), None, "p")
    assert made.headers["Authorization"] == "Bearer tok-12345"
    assert b"tok-12345" not in made.body
    (made,) = kinds.requests(webhook(), Batch([notice()]), None, "p")
    assert "Authorization" not in made.headers


# --- PagerDuty --------------------------------------------------------------------------------


def test_events_of_an_alarm_are_one_incident() -> None:
    """Opened and escalated trigger under the key that resolved resolves."""
    for change, action in (
        ("opened", "trigger"),
        ("escalated", "trigger"),
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


def test_a_storm_is_an_incident_a_partition() -> None:
    """Alarms that come together share one; ends resolve their own; what is over pages nobody."""
    first = [structs.replace(n.event) for n in storm(3)]
    many = [Notice(each, None, partition) for each, partition in zip(first, (0, 0, 1), strict=True)]
    over = notice("resolved", alarm="gone")
    brief = notice("opened", alarm="gone")
    sent = messages(pagerduty(), *many, brief, over)
    assert [(m["event_action"], m["dedup_key"]) for m in sent] == [
        ("trigger", "plumbline-many-0"),
        ("trigger", f"plumbline-{many[2].event.alarm}"),
        ("resolve", "plumbline-gone"),
    ]
    assert sent[0]["payload"]["summary"] == "2 changes at once: 2 critical; of chat"
    assert len(sent[0]["payload"]["custom_details"]) == 2
    assert many[2].event.feature in sent[1]["payload"]["summary"]


def test_shared_incident_ends_with_its_last_alarm() -> None:
    """Once told that a partition's alarms are over, the incident they shared is resolved."""
    sent = messages(pagerduty(), notice("resolved", alarm="a"), ended=(2,))
    assert [m["dedup_key"] for m in sent] == ["plumbline-a", "plumbline-many-2"]
    assert {m["event_action"] for m in sent} == {"resolve"}


# --- hostile text -----------------------------------------------------------------------------


def texts(value: Any) -> list[str]:
    """All texts in a JSON value, keys included."""
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
def test_any_event_makes_valid_bounded_messages(
    target: Target, notices: list[Notice], template: str | None
) -> None:
    """Whatever the names and numbers, the target takes the JSON, and it has a bounded size."""
    made = kinds.requests(target, Batch(notices, frozenset({1})), template, "plumbline")
    assert made
    answer = {"slack": receiver.slack, "pagerduty": receiver.pagerduty}.get(target.kind)
    for request in made:
        assert json.loads(request.body.decode("utf-8"))
        assert len(request.body) < 20_000 * len(notices) + 10_000
        if answer is not None:
            sent = receiver.Received(0.0, "/", {"content-type": "application/json"}, request.body)
            assert answer(sent).status in {200, 202}, answer(sent).body


MENTION = re.compile(r"@(?:channel|here|all|everyone)|\]\(|://|```|<|>")


@PURE
@given(st.lists(NOTICES, min_size=1, max_size=12))
def test_no_name_mentions_anyone_or_passes_for_a_link(notices: list[Notice]) -> None:
    """In Slack and in chats that read Markdown: no control sequence, mention, link or code."""
    for message in messages(slack_target(), *notices):
        for text in texts(message):
            assert not MENTION.search(text), text
            # every ampersand begins one of the three entities that Slack reads
            assert not re.search(r"&(?!(amp|lt|gt);)", text)
            assert text.replace("\n", "").replace("\u200b", "").isprintable()


@PURE
@given(TEXT)
def test_escaping_loses_nothing(text: str) -> None:
    """What Slack shows is the text, with characters without width in it."""
    shown = slack.escape(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert shown.replace("\u200b", "") == text.replace("\u200b", "")


@PURE
@given(TEXT, st.integers(1, 200))
def test_cut_is_bounded_and_printable(text: str, chars: int) -> None:
    """A text is cut where it is too long, visibly, and never steers anything."""
    made = cut(text, chars)
    assert len(made) <= chars
    assert made.isprintable()
    assert len(text) <= chars or made.endswith("…")


@PURE
@given(HOSTILE)
def test_a_link_cannot_be_bent(hostile: events.DriftEvent) -> None:
    """Values stay in their parameter, whatever is in them."""
    made = link(LINK, Notice(hostile, None))
    assert made is not None
    parts = urlsplit(made)
    query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "grafana.example.com", "/d/drift")
    assert list(query) == ["var-model", "var-feature", "from"]
    assert query["var-model"] == [name(hostile.model)]
    assert not parts.fragment
    assert made.isascii()


def test_a_link_has_its_values_escaped_wherever_they_stand() -> None:
    """In the path as in the query."""
    told = notice(model="a/b?c#d&e=f", feature="ä {model}")
    made = link("https://g/{model}/x?f={feature}", told)
    assert made == "https://g/a%2Fb%3Fc%23d%26e%3Df/x?f=%C3%A4%20%7Bmodel%7D"


def test_link_shows_the_time_around_the_drift() -> None:
    """From an hour before the alarm opened to an hour after the event, in milliseconds."""
    told = Notice(event(time=10_000.0), since=8_000.0)
    assert link("https://g/?{from}-{to}", told) == "https://g/?4400000-13600000"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_requests_do_not_show_their_secrets(target: Target) -> None:
    """Neither address, key nor token is in what a log or traceback would print."""
    made = kinds.requests(target, Batch([notice()]), None, "plumbline")
    for request in made:
        for secret in ("s3cret-path", "R" * 32, "tok-12345"):
            assert secret not in repr(request)


def test_secrets_of_a_request_are_known() -> None:
    """Address, the words of its path and query, keys and token are to be hidden wherever they
    come back; short words are not.
    """
    url = "https://hooks.example.com/in/T0123456?key=abcdef#"
    made = Request.json(url, {}, "routing", token="token1")
    assert {url, "T0123456", "abcdef", "routing", "token1"} == set(made.secrets)
