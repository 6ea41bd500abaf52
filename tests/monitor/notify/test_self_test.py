"""`plumbline notify test` sends a test message to each target."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from tests.monitor.notify import receiver
from tests.monitor.notify.receiver import Receiver, Reply

ROUTING_KEY = "R0uting-" + "K" * 24


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that writes a configuration with targets and returns the arguments."""
    monkeypatch.chdir(tmp_path)

    def write(**targets: dict[str, Any]) -> list[str]:
        monkeypatch.setenv("PLUMBLINE__NOTIFICATIONS__TARGETS", json.dumps(targets))
        (tmp_path / "c.yaml").write_text("notifications: {dashboard_url: 'https://g/{model}'}")
        return ["notify", "test", "-c", "c.yaml"]

    return write


def test_every_target_receives_a_test_message(
    configured: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is marked, the responses are printed, and an incident is resolved at once."""
    with (
        Receiver() as chat,
        Receiver(receiver.pagerduty) as pager,
        Receiver() as hook,
        Receiver(receiver.alertmanager) as am,
    ):
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
            alerts={"kind": "alertmanager", "urls": [f"http://127.0.0.1:{am.port}"]},
        )
        assert main.main(arguments) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "team (slack): delivered: 200 ok"
        assert lines[1].startswith('pager (pagerduty): delivered: 202 {"status": "success"')
        assert lines[2] == "hook (webhook): not delivered (rejected): 403 wrong token ***"
        assert lines[3] == "away (slack): not delivered (unreachable): Connection refused"
        assert lines[4] == "alerts (alertmanager): delivered: 200 ok"
        ((alert,),) = (each.json for each in am.received)
        assert alert["labels"]["model"] == "plumbline-test"
        for name in ("summary", "description"):
            assert alert["annotations"][name].startswith("TEST, nothing has drifted: ")
        (request,) = chat.received
        assert request.json["text"].startswith("TEST, nothing has drifted: ")
        opened, resolved = (request.json for request in pager.received)
        assert opened["payload"]["summary"].startswith("TEST, nothing has drifted: ")
        assert (opened["event_action"], resolved["event_action"]) == ("trigger", "resolve")
        assert opened["dedup_key"] == resolved["dedup_key"]
        assert opened["links"][0]["href"] == "https://g/plumbline-test"


def test_a_named_target_is_tested_alone(
    configured: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json the output is JSON; the exit status of a success is 0."""
    with Receiver() as chat:
        arguments = configured(
            team={"kind": "slack", "url": chat.url}, other={"kind": "slack", "url": chat.url}
        )
        assert main.main([*arguments, "--json", "other"]) == 0
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
        ({}, [], "no target is configured: add one to notifications.targets"),
        (
            {"team": {"kind": "slack", "url": "https://hooks.example.com/s3cret-path"}},
            ["taem"],
            "no target 'taem' in notifications.targets; it has team",
        ),
    ],
)
def test_a_missing_target_is_an_error(
    configured: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    targets: dict[str, dict[str, str]],
    names: list[str],
    message: str,
) -> None:
    """It is printed on one line, with exit status 2."""
    assert main.main([*configured(**targets), *names]) == 2
    assert capsys.readouterr().err == message + "\n"
