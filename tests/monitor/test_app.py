"""The wiring: which roles a daemon runs."""

from __future__ import annotations

import pytest

from monitor import cli
from monitor.app import ROLES, App, active
from monitor.config import Config
from monitor.config_notify import NotificationsConfig
from monitor.errors import UserError
from tests.monitor.notify.news import slack

TOLD = Config(notifications=NotificationsConfig(targets={"team": slack()}))


def test_the_command_line_knows_the_roles() -> None:
    """It names them without importing them."""
    assert cli.ROLES == ROLES


def test_notify_runs_where_somebody_is_to_be_told() -> None:
    """Without a target it is left out among others."""
    assert active(TOLD, ROLES) == ["ingest", "detect", "notify"]
    assert active(Config(), ROLES) == ["ingest", "detect"]


def test_nobody_to_tell_is_a_mistake() -> None:
    """The role alone, without a target, would do nothing for ever."""
    with pytest.raises(UserError, match="role notify has nobody to tell: configure notif"):
        App(Config(), ["notify"])
