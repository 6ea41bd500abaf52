"""The section `notifications`: targets that receive drift events directly.

Webhook URLs, routing keys and tokens are secrets: anyone who has a webhook's URL can write to its
channel. They come from the environment or from a file, and validation wraps them in a SecretStr.
"""

from __future__ import annotations

import ipaddress
import re
import string
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    WithJsonSchema,
    field_serializer,
    model_validator,
)

from monitor.config.sections.base.fields import MASK, SECRET_SCHEMA
from monitor.config.sections.base.section import Section, invalid

SECRETS: Final = frozenset({"url", "routing_key", "token", "password"})
"""Keys of a target whose values are secrets."""
LINK_FIELDS: Final = ("model", "segment", "feature", "severity", "alarm", "from", "to")
"""Fields that dashboard_url may contain."""

RESERVED_LABELS: Final = frozenset(
    {
        *("alertname", "severity", "scope", "sender", "least_severity"),
        *("model", "segment", "feature", "drift_type"),
        *("experiment", "variant", "metric", "verdict", "task"),
    }
)
"""Labels of an alert that Plumbline sets."""

_MAX_MEMBERS = 10
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,59}")
_MAX_LABEL_CHARS = 120
_TARGET_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_NAME_CHARS = 40
_MAX_URL_CHARS = 2000
_MAX_TOKEN_CHARS = 1000


def is_target_name(name: str) -> bool:
    """Return whether a target may have this name in variables, labels and consumer groups."""
    return len(name) <= _MAX_NAME_CHARS and _TARGET_NAME.fullmatch(name) is not None


def _check_target_name(name: str) -> str:
    # A malformed key may contain a secret ("url:https://..."), so the error does not show it.
    if not is_target_name(name):
        raise invalid(
            "has a target whose name is not lower-case letters, digits and single underscores, at"
            f" most {_MAX_NAME_CHARS} of them, such as on_call"
        )
    return name


def check_url(text: str) -> str:
    """Check a URL to which secrets may be sent. Errors do not repeat any part of it."""
    _check_parts(text)
    if not _is_encrypted(text):
        raise invalid("must begin with https://; http:// is allowed only for this machine")
    return text


def _is_encrypted(url: str) -> bool:
    """Return whether what is sent to a URL cannot be read on its way."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname)


def _check_parts(text: str) -> None:
    """Check the parts of an HTTP URL. Errors do not repeat any of them."""
    if not _is_word(text) or len(text) > _MAX_URL_CHARS:
        raise invalid(f"must be a URL of at most {_MAX_URL_CHARS} ASCII characters without spaces")
    parts = _split_url(text)
    if parts.scheme not in {"http", "https"}:
        raise invalid("must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise invalid("must not contain a user or password before the host")
    if parts.fragment:
        raise invalid("must not contain a fragment ('#')")


def _is_word(text: str) -> bool:
    """Return whether a text has only visible ASCII characters."""
    return text.isascii() and text.isprintable() and " " not in text


def _split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise invalid("must be a URL, such as https://hooks.example.com/services/...")
    return parts


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _check_secret_url(secret: SecretStr) -> SecretStr:
    check_url(secret.get_secret_value())
    return secret


def check_token(secret: SecretStr) -> SecretStr:
    """Check a value for an HTTP header: a line break would begin another header."""
    text = secret.get_secret_value()
    if not text or not _is_word(text) or len(text) > _MAX_TOKEN_CHARS:
        raise invalid(f"must be 1 to {_MAX_TOKEN_CHARS} ASCII characters without spaces")
    return secret


def _check_link(template: str) -> str:
    return _check_template(template, LINK_FIELDS)


def _check_experiment_url(template: str) -> str:
    return _check_template(template, ("experiment",))


def _check_replay_url(template: str) -> str:
    return _check_template(template, ("model", "run", "alarm"))


def _check_template(template: str, names: tuple[str, ...]) -> str:
    """Check the template of a URL: its length, its fields, and that the host has no field."""
    parts = _split_url(template)
    if parts.scheme not in {"http", "https"} or not template.isprintable() or " " in template:
        raise invalid("must be a URL that begins with https:// or http://, without spaces")
    if len(template) > _MAX_URL_CHARS:
        raise invalid(f"must be at most {_MAX_URL_CHARS} characters long")
    allowed = ", ".join(f"{{{name}}}" for name in names)
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        raise invalid(f"has an unmatched brace; it may contain the fields {allowed}") from None
    for _, name, format_spec, conversion in fields:
        if name is not None and (name not in names or format_spec or conversion):
            raise invalid(f"may contain only the fields {allowed}")
    if "{" in parts.netloc:
        raise invalid("must not have a field in the host")
    return template


def _check_runbooks_url(text: str) -> str:
    if "{" in text or "}" in text or "?" in text or "#" in text:
        raise invalid("must be the URL of a folder, without query, fragment and braces")
    return _check_link(text)


def _check_alertmanager_url(text: str) -> str:
    """Check the base URL of an Alertmanager; http is usual within a cluster."""
    _check_parts(text)
    parts = urlsplit(text)
    if parts.query or parts.path.rstrip("/").endswith("/api/v2/alerts"):
        raise invalid("must be the base URL of an Alertmanager, without /api/v2/alerts and query")
    return text


def _check_urls(urls: list[str]) -> list[str]:
    if not 1 <= len(urls) <= _MAX_MEMBERS or len(set(urls)) < len(urls):
        raise invalid(f"must have 1 to {_MAX_MEMBERS} URLs, each of them once")
    return urls


def _check_label_name(name: str) -> str:
    if _LABEL_NAME.fullmatch(name) is None:
        raise invalid("has a label whose name is not letters, digits and underscores")
    if name in RESERVED_LABELS:
        raise invalid(f"has the label {name}, which Plumbline sets")
    return name


def _check_label_value(value: str) -> str:
    if not value or not value.isprintable() or len(value) > _MAX_LABEL_CHARS:
        raise invalid(f"must be 1 to {_MAX_LABEL_CHARS} printable characters")
    return value


_Url = Annotated[str, AfterValidator(check_url)]
_SecretUrl = Annotated[SecretStr, AfterValidator(_check_secret_url), WithJsonSchema(SECRET_SCHEMA)]
_Token = Annotated[SecretStr, AfterValidator(check_token), WithJsonSchema(SECRET_SCHEMA)]
_AlertmanagerUrl = Annotated[str, AfterValidator(_check_alertmanager_url)]
_LabelName = Annotated[str, AfterValidator(_check_label_name)]
_LabelValue = Annotated[str, AfterValidator(_check_label_value)]
_TargetName = Annotated[str, AfterValidator(_check_target_name)]


Findings = Literal["all", "problems", "none"]
"""Which events of experiments, of replays, or of judges, a target receives."""


class _Target(Section):
    severity: Literal["warning", "critical"] = Field(
        default="warning",
        description="Lowest severity that is sent to this target: `warning` or `critical`. Alarms"
        " of severity `info` are never sent.",
    )
    per_minute: int = Field(
        default=6,
        ge=1,
        le=60,
        description="Maximum number of messages in any minute. Events beyond it are combined in"
        " one message.",
    )

    experiments: Findings = Field(
        default="all",
        description="Events of experiments that are sent: `all`, which includes verdicts;"
        " `problems`: breached guardrails and blocked experiments, from `severity` on; or `none`.",
    )
    replays: Findings = Field(
        default="all",
        description="Events of replays that are sent: `all`; `problems`: regressions and replays"
        " without a verdict, from `severity` on; or `none`.",
    )

    judges: Findings = Field(
        default="problems",
        description="Events of judges that are sent: `all`; `problems`: a judge is down, or scores"
        " its golden set in another way, from `severity` on; or `none`.",
    )

    @field_serializer(*sorted(SECRETS), check_fields=False)
    def _mask(self, secret: SecretStr | None) -> str | None:
        return None if secret is None else MASK


class SlackTarget(_Target):
    """A channel of Slack, or of another chat that accepts Slack's incoming webhooks."""

    kind: Literal["slack"] = Field(
        description="Protocol of the target: `slack`, `pagerduty`, `alertmanager` or `webhook`."
    )
    url: _SecretUrl = Field(description="URL of the webhook. A secret; https only.")


class PagerDutyTarget(_Target):
    """A service of PagerDuty, reached through its Events API v2."""

    kind: Literal["pagerduty"] = Field(description="Protocol of the target: Events API v2.")
    routing_key: _Token = Field(description="Integration key of the service. A secret.")
    experiments: Findings = Field(
        default="problems",
        description="Events of experiments that are sent: as for a chat. Nothing resolves the"
        " incident of such an event.",
    )
    replays: Findings = Field(
        default="problems",
        description="Events of replays that are sent: as for a chat. Nothing resolves the incident"
        " of such an event.",
    )
    endpoint: _Url = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        description="URL that events are sent to. Accounts in the European region use"
        " `https://events.eu.pagerduty.com/v2/enqueue`.",
    )


class AlertmanagerTarget(_Target):
    """The members of an Alertmanager cluster, which route, group and silence the alerts."""

    kind: Literal["alertmanager"] = Field(description="Protocol of the target: API v2.")
    experiments: Findings = Field(
        default="problems",
        description="Events of experiments that are sent: as for a chat. Such an alert ends after a"
        " day.",
    )
    replays: Findings = Field(
        default="problems",
        description="Events of replays that are sent: as for a chat. Such an alert ends after a"
        " day.",
    )
    urls: Annotated[list[_AlertmanagerUrl], AfterValidator(_check_urls)] = Field(
        default=["http://127.0.0.1:9093"],
        description="Base URLs of the members of the cluster. Alerts are posted to each of them."
        " Credentials are sent over https only, except to this machine.",
    )
    token: _Token | None = Field(
        default=None, description="Token sent as `Authorization: Bearer`. A secret."
    )
    username: str | None = Field(
        default=None, pattern=r"^[!-9;-~]{1,100}$", description="User of basic authentication."
    )
    password: _Token | None = Field(
        default=None, description="Password of basic authentication. A secret."
    )
    labels: dict[_LabelName, _LabelValue] = Field(
        default={"job": "plumbline"},
        max_length=20,
        description="Labels of every alert. Repeat `cluster`, `namespace` and `job` as Prometheus"
        " sets them.",
    )

    @model_validator(mode="after")
    def _check_authentication(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise invalid("must have username and password, or neither")
        if self.token is not None and self.password is not None:
            raise invalid("must have a token or a password, not both")
        secret = self.token is not None or self.password is not None
        if secret and not all(map(_is_encrypted, self.urls)):
            raise invalid("must have urls that begin with https://, because it has credentials")
        return self


class WebhookTarget(_Target):
    """An HTTP server that accepts drift events as JSON."""

    kind: Literal["webhook"] = Field(description="Protocol of the target: events as JSON.")
    url: _SecretUrl = Field(description="URL of the webhook. A secret; https only.")
    token: _Token | None = Field(
        default=None, description="Token sent as `Authorization: Bearer`. A secret."
    )


Target = SlackTarget | PagerDutyTarget | AlertmanagerTarget | WebhookTarget


class NotificationsConfig(Section):
    """Notifications that Plumbline sends itself."""

    dashboard_url: Annotated[str, AfterValidator(_check_link)] | None = Field(
        default=None,
        description="Link in a notification. Plumbline fills in {model}, {segment}, {feature},"
        " {severity}, {alarm}, and {from} and {to} in milliseconds.",
    )
    runbooks_url: Annotated[str, AfterValidator(_check_runbooks_url)] | None = Field(
        default=None,
        description="Base URL of your copy of docs/runbooks. A notification links to the page of"
        " its alert.",
    )
    experiment_url: Annotated[str, AfterValidator(_check_experiment_url)] | None = Field(
        default=None,
        description="Link to an experiment in a notification. Plumbline fills in {experiment}.",
    )
    replay_url: Annotated[str, AfterValidator(_check_replay_url)] | None = Field(
        default=None,
        description="Link to a replay in a notification. Plumbline fills in {model}, {run} and"
        " {alarm}.",
    )
    targets: dict[_TargetName, Annotated[Target, Field(discriminator="kind")]] = Field(
        default={}, description="Targets of notifications, by name."
    )
