"""The settings under `notifications`: who is told of drift, and how.

Addresses and keys are secrets: who knows a webhook's URL can write to the channel. They come from
the environment or from a mounted file, and are wrapped as soon as they are validated.
"""

from __future__ import annotations

import ipaddress
import re
import string
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    WithJsonSchema,
    field_serializer,
)

from monitor.config_client import MASK, refusal
from monitor.config_section import Section

TARGETS: Final = ("notifications", "targets")
NAME: Final = "NAME"
"""What stands for a target's name where keys are listed."""
SECRETS: Final = frozenset({"url", "routing_key", "token"})
LINK_FIELDS: Final = ("model", "segment", "feature", "severity", "alarm", "from", "to")

_TARGET_NAME = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
_LONGEST_NAME = 40
_LONGEST_URL = 2000


def is_target_name(name: str) -> bool:
    """Whether a target may be called so: in a variable's name, a label and a consumer group."""
    return len(name) <= _LONGEST_NAME and re.fullmatch(_TARGET_NAME, name) is not None


def _target_name(name: str) -> str:
    # An ill-written key may hold a secret ("url:https://..."), so it is not repeated.
    if not is_target_name(name):
        raise refusal(
            "has a target whose name is not lower-case letters, digits and single underscores, at"
            f" most {_LONGEST_NAME} of them, such as on_call"
        )
    return name


def _address(text: str) -> str:
    """An address that a secret may be sent to; the error repeats nothing of it."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > _LONGEST_URL:
        raise refusal(f"must be a URL of at most {_LONGEST_URL} ASCII characters without spaces")
    parts = _split(text)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise refusal("must begin with https://; http:// is for this machine alone")
    if parts.username is not None or parts.password is not None:
        raise refusal("must not hold a user or password before the host")
    if parts.fragment:
        raise refusal("must not hold a fragment ('#')")
    return text


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise refusal("must be a URL, such as https://hooks.example.com/services/...")
    return parts


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _secret_address(secret: SecretStr) -> SecretStr:
    _address(secret.get_secret_value())
    return secret


def _secret_word(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    # it goes into a header, where a line break would begin another one
    if not text or not text.isascii() or not text.isprintable() or " " in text or len(text) > 1000:
        raise refusal("must be 1 to 1000 ASCII characters without spaces")
    return secret


def _link(template: str) -> str:
    """A template of URLs whose fields are known."""
    parts = _split(template)
    if parts.scheme not in {"http", "https"} or not template.isprintable() or " " in template:
        raise refusal("must be a URL that begins with https:// or http://, without spaces")
    if len(template) > _LONGEST_URL:
        raise refusal(f"must be at most {_LONGEST_URL} characters long")
    known = ", ".join(f"{{{name}}}" for name in LINK_FIELDS)
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        raise refusal(f"has a brace without its fellow; it may hold {known}") from None
    for _, name, form, conversion in fields:
        if name is not None and (name not in LINK_FIELDS or form or conversion):
            raise refusal(f"may hold {known}, and no other field")
    if "{" in parts.netloc:
        raise refusal("must not have a field in the host")
    return template


_SECRET_SCHEMA = {
    "anyOf": [
        {"type": "string", "writeOnly": True},
        {
            "type": "object",
            "description": "The secret is the content of this file.",
            "properties": {"file": {"type": "string"}},
            "required": ["file"],
            "additionalProperties": False,
        },
    ]
}
_SecretUrl = Annotated[SecretStr, AfterValidator(_secret_address), WithJsonSchema(_SECRET_SCHEMA)]
_SecretWord = Annotated[SecretStr, AfterValidator(_secret_word), WithJsonSchema(_SECRET_SCHEMA)]
_Address = Annotated[str, AfterValidator(_address)]


class _Target(Section):
    severity: Literal["warning", "critical"] = Field(
        default="warning", description="Least severity of an alarm that this target is told of."
    )
    per_minute: int = Field(
        default=6,
        ge=1,
        le=60,
        description="Most messages in any minute; what is beyond is told together in one.",
    )

    @field_serializer("url", "routing_key", "token", check_fields=False)
    def _mask(self, secret: SecretStr | None) -> str | None:
        return None if secret is None else MASK


class SlackTarget(_Target):
    """A channel of Slack, or of another chat that takes Slack's incoming webhooks."""

    kind: Literal["slack"] = Field(
        description="slack, pagerduty or webhook: what the target understands."
    )
    url: _SecretUrl = Field(
        description="Address of the webhook, of slack and webhook; a secret, https only."
    )


class PagerDutyTarget(_Target):
    """A service of PagerDuty, by its Events API v2."""

    kind: Literal["pagerduty"] = Field(description="The Events API v2 of PagerDuty.")
    routing_key: _SecretWord = Field(
        description="Integration key of the service, of pagerduty; a secret."
    )
    endpoint: _Address = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        description="Where events are sent, of pagerduty; accounts of the European region have"
        " https://events.eu.pagerduty.com/v2/enqueue.",
    )


class WebhookTarget(_Target):
    """A program of yours that takes drift events as JSON."""

    kind: Literal["webhook"] = Field(description="The events as JSON.")
    url: _SecretUrl = Field(description="Address of the webhook; a secret, https only.")
    token: _SecretWord | None = Field(
        default=None,
        description="Sent as `Authorization: Bearer`, of webhook; a secret.",
    )


Target = SlackTarget | PagerDutyTarget | WebhookTarget
_TargetName = Annotated[str, AfterValidator(_target_name)]


class NotificationsConfig(Section):
    """Who is told of drift directly, without Alertmanager."""

    dashboard_url: Annotated[str, AfterValidator(_link)] | None = Field(
        default=None,
        description="Link in a message; {model}, {segment}, {feature}, {severity}, {alarm}, and"
        " {from} and {to} in milliseconds are filled in.",
    )
    targets: dict[_TargetName, Annotated[Target, Field(discriminator="kind")]] = Field(
        default={}, description="Who is told, each under a name of its own."
    )
