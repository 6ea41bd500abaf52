"""Read the environment variables PLUMBLINE__SECTION__KEY."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_origin

from monitor.config.draft import ConfigError, Draft, Problem
from monitor.config.keys import CLIENT, EXPERIMENTS, KNOWN_KEYS, TARGETS, Key, generic_key
from monitor.config.secrets import SECTION_SECRETS, is_secret_key
from monitor.config.sections.base.suggestions import closest
from monitor.config.yaml_file import parse

PREFIX: Final = "PLUMBLINE__"
METADATA: Final = ("features", "metadata")
WEIGHTS: Final = ("alarms", "weights")


def read_environment(environ: Mapping[str, str], draft: Draft) -> None:
    """Override values of the draft by variables, and add the problems of the variables."""
    names: dict[Key, str] = {}
    # Sections come before the keys in them, so that a variable of a key overrides its section's.
    variables = [name for name in environ if name.upper().startswith(PREFIX)]
    for name in sorted(variables, key=lambda name: (name.count("__"), name)):
        key = _with_experiment(_key_of(name), draft)
        if key is None:
            draft.problems.append(Problem(name, None, "", _unknown_variable(name)))
        elif key in names:
            message = f"sets the same key as {names[key]}"
            draft.problems.append(Problem(name, None, "", message))
        else:
            names[key] = name
            _apply(name, key, environ[name], draft)


def _path_of(name: str) -> tuple[str, ...]:
    return tuple(name[len(PREFIX) :].lower().split("__"))


def _key_of(name: str) -> tuple[str, ...] | None:
    """Return the key that the variable sets, or None if there is no such key."""
    key = _path_of(name)
    if key[:2] == CLIENT and (len(key) == 3 or key[3:] == ("file",)):
        return (*CLIENT, key[2].replace("_", "."))
    if key[:2] == TARGETS and is_secret_key(key[:4]) and key[4:] in {(), ("file",)}:
        return key[:4]
    if key[-1] == "file" and key[:-1] in SECTION_SECRETS:
        return key[:-1]
    if generic_key(key) in KNOWN_KEYS or (key[:-1] in {METADATA, WEIGHTS} and key[-1]):
        return key
    return None


def _with_experiment(key: tuple[str, ...] | None, draft: Draft) -> tuple[str, ...] | None:
    """Return the key with the name of an experiment of the file that a variable can only resemble.

    Shells allow no "-" and "." in names, and names of variables are read as lower case.
    """
    experiments = draft.data.get(EXPERIMENTS[0])
    if key is None or key[:1] != EXPERIMENTS or len(key) < 2 or not isinstance(experiments, dict):
        return key
    similar = [name for name in experiments if re.sub("[-.]", "_", name).lower() == key[1]]
    return (key[0], similar[0], *key[2:]) if len(similar) == 1 else key


def _unknown_variable(name: str) -> str:
    """Return the message for a variable that sets no key."""
    key = _path_of(name)
    if key[:2] == CLIENT:
        return "unknown key; write each dot of a client setting as one underscore"
    close = closest("__".join(key), ("__".join(map(str, known)) for known in KNOWN_KEYS))
    return f"unknown key; did you mean {PREFIX + close.upper()!r}?" if close else "unknown key"


def _apply(name: str, key: tuple[str, ...], text: str, draft: Draft) -> None:
    """Set the key to the value of the variable, or add the problems of the value."""
    if (key[:2] == CLIENT and len(key) == 3) or is_secret_key(key):
        # Not parsed: a password may look like YAML, and librdkafka parses numbers itself.
        value: object = {"file": text} if name.upper().endswith("__FILE") else text
    elif key[:-1] == METADATA or _takes_text(KNOWN_KEYS.get(generic_key(key))):
        value = text
    else:
        parsed = Draft()
        try:
            value = parse(text, name, parsed)
        except ConfigError as error:
            parsed.problems.extend(error.problems)
        draft.problems += [Problem(name, None, p.key, p.message) for p in parsed.problems]
        if parsed.problems:
            return
    draft.override(key, value, name)


def _takes_text(annotation: Any) -> bool:
    return annotation in (str, Path) or get_origin(annotation) is Literal
