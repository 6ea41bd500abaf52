"""Targets of notifications: their secrets, URLs, tokens and links."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from monitor.config.draft import ConfigError
from monitor.config.load import load
from monitor.config.schema import describe
from monitor.config.sections.notifications import (
    AlertmanagerTarget,
    PagerDutyTarget,
    SlackTarget,
    WebhookTarget,
)
from tests.monitor.config.config_files import PASSWORD, ROUTING_KEY, problems, write_config

URL = f"https://hooks.example.com/services/{PASSWORD}"
TARGETS = "PLUMBLINE__NOTIFICATIONS__TARGETS__"


def assert_no_secret(text: str) -> None:
    """Assert that a text contains neither the secret nor the host of a target."""
    assert PASSWORD not in text
    assert "hooks.example.com" not in text


def test_secrets_come_from_variables_and_files(tmp_path: Path) -> None:
    """Secrets come from the environment or a file, and are masked in every output."""
    secret = tmp_path / "url"
    secret.write_text(URL + "\n", encoding="utf-8")
    path = write_config(
        tmp_path,
        "notifications:\n  targets:\n    team: {kind: slack}\n    pager: {kind: pagerduty}\n"
        f"    hook: {{kind: webhook, url: {{file: {secret}}}}}\n",
    )
    environ = {f"{TARGETS}TEAM__URL": URL, ROUTING_KEY: PASSWORD}
    config = load(path, environ | {f"{TARGETS}HOOK__TOKEN__FILE": str(secret)})
    targets = config.notifications.targets
    assert list(targets) == ["team", "pager", "hook"]
    team, pager, hook = targets.values()
    assert isinstance(team, SlackTarget)
    assert isinstance(pager, PagerDutyTarget)
    assert isinstance(hook, WebhookTarget)
    assert team.url.get_secret_value() == hook.url.get_secret_value() == URL
    assert pager.routing_key.get_secret_value() == PASSWORD
    assert hook.token is not None
    for text in (repr(config), str(config.model_dump()), json.dumps(describe(config))):
        assert_no_secret(text)
    assert describe(config)["notifications"]["targets"]["hook"]["token"] == "***"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("http://hooks.example.com/x", "must begin with https://; http:// is allowed only for"),
        ("ftp://hooks.example.com/x", "must begin with https://"),
        ("//hooks.example.com/x", "must begin with https://"),
        ("https://me:pw@hooks.example.com/", "must not contain a user or password"),
        ("https://hooks.example.com/#x", "must not contain a fragment"),
        ("https://hooks.example.com/a b", "must be a URL of at most 2000 ASCII"),
        ("https://hooks.example.com/a\nX: y", "must be a URL of at most 2000 ASCII"),
        ("https://hooks.example.com/ä", "must be a URL of at most 2000 ASCII"),
        ("https://hooks.example.com/" + "x" * 2000, "must be a URL of at most 2000 ASCII"),
        ("https://", "must be a URL, such as"),
        ("https://[::1", "must be a URL, such as"),
        ("https://hooks.example.com:99999/", "must be a URL, such as"),
        ("hooks", "must be a URL, such as"),
    ],
)
def test_unsafe_url_is_rejected(value: str, message: str) -> None:
    """Only https is allowed, except for this machine, and the message does not show the URL."""
    name = f"{TARGETS}TEAM__URL"
    (found,) = problems(None, **{name: value, f"{TARGETS}TEAM__KIND": "slack"})
    assert found.startswith(f"{name}: {message}")
    assert_no_secret(found.removeprefix(name).replace("hooks.example.com/services/...", ""))


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/x", "http://localhost/", "http://[::1]:1/"])
def test_http_is_allowed_for_this_machine(url: str) -> None:
    """A relay on the same machine needs no TLS."""
    load(None, {f"{TARGETS}TEAM__URL": url, f"{TARGETS}TEAM__KIND": "slack"})


@pytest.mark.parametrize("value", ["", "a b", "a\r\nX-Evil: y", "ä", "x" * 1001])
def test_token_that_would_break_a_header_is_rejected(value: str) -> None:
    """A routing key or token consists of visible ASCII characters."""
    (found,) = problems(None, **{ROUTING_KEY: value, f"{TARGETS}PAGER__KIND": "pagerduty"})
    assert found == f"{ROUTING_KEY}: must be 1 to 1000 ASCII characters without spaces"


@pytest.mark.parametrize(
    "text",
    [
        "team: {{kind: slack, url: {0}}}",
        "team: {{kind: slack, url:{0}}}",
        "team: {{kind: slack, url: [{0}]}}",
        "team: {{kind: slack, url: {{value: '{0}'}}}}",
        "team: {{kind: slack, '{0}': url}}",
        "'{0}': {{kind: slack}}",
        "team: '{0}'",
        "pager: {{kind: pagerduty, routing_key: {0}}}",
        "pager: {{kind: pagerduty, endpoint: 'http://{0}'}}",
        "hook: {{kind: webhook, token: {0}}}",
    ],
)
def test_no_error_shows_a_secret_of_a_target(tmp_path: Path, text: str) -> None:
    """Neither message nor traceback shows a URL or a key, however a target is mistyped."""
    path = write_config(tmp_path, "notifications:\n  targets:\n    " + text.format(URL))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert_no_secret("".join(traceback.format_exception(caught.value)) + repr(caught.value))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("https://x/{modle}", "may contain only the fields {model}, {segment}"),
        ("https://x/{model!r}", "may contain only the fields {model}, {segment}"),
        ("https://x/{model:>9}", "may contain only the fields {model}, {segment}"),
        ("https://x/{}", "may contain only the fields {model}, {segment}"),
        (
            "https://x/{model",
            "has an unmatched brace; it may contain the fields {model}, {segment}",
        ),
        ("https://{model}.example.com/", "must not have a field in the host"),
        ("javascript:alert(1)", "must be a URL, such as"),
        ("ftp://x/y", "must be a URL that begins with"),
        ("https://x/" + "y" * 2000, "must be at most 2000 characters long"),
    ],
)
def test_invalid_link_is_rejected(template: str, message: str) -> None:
    """The template of a link has known fields only, and none in the host."""
    (found,) = problems(None, PLUMBLINE__NOTIFICATIONS__DASHBOARD_URL=json.dumps(template))
    assert found.startswith(f"PLUMBLINE__NOTIFICATIONS__DASHBOARD_URL: {message}")


ALERTS = f"{TARGETS}ALERTS__"


def alerts(**fields: str) -> dict[str, str]:
    """Return the variables of an Alertmanager target."""
    given = {f"{ALERTS}{name.upper()}": value for name, value in fields.items()}
    return {f"{ALERTS}KIND": "alertmanager"} | given


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"urls": "[ftp://alerts.example.com]"}, "must begin with https://"),
        (
            {"urls": "[https://a.example.com, http://b.example.com]", "token": "t-12345"},
            "must have urls that begin with https://, because it has credentials",
        ),
        (
            {"urls": "[http://b.example.com]", "username": "me", "password": "pw-12345"},
            "must have urls that begin with https://, because it has credentials",
        ),
        ({"urls": "[https://me:pw@x.example.com]"}, "must not contain a user or password"),
        ({"urls": "['https://x.example.com/?a=b']"}, "must be the base URL of an Alertmanager"),
        ({"urls": "['https://x.example.com/api/v2/alerts/']"}, "must be the base URL of an"),
        ({"labels": "{model: x}"}, "has the label model, which Plumbline sets"),
        ({"labels": "{sender: x}"}, "has the label sender, which Plumbline sets"),
        ({"labels": "{a-b: x}"}, "has a label whose name is not letters"),
        ({"labels": "{a: ''}"}, "must be 1 to 120 printable characters"),
        ({"username": "me"}, "must have username and password, or neither"),
        ({"password": "pw-12345"}, "must have username and password, or neither"),
        (
            {"username": "me", "password": "pw-12345", "token": "t-12345"},
            "must have a token or a password, not both",
        ),
    ],
)
def test_invalid_alertmanager_is_rejected(fields: dict[str, str], message: str) -> None:
    """URLs, labels and credentials are checked; the message says what is wrong."""
    (found,) = problems(None, **alerts(**fields))
    assert message in found, found


def test_an_alertmanager_on_this_machine_needs_no_secret() -> None:
    """The defaults fit a single Alertmanager, and a Prometheus with the job of the guide."""
    target = load(None, alerts()).notifications.targets["alerts"]
    assert isinstance(target, AlertmanagerTarget)
    assert (target.urls, target.labels) == (["http://127.0.0.1:9093"], {"job": "plumbline"})
    plain = load(None, alerts(urls="[http://alertmanager.monitoring:9093]")).notifications
    assert isinstance(plain.targets["alerts"], AlertmanagerTarget)
    members = alerts(urls="[https://a.example.com/am, 'http://[::1]:9093']", username="me")
    config = load(None, members | {f"{ALERTS}PASSWORD": PASSWORD})
    assert PASSWORD not in json.dumps(describe(config))
    assert PASSWORD not in repr(config)


@pytest.mark.parametrize("url", ["wiki", "https://x/{alert}", "https://x/?page=", "ftp://x/"])
def test_invalid_base_of_the_runbooks_is_rejected(url: str) -> None:
    """The name of an alert is appended to it."""
    (found,) = problems(None, PLUMBLINE__NOTIFICATIONS__RUNBOOKS_URL=json.dumps(url))
    assert found.startswith("PLUMBLINE__NOTIFICATIONS__RUNBOOKS_URL: must be")
