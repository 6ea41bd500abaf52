"""Reads the configuration: `plumbline.yaml`, then the environment over it.

`load` is the only door. It finds every problem before it gives up, and each says where it is: the
line in the file or the name of the variable. No message ever repeats a value under `kafka.client`
or an address or key under `notifications.targets`.

Environment: PLUMBLINE__SECTION__KEY in any case. Where the key takes text the value is taken as
written, elsewhere it is read as YAML. Under `kafka.client` a single underscore stands for a dot
(PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD is sasl.password), because shells refuse dots in names, and
PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD__FILE names a file that holds the value; so it is with the
secrets of targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Literal, get_origin

import yaml
from pydantic import SecretStr, ValidationError

from monitor.config import Config
from monitor.config_client import is_secret, is_setting_name
from monitor.config_errors import (
    KNOWN_KEYS,
    NOT_AVAILABLE,
    NOT_YET,
    Key,
    blamed,
    closest,
    explain,
    known_form,
)
from monitor.config_notify import SECRETS, TARGETS, is_target_name
from monitor.errors import UserError

PREFIX: Final = "PLUMBLINE__"
CLIENT: Final = ("kafka", "client")
METADATA: Final = ("features", "metadata")
WEIGHTS: Final = ("alarms", "weights")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where it is (a file with a line, or a variable), its key, and what."""

    place: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.place if self.line is None else f"{self.place}:{self.line}"
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        # A key may hold a line break, and a problem is one line.
        return "".join(char if char.isprintable() else "?" for char in text)


class ConfigError(UserError):
    """The configuration cannot be used; `problems` says everything that is wrong, in order."""

    def __init__(self, problems: list[Problem]) -> None:
        # The file first, by line; the environment after it, by name.
        self.problems = tuple(sorted(problems, key=lambda p: (p.line is None, p.line or 0)))
        super().__init__("\n".join(map(str, self.problems)))


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration of the file, if any, with the environment over it and defaults under it.

    Raises ConfigError with every problem at once.
    """
    draft = _Draft()
    if path is not None:
        _read_file(path, draft)
    _read_environment(environ, draft)
    _read_secret_files(draft)
    config = _validate(draft)
    if config is None or draft.problems:
        raise ConfigError(draft.problems)
    return config


def _validate(draft: _Draft) -> Config | None:
    try:
        return Config.model_validate(draft.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    before = set(draft.refused)
    for detail in details:
        key = blamed(detail, draft.origins)
        if detail["loc"][-1] == "[key]":
            before.add(key)
        # a secret that was refused is missing now, which is no second problem
        elif not before.isdisjoint(_outwards(key)):
            continue
        draft.refuse(key, explain(detail))
    return None


@dataclass(slots=True)
class _Draft:
    """What was read so far, where each key came from (place, line), and what is wrong with it."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, tuple[str, int | None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    refused: set[Key] = field(default_factory=set)

    def refuse(self, key: Key, message: str) -> None:
        """Note a problem at `key`, placed where it or the nearest key around it was written."""
        self.refused.add(key)
        known = next((k for k in _outwards(key) if k in self.origins), None)
        place, line = ("", None) if known is None else self.origins[known]
        exact = line is None and known == key  # a variable's name says its key already
        self.problems.append(Problem(place, line, "" if exact else _dotted(key), message))

    def override(self, key: tuple[str, ...], value: object, name: str) -> None:
        """Put the value of the variable `name` at `key`."""
        section = self.data
        for part in key[:-1]:
            child = section.setdefault(part, {})
            if not isinstance(child, dict):
                return  # the file has no mapping there, which validation will say
            section = child
        section[key[-1]] = value
        for old in [k for k in self.origins if k[: len(key)] == key]:
            del self.origins[old]
        for outer in _outwards(key):
            self.origins.setdefault(outer, (name, None))


def _outwards(key: Key) -> Iterator[Key]:
    return (key[:length] for length in range(len(key), 0, -1))


def _dotted(key: Key) -> str:
    # An ill-written key ("password:secret") may hold a secret, so it is not shown.
    if key[:2] == CLIENT and len(key) > 2 and not is_setting_name(str(key[2])):
        key = CLIENT
    if key[:2] == TARGETS:
        key = (*TARGETS, *takewhile(lambda part: is_target_name(str(part)), key[2:]))
    parts = (f"[{k}]" if isinstance(k, int) else f".{k or repr(k)}" for k in key)
    return "".join(parts).removeprefix(".")


# --- the file ---------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML's plain part: no anchors, aliases and tags, which also keeps any input small."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # so in types-PyYAML
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(
                problem="anchors, aliases and tags ('&', '*', '!') are not supported;"
                " put text that begins with one in quotes",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)


def _read_file(path: Path, draft: _Draft) -> None:
    place = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unusable(place, f"cannot be read: {_reason(error)}") from None
    except UnicodeDecodeError:
        raise _unusable(place, "is not YAML: it is not UTF-8 text") from None
    data = _parse(text, place, draft)
    if data is None:
        raise _unusable(place, "is empty; without a file the defaults apply")
    if not isinstance(data, dict):
        raise _unusable(place, "must be a mapping of keys to values")
    draft.data = data
    _refuse_literal_secrets(draft)


def _unusable(place: str, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(place, line, "", message)])


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _parse(text: str, place: str, draft: _Draft) -> object:
    """The YAML document in `text`, its lines noted in `draft`; raises ConfigError if it is none."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _Builder(loader, place, draft).build(node, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        # YAML repeats a tag's name here, which may be an unquoted password.
        tag = "tag handle" in (error.problem or "")
        problem = "tags ('!') are not supported" if tag else error.problem
        raise _unusable(place, f"is not YAML: {problem}", line) from None
    except yaml.YAMLError:
        raise _unusable(place, "is not YAML: it holds control characters") from None
    except RecursionError:
        raise _unusable(place, "is nested too deeply") from None


@dataclass(frozen=True, slots=True)
class _Builder:
    """Turns YAML nodes into values, noting lines; YAML's own constructor loses them."""

    loader: _Loader
    place: str
    draft: _Draft

    def build(self, node: yaml.Node, key: Key) -> object:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*key, i)) for i, item in enumerate(node.value)]
        try:
            return self.loader.construct_object(node)
        except ValueError:  # looks like a date but is none: then it is text
            return node.value

    def _item(self, node: yaml.Node, key: Key) -> object:
        self.draft.origins[key] = (self.place, node.start_mark.line + 1)
        return self.build(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, object]:
        built: dict[str, object] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if name.tag != "tag:yaml.org,2002:str":
                self._refuse(line, key, "keys must be text; put this one in quotes")
            elif name.value in built:
                self._refuse(line, (*key, name.value), "is given twice")
            else:
                self.draft.origins[(*key, name.value)] = (self.place, line)
                built[name.value] = self.build(value, (*key, name.value))
        return built

    def _refuse(self, line: int, key: Key, message: str) -> None:
        self.draft.problems.append(Problem(self.place, line, _dotted(key), message))


def _section(data: object, key: tuple[str, ...]) -> dict[str, Any]:
    """The mapping at `key` as read, or nothing where there is none."""
    for part in key:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _settings(data: dict[str, Any]) -> list[tuple[Key, dict[Any, Any]]]:
    """Every setting that may be a secret or a file: its key, and the mapping that holds it."""
    holders = [CLIENT, *((*TARGETS, name) for name in _section(data, TARGETS))]
    sections = [(key, _section(data, key)) for key in holders]
    return [((*key, name), section) for key, section in sections for name in section]


def _is_secret(key: Key) -> bool:
    name = str(key[-1])
    return is_secret(name) if key[:2] == CLIENT else len(key) == 4 and name in SECRETS


def _refuse_literal_secrets(draft: _Draft) -> None:
    for key, section in _settings(draft.data):
        if _is_secret(key) and isinstance(section[key[-1]], str | int | float):
            del section[key[-1]]
            draft.refuse(
                key,
                "is a secret and must not be written in this file; give it in the environment as"
                f" {_variable(key)}, or as {{file: PATH}}",
            )


def _variable(key: Key) -> str:
    """The name of the variable that sets a secret."""
    if key[:2] == CLIENT:
        name = str(key[2]) if is_setting_name(str(key[2])) else "KEY"
        return f"{PREFIX}KAFKA__CLIENT__{name.replace('.', '_').upper()}"
    name = str(key[2]) if is_target_name(str(key[2])) else "NAME"
    return f"{PREFIX}NOTIFICATIONS__TARGETS__{name}__{key[3]}".upper()


def _read_secret_files(draft: _Draft) -> None:
    """Put the content of FILE where a setting says {file: FILE}."""
    for key, section in _settings(draft.data):
        match section[key[-1]]:
            case {"file": str(file), **rest} if not rest and (key[:2] == CLIENT or _is_secret(key)):
                section[key[-1]] = _secret_from(Path(file), key, draft)


def _secret_from(file: Path, key: Key, draft: _Draft) -> SecretStr:
    try:
        content = file.read_text(encoding="utf-8")
    except OSError as error:
        draft.refuse(key, f"file {str(file)!r} cannot be read: {_reason(error)}")
    except UnicodeDecodeError:
        draft.refuse(key, f"file {str(file)!r} is not UTF-8 text")
    else:
        if content.strip():
            return SecretStr(content.removesuffix("\n").removesuffix("\r"))
        draft.refuse(key, f"file {str(file)!r} is empty")
    return SecretStr("")


# --- the environment --------------------------------------------------------------------------


def _read_environment(environ: Mapping[str, str], draft: _Draft) -> None:
    names: dict[Key, str] = {}
    # Sections before the keys in them, so that the more precise variable has the last word.
    ours = [name for name in environ if name.upper().startswith(PREFIX)]
    for name in sorted(ours, key=lambda name: (name.count("__"), name)):
        key = _key_of(name)
        if key is None:
            draft.problems.append(Problem(name, None, "", _unknown_variable(name)))
        elif key in names:
            message = f"sets the same key as {names[key]}"
            draft.problems.append(Problem(name, None, "", message))
        else:
            names[key] = name
            _apply(name, key, environ[name], draft)


def _key_of(name: str) -> tuple[str, ...] | None:
    """The key that the variable sets, None if there is no such key."""
    key = tuple(name[len(PREFIX) :].lower().split("__"))
    if key[:2] == CLIENT and (len(key) == 3 or key[3:] == ("file",)):
        return (*CLIENT, key[2].replace("_", "."))
    if key[:2] == TARGETS and _is_secret(key[:4]) and key[4:] in {(), ("file",)}:
        return key[:4]
    if known_form(key) in KNOWN_KEYS or (key[:-1] in {METADATA, WEIGHTS} and key[-1]):
        return key
    return None


def _unknown_variable(name: str) -> str:
    key = tuple(name[len(PREFIX) :].lower().split("__"))
    if key[0] in NOT_YET:
        return NOT_AVAILABLE
    if key[:2] == CLIENT:
        return "unknown key; write each dot of a client setting as one underscore"
    close = closest("__".join(key), ("__".join(map(str, known)) for known in KNOWN_KEYS))
    return f"unknown key; did you mean {PREFIX + close.upper()!r}?" if close else "unknown key"


def _apply(name: str, key: tuple[str, ...], text: str, draft: _Draft) -> None:
    if (key[:2] == CLIENT and len(key) == 3) or _is_secret(key):
        # As written: a password may look like YAML, and librdkafka reads numbers from text itself.
        value: object = {"file": text} if name.upper().endswith("__FILE") else text
    elif key[:-1] == METADATA or _takes_text(KNOWN_KEYS.get(known_form(key))):
        value = text
    else:
        scratch = _Draft()
        try:
            value = _parse(text, name, scratch)
        except ConfigError as error:
            scratch.problems.extend(error.problems)
        draft.problems += [Problem(name, None, p.key, p.message) for p in scratch.problems]
        if scratch.problems:
            return
    draft.override(key, value, name)


def _takes_text(annotation: Any) -> bool:
    return annotation in (str, Path) or get_origin(annotation) is Literal
