"""`plumbline notify test`: whether the settings work, told by trying them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor import cli
from tests.monitor.notify import receiver
from tests.monitor.notify.receiver import Receiver, Reply

ROUTING_KEY = "R0uting-" + "K" * 24


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Write a configuration with these targets; the arguments that lead to it."""
    monkeypatch.chdir(tmp_path)

    def write(**targets: dict[str, str]) -> list[str]:
        monkeypatch.setenv("PLUMBLINE__NOTIFICATIONS__TARGETS", json.dumps(targets))
        (tmp_path / "c.yaml").write_text("notifications: {dashboard_url: 'https://g/{model}'}")
        return ["notify", "test", "-c", "c.yaml"]

    return write


def test_every_target_is_tried(
    configured: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each gets a message that says it is a test, and its answer is told; a page ends at once."""
    with Receiver() as chat, Receiver(receiver.pagerduty) as pager, Receiver() as hook:
        hook.answer = lambda _: Reply(403, b"wrong token hunter2-Zq")
        arguments = configured(
            team={"kind": "slack", "url": chat.url},
            pager={
                "kind": "pagerduty",
                "routing_key": ROUTING_KEY,
                "endpoint": f"http://127.0.0.1:{pager.port}/v2/enqueue",
            },
            hook={"kind": "webhook", "url": hook.url, "token": "hunter2-Zq"},
            away={"kind": "slack", "url": "http://127.0.0.1:1/s3cret-path"},
        )
        assert cli.main(arguments) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "team (slack): delivered: 200 ok"
        assert lines[1].startswith('pager (pagerduty): delivered: 202 {"status": "success"')
        assert lines[2] == "hook (webhook): not delivered (rejected): 403 wrong token ***"
        assert lines[3] == "away (slack): not delivered (unreachable): Connection refused"
        (told,) = chat.received
        assert told.json["text"].startswith("TEST, nothing has drifted: ")
        opened, ended = (request.json for request in pager.received)
        assert opened["payload"]["summary"].startswith("TEST, nothing has drifted: ")
        assert (opened["event_action"], ended["event_action"]) == ("trigger", "resolve")
        assert opened["dedup_key"] == ended["dedup_key"]
        assert opened["links"][0]["href"] == "https://g/plumbline-test"


def test_one_target_for_programs(
    configured: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A name limits it to that target; --json is for programs, and success is status 0."""
    with Receiver() as chat:
        arguments = configured(
            team={"kind": "slack", "url": chat.url}, other={"kind": "slack", "url": chat.url}
        )
        assert cli.main([*arguments, "--json", "other"]) == 0
        assert json.loads(capsys.readouterr().out) == [
            {
                "target": "other",
                "kind": "slack",
                "delivered": True,
                "answers": [{"status": 200, "reason": None, "detail": "ok"}],
            }
        ]
        assert len(chat.received) == 1


@pytest.mark.parametrize(
    ("targets", "names", "message"),
    [
        ({}, [], "there is nobody to tell: configure notifications.targets"),
        (
            {"team": {"kind": "slack", "url": "https://hooks.example.com/s3cret-path"}},
            ["taem"],
            "there is no target 'taem' in notifications.targets, only team",
        ),
    ],
)
def test_nobody_to_try(
    configured: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    targets: dict[str, dict[str, str]],
    names: list[str],
    message: str,
) -> None:
    """One line and status 2, as with every mistake that a user can mend."""
    assert cli.main([*configured(**targets), *names]) == 2
    assert capsys.readouterr().err == message + "\n"
