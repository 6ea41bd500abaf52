"""Secrets: rejected as literal values in the file, read from mounted files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import SecretStr

from monitor.config.draft import Draft
from monitor.config.keys import CLIENT, KNOWN_KEYS, TARGETS, Key
from monitor.config.sections.kafka.client import is_secret, is_setting_name
from monitor.config.sections.notifications import SECRETS, Target, is_target_name
from monitor.errors import os_error_reason

JUDGES: Final = ("judges",)
JUDGE_KEY: Final = (*JUDGES, "client", "api_key")
"""The key of the provider of judges."""
REPLAY_ACTIONS: Final = ("replay", "actions")
"""The webhooks that follow from a replay, which share a secret."""
WEB_PROXY: Final = ("web", "proxy")
"""The proxy that signs people in, which proves itself by a secret."""
_REQUIRED_SECRETS: Final = {
    kind: [
        name
        for name, field in model.model_fields.items()
        if name in SECRETS and field.is_required()
    ]
    for model in get_args(Target)
    for kind in get_args(model.model_fields["kind"].annotation)
}
"""Kind of a target -> the secrets that it must have."""


def _takes_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_takes_secret, get_args(annotation)))


SECTION_SECRETS: Final = frozenset(
    key
    for key, annotation in KNOWN_KEYS.items()
    if _takes_secret(annotation) and key[:2] not in (CLIENT, TARGETS)
)
"""Secrets with a fixed key, such as sampling.user_key."""


def is_secret_key(key: Key) -> bool:
    """Return whether the value of this key is a secret."""
    name = str(key[-1])
    if key in SECTION_SECRETS:
        return True
    return is_secret(name) if key[:2] == CLIENT else len(key) == 4 and name in SECRETS


def reject_literal_secrets(draft: Draft) -> None:
    """Remove secrets that are written in the file, and add a problem for each."""
    for key, section in _settings(draft.data):
        if is_secret_key(key) and isinstance(section[key[-1]], str | int | float):
            del section[key[-1]]
            draft.add_problem(
                key,
                "is a secret and must not be written in this file; give it in the environment as"
                f" {_variable(key)}, or as {{file: PATH}}",
            )


def read_secret_files(draft: Draft) -> None:
    """Replace each {file: PATH} by the content of the file."""
    for key, section in _settings(draft.data):
        match section[key[-1]]:
            case {"file": str(file), **rest} if not rest and (
                key[:2] == CLIENT or is_secret_key(key)
            ):
                section[key[-1]] = _read_secret(Path(file), key, draft)


def assume_secrets(draft: Draft) -> None:
    """Replace secrets that are missing, or whose file cannot be read, by placeholders."""
    for key, section in _settings(draft.data):
        match section[key[-1]]:
            case {"file": str(file), **rest} if not rest and is_secret_key(key):
                if not os.access(file, os.R_OK):
                    section[key[-1]] = _placeholder(str(key[-1]))
    for target in _section(draft.data, TARGETS).values():
        if isinstance(target, dict):
            for name in _REQUIRED_SECRETS.get(str(target.get("kind")), ()):
                target.setdefault(name, _placeholder(name))
    actions = _section(draft.data, REPLAY_ACTIONS)
    if actions:
        actions.setdefault("secret", _placeholder("secret"))
    proxy = _section(draft.data, WEB_PROXY)
    if proxy:
        proxy.setdefault("secret", _placeholder("secret"))
    judges = _section(draft.data, JUDGES)
    if judges:
        client = judges.setdefault(JUDGE_KEY[1], {})
        if isinstance(client, dict):
            client.setdefault(JUDGE_KEY[2], _placeholder(JUDGE_KEY[2]))


def _placeholder(name: str) -> SecretStr:
    """Return a valid value for a secret that is not used."""
    return SecretStr("https://secret.invalid/" if name == "url" else "secret")


def _settings(data: dict[str, Any]) -> list[tuple[Key, dict[Any, Any]]]:
    """Return the keys of the Kafka client, of targets, and of secrets in other sections.

    Each comes with the mapping that holds it.
    """
    parents = [CLIENT, *((*TARGETS, name) for name in _section(data, TARGETS))]
    sections = [(key, _section(data, key)) for key in parents]
    found = [((*key, name), section) for key, section in sections for name in section]
    fixed = [(key, _section(data, tuple(map(str, key[:-1])))) for key in sorted(SECTION_SECRETS)]
    return found + [(key, section) for key, section in fixed if key[-1] in section]


def _section(data: object, key: tuple[str, ...]) -> dict[str, Any]:
    """Return the mapping at `key`, or an empty one if there is none."""
    for part in key:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _variable(key: Key) -> str:
    """Return the name of the variable that sets a secret, without any malformed part of the key."""
    if key[:2] == CLIENT:
        name = str(key[2]) if is_setting_name(str(key[2])) else "KEY"
        return f"PLUMBLINE__KAFKA__CLIENT__{name.replace('.', '_')}".upper()
    if key in SECTION_SECRETS:
        return "__".join(("PLUMBLINE", *map(str, key))).upper()
    name = str(key[2]) if is_target_name(str(key[2])) else "NAME"
    return f"PLUMBLINE__NOTIFICATIONS__TARGETS__{name}__{key[3]}".upper()


def _read_secret(file: Path, key: Key, draft: Draft) -> SecretStr:
    """Return the content without its last line break; an empty secret if there is a problem."""
    try:
        content = file.read_text(encoding="utf-8")
    except OSError as error:
        draft.add_problem(key, f"file {str(file)!r} cannot be read: {os_error_reason(error)}")
    except UnicodeDecodeError:
        draft.add_problem(key, f"file {str(file)!r} is not UTF-8 text")
    else:
        if content.strip():
            return SecretStr(content.removesuffix("\n").removesuffix("\r"))
        draft.add_problem(key, f"file {str(file)!r} is empty")
    return SecretStr("")
