"""Replay events in the JSON API."""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from monitor.events.history import EventHistory
from monitor.events.replay import encode_replay
from monitor.roles import replay_log
from monitor.roles.replay_log import Replays, add_value
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.http.api import Api
from tests.monitor.notify.replay_events import replayed


def get(replays: Replays, query: str = "") -> tuple[int, Any]:
    """Return status and content of the page."""
    api = Api(EventHistory, Metrics(), replays=lambda: list(replays.values()))
    found = api.answer("/api/v1/replays", query)
    assert found is not None
    return found[0], msgspec.json.decode(found[1])


def test_replays_are_listed_with_their_sentences() -> None:
    """Each once, the newest last; other messages are ignored."""
    replays: Replays = OrderedDict()
    first, second = replayed(), replayed("not_regressed", model="other")
    values = [encode_replay(each) for each in (first, first, second)]
    for value in (*values, b"", b"hostile", b'{"type": "drift"}', b"[" * 100_000):
        add_value(replays, value)
    status, page = get(replays)
    assert status == HTTPStatus.OK
    assert [each["id"] for each in page["replays"]] == [first.id, second.id]
    assert page["replays"][0]["summary"].startswith("llama, replay: regressed")
    assert [each["model"] for each in get(replays, "model=other")[1]["replays"]] == ["other"]
    assert [each["id"] for each in get(replays, "limit=1")[1]["replays"]] == [second.id]
    assert get(replays, "limit=0")[0] == HTTPStatus.BAD_REQUEST


def test_replays_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are dropped."""
    monkeypatch.setattr(replay_log, "MAX_REPLAYS", 3)
    replays: Replays = OrderedDict()
    events = [replayed() for _ in range(5)]
    for event in events:
        add_value(replays, encode_replay(event))
    assert list(replays) == [event.id for event in events[2:]]


def test_without_replay_there_is_no_page() -> None:
    """A process whose configuration replays nothing has no such page."""
    assert Api(EventHistory, Metrics()).answer("/api/v1/replays", "") is None
