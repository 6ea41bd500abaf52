"""The settings under `kafka.client`: which names librdkafka knows, and which hold a secret.

What Plumbline sets itself is refused here, with the reason. A secret is wrapped as soon as it is
validated, so that nothing that shows a configuration can show it.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, PlainValidator, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

Scalar = str | int | float | bool

MASK: Final = "***"

# Settings that a user may not give, and why.
_GROUP = "Plumbline names its consumer groups after kafka.prefix"
_COMMITS = "Plumbline commits offsets together with what it made of them"
_EXACTLY_ONCE = "exactly-once delivery rests on it"
_ORDER = "one detect worker must see a model's whole traffic in order"
_SERVERS = "give kafka.bootstrap_servers instead"
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
    "group.protocol": "give kafka.group_protocol instead",
    "group.instance.id": "give kafka.instance instead",
}

_SETTING_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "secret", "jaas"})
# PEM text of a private key, and settings whose value may carry a credential among other things.
_SECRET_ENDS = ("key.pem", "ssl.key", "oauthbearer.config", ".token")


def is_setting_name(key: str) -> bool:
    """Whether `key` is written as librdkafka writes its settings (lower case, dots)."""
    return _SETTING_NAME.fullmatch(key) is not None


def is_secret(setting: str) -> bool:
    """Whether the librdkafka setting of this name holds a password, a private key or a token."""
    dotted = setting.replace("_", ".")
    return not _SECRET_WORDS.isdisjoint(dotted.split(".")) or dotted.endswith(_SECRET_ENDS)


def refusal(message: str, *keys: str) -> PydanticCustomError:
    """The error of a check of our own; `keys` are the dotted keys that the user may change."""
    return PydanticCustomError("plumbline", "{message}", {"message": message, "keys": keys})


def _setting_name(key: str) -> str:
    # An ill-written key may hold a value ("sasl.password:secret"), so it is not repeated.
    if not is_setting_name(key):
        raise refusal("has a key that is not the name of a librdkafka setting, such as client.id")
    if key in OWNED_SETTINGS:
        raise refusal(f"is set by Plumbline alone: {OWNED_SETTINGS[key]}")
    return key


def _setting_value(value: object) -> Scalar | SecretStr:
    if isinstance(value, float) and not math.isfinite(value):
        raise refusal("must be a finite number")
    if isinstance(value, str | int | float | bool | SecretStr):
        return value
    raise refusal("must be text, a number, true or false, or {file: PATH}")


def _hide_secrets(client: dict[str, Scalar | SecretStr]) -> dict[str, Scalar | SecretStr]:
    return {key: _hidden(key, value) for key, value in client.items()}


def _hidden(key: str, value: Scalar | SecretStr) -> Scalar | SecretStr:
    if isinstance(value, SecretStr) or not is_secret(key):
        return value
    return SecretStr(str(value))


_SETTING_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {
            "type": "object",
            "description": "The setting is the content of this file.",
            "properties": {"file": {"type": "string"}},
            "required": ["file"],
            "additionalProperties": False,
        },
    ]
}
_SettingName = Annotated[str, AfterValidator(_setting_name)]
_SettingValue = Annotated[
    Scalar | SecretStr, PlainValidator(_setting_value), WithJsonSchema(_SETTING_SCHEMA)
]
ClientSettings = Annotated[dict[_SettingName, _SettingValue], AfterValidator(_hide_secrets)]
