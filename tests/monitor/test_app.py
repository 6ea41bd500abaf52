"""The roles that a daemon runs."""

from __future__ import annotations

import json
import socket
from urllib.request import urlopen

import pytest

from monitor.app import App, active_roles
from monitor.config.schema import Config
from monitor.config.sections.notifications import NotificationsConfig
from monitor.config.sections.process.section import HttpConfig
from monitor.errors import UserError
from monitor.roles.names import ROLES
from tests.monitor.notify.drift_events import slack

WITH_TARGET = Config(notifications=NotificationsConfig(targets={"team": slack()}))


def test_notify_runs_if_a_target_is_configured() -> None:
    """Without a target the other roles run alone."""
    assert active_roles(WITH_TARGET, ROLES) == ["ingest", "detect", "notify"]
    assert active_roles(Config(), ROLES) == ["ingest", "detect"]


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("127.0.0.1", "stop the process"),
        ("203.0.113.7", "0.0.0.0"),
        ("no.such.host.invalid", "0.0.0.0"),
    ],
)
def test_an_unavailable_address_names_the_keys(host: str, advice: str) -> None:
    """The error has keys, values, reason and advice."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = App(Config(http=HttpConfig(host=host, port=port)), ["ingest"])
        with pytest.raises(UserError) as caught:
            app.run()
    assert f"http.host {host!r}, http.port {port}: cannot listen: " in str(caught.value)
    assert advice in str(caught.value)


def test_units_of_the_experiments_are_assigned_over_http() -> None:
    """The server of a process has the configured experiments, whatever its roles."""
    experiment = {"variants": {"control": 1, "treatment": 1}, "goal": "error"}
    config = Config.model_validate({"http": {"port": 0}, "experiments": {"new": experiment}})
    with App(config, ["ingest"])._server() as web:
        address = f"http://127.0.0.1:{web.port}/api/v1/experiments/new/assign?unit=user-1"
        with urlopen(address, timeout=10) as response:
            [found] = json.load(response)["assignments"]
    assert found["variant"] in experiment["variants"]
    assert found["reason"] == "hash"


def test_notify_alone_without_a_target_is_an_error() -> None:
    """No role has work."""
    with pytest.raises(UserError, match="role notify has no target: add one to notif"):
        App(Config(), ["notify"])


@pytest.mark.parametrize("roles", [["ingest"], ["detect"], ["detect", "notify"]])
def test_a_process_of_its_own_requires_ingest_and_another_role(roles: list[str]) -> None:
    """There is nothing to divide otherwise."""
    with pytest.raises(UserError, match="--processes"):
        App(WITH_TARGET, roles, processes=True)
