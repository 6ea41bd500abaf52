"""The settings under `kafka.client`: valid names and values, and which of them are secrets.

Settings that Plumbline sets itself are rejected with the reason. A secret is wrapped in a SecretStr
during validation, so that printing the configuration cannot reveal it.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Final

from pydantic import AfterValidator, PlainValidator, SecretStr, WithJsonSchema

from monitor.config.sections.base.fields import FILE_SCHEMA
from monitor.config.sections.base.section import invalid

Scalar = str | int | float | bool

_GROUP = "consumer groups are named after kafka.prefix"
_COMMITS = "offsets are committed together with the results"
_EXACTLY_ONCE = "exactly-once delivery depends on it"
_ORDER = "one detect worker must read all records of a model in order"
_SERVERS = "use kafka.bootstrap_servers instead"
OWNED_SETTINGS: Final = {
    "group.id": _GROUP,
    "enable.auto.commit": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "isolation.level": _EXACTLY_ONCE,
    "transactional.id": _EXACTLY_ONCE,
    "enable.idempotence": _EXACTLY_ONCE,
    "partition.assignment.strategy": _ORDER,
    "partitioner": _ORDER,
    "bootstrap.servers": _SERVERS,
    "metadata.broker.list": _SERVERS,
    "group.protocol": "use kafka.group_protocol instead",
    "group.instance.id": "use kafka.instance instead",
}
"""Settings that a user cannot change -> the reason."""

LEAST_VALUES: Final = {
    "message.max.bytes": (1_000_000, "feature chunks have up to 900 kB"),
    "queue.buffering.max.kbytes": (16_384, "a message must fit into the producer's queue"),
}
"""Settings with a least value -> that value and the reason."""

_SETTING_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "secret", "jaas"})
# PEM text of a private key, and settings whose value may contain a credential among other things.
_SECRET_SUFFIXES = ("key.pem", "ssl.key", "oauthbearer.config", ".token")


def is_setting_name(key: str) -> bool:
    """Return whether `key` has the form of a librdkafka setting: lower case, with dots."""
    return _SETTING_NAME.fullmatch(key) is not None


def is_secret(setting: str) -> bool:
    """Return whether this librdkafka setting contains a password, a private key or a token."""
    dotted = setting.replace("_", ".")
    return not _SECRET_WORDS.isdisjoint(dotted.split(".")) or dotted.endswith(_SECRET_SUFFIXES)


def _check_name(key: str) -> str:
    # A malformed key may contain a secret ("sasl.password:secret"), so the error does not show it.
    if not is_setting_name(key):
        raise invalid("has a key that is not the name of a librdkafka setting, such as client.id")
    if key in OWNED_SETTINGS:
        raise invalid(f"is set by Plumbline and cannot be changed: {OWNED_SETTINGS[key]}")
    return key


def _check_value(value: object) -> Scalar | SecretStr:
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid("must be a finite number")
    if isinstance(value, str | int | float | bool | SecretStr):
        return value
    raise invalid("must be text, a number, true or false, or {file: PATH}")


def _wrap_secrets(client: dict[str, Scalar | SecretStr]) -> dict[str, Scalar | SecretStr]:
    return {
        key: SecretStr(str(value)) if is_secret(key) and not isinstance(value, SecretStr) else value
        for key, value in client.items()
    }


def _check_least_values(
    client: dict[str, Scalar | SecretStr],
) -> dict[str, Scalar | SecretStr]:
    for key, (least, reason) in LEAST_VALUES.items():
        try:
            value = int(str(client.get(key, least)))
        except ValueError:  # librdkafka refuses it
            continue
        if value < least:
            raise invalid(f"has {key}: {value}, which must be at least {least}: {reason}")
    return client


_SettingName = Annotated[str, AfterValidator(_check_name)]
_SettingValue = Annotated[
    Scalar | SecretStr,
    PlainValidator(_check_value),
    WithJsonSchema({"anyOf": [{"type": ["string", "number", "boolean"]}, FILE_SCHEMA]}),
]
ClientSettings = Annotated[
    dict[_SettingName, _SettingValue],
    AfterValidator(_check_least_values),
    AfterValidator(_wrap_secrets),
]
