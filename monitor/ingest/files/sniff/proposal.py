"""Propose a mapping for the records of a sample."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from monitor.config.sections.ingest.paths import EVERY, Path
from monitor.ingest.decode.bodies.calls import body_of
from monitor.ingest.files.sniff import times
from monitor.ingest.files.sniff.observation import Seen, observe, opened, record_lists
from monitor.ingest.files.sniff.rules import KINDS, LABELS, OBJECTS, RULES

MAX_ALTERNATIVES: Final = 3
MAX_LABELS: Final = 8
MAX_LABEL_VALUES: Final = 20
REQUIRED: Final = ("request_id", "timestamp", "model")
_OF_BODIES: Final = {
    "request": ("prompt",),
    "response": ("response", "finish_reason", "input_tokens", "output_tokens", "responded_model"),
}
"""Fields that bodies of API calls give."""
_IN_RESPONSE: Final = frozenset({"request_id", "timestamp", "model"})


@dataclass(slots=True)
class Proposal:
    """A mapping as in a configuration. notes: why a field was chosen, where that is uncertain."""

    mapping: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def score(self) -> tuple[int, int]:
        """Required fields, and all fields, that were found."""
        with_response = "response" in self.mapping.get("bodies", {})
        required = sum(
            name in self.mapping or (with_response and name in _IN_RESPONSE) for name in REQUIRED
        )
        return required, len(self.mapping)


def propose(messages: Sequence[Any]) -> Proposal:
    """Return the mapping of decoded messages that finds most fields.

    The records are the messages, or the elements of a list in each.
    """
    best = _of_records(messages)
    for path in record_lists(messages):
        found = _of_records(_records(messages, path))
        inside = path.steps and _is_within(best.mapping.get("request_id"), path)
        if found.score > best.score or (inside and found.score[0] >= best.score[0]):
            records = str(Path((*path.steps, EVERY)))
            best = Proposal({"records": records, **found.mapping}, found.notes)
    return best


def _is_within(source: object, path: Path) -> bool:
    """Return whether a path of a mapping leads into a list."""
    return isinstance(source, str) and source.startswith(f"{path}[0]")


def _records(messages: Sequence[Any], path: Path) -> list[Any]:
    records = []
    for message in messages:
        value: Any = message
        for step in path.steps:
            value = opened(value)
            value = value.get(step) if isinstance(value, dict) and isinstance(step, str) else None
        value = opened(value)
        records += value if isinstance(value, list) else []
    return [opened(record) for record in records]


def _of_records(records: Sequence[Any]) -> Proposal:
    seen = observe(records)
    mapping: dict[str, Any] = {}
    notes: dict[str, str] = {}
    condition, kept = _inferences(seen, len(records))
    if condition is not None:
        mapping["where"] = condition
        notes["where"] = "a guess: entries of other kinds have no model or no response"
        seen = observe([records[index] for index in sorted(kept)])
    bodies = _bodies(seen)
    if bodies:
        mapping["bodies"] = {role: str(path) for role, path in bodies.items()}
    given = {name for role in bodies for name in _OF_BODIES[role]}
    fields = _fields(seen, given)
    if (start := times.timestamp(seen)) is not None:
        fields["timestamp"] = start.source
    for name, guess in times.durations(seen).items():
        fields[name] = guess.source
        notes |= {name: guess.note} if guess.note else {}
    notes |= _add_cached(fields, seen)
    outside = {
        path: each
        for path, each in seen.items()
        if not any(path.steps[: len(body.steps)] == body.steps for body in bodies.values())
    }
    if labels := _labels(outside, fields):
        fields["metadata"] = labels
    order = (*REQUIRED, *RULES, *fields)
    mapping |= {name: fields[name] for name in dict.fromkeys(order) if name in fields}
    return Proposal(mapping, notes)


def _fields(seen: Mapping[Path, Seen], given: set[str]) -> dict[str, Any]:
    """Return the sources of the fields that have rules."""
    fields: dict[str, Any] = {}
    used: set[Path] = set()
    for name, rule in RULES.items():
        if name in given:
            continue
        ranked = sorted(
            (rank, -len(each.records), len(path.steps), str(path), path)
            for path, each in seen.items()
            if path not in used and (rank := rule.rank(each)) is not None
        )
        paths = _alternatives([(rank, path) for rank, _, _, _, path in ranked], seen)
        if name == "request_id":
            paths = paths[:1]
        if paths:
            used.update(paths if name not in ("request_id",) else ())
            texts = [str(path) for path in paths]
            fields[name] = texts[0] if len(texts) == 1 else texts
    return fields


def _alternatives(ranked: Sequence[tuple[int, Path]], seen: Mapping[Path, Seen]) -> list[Path]:
    """Return the best path, and others as good that have values in further records."""
    chosen: list[Path] = []
    covered: set[int] = set()
    for rank, path in ranked:
        if rank > ranked[0][0] + 1 or len(chosen) == MAX_ALTERNATIVES:
            break
        if seen[path].records - covered:
            chosen.append(path)
            covered |= seen[path].records
    return chosen


def _add_cached(fields: dict[str, Any], seen: Mapping[Path, Seen]) -> dict[str, str]:
    """Add cached tokens that are beside the others, as in the APIs of Anthropic and Bedrock."""
    text = fields.get("input_tokens")
    inputs = next((path for path in seen if isinstance(text, str) and str(path) == text), None)
    if inputs is None:
        return {}
    pattern = r"cache_(read|write|creation)_input_tokens(_count)?"
    beside = [
        str(path)
        for path, each in seen.items()
        if path.steps[:-1] == inputs.steps[:-1] and re.fullmatch(pattern, "_".join(each.words))
    ]
    if not beside:
        return {}
    fields["input_tokens"] = {"sum": [text, *sorted(beside)]}
    return {"input_tokens": "a guess: cached tokens with these names are counted beside the others"}


def _bodies(seen: Mapping[Path, Seen]) -> dict[str, Path]:
    """Return the paths of the bodies of API calls."""
    found: dict[str, Path] = {}
    for path in sorted(seen, key=lambda path: (len(path.steps), str(path))):
        role = _role(seen[path].values[:20])
        if role is not None:
            found.setdefault(role, path)
    return found


def _role(values: Sequence[Any]) -> str | None:
    roles = Counter(_role_of(body_of(value)) for value in values if isinstance(value, str | dict))
    [(role, count)] = roles.most_common(1) or [(None, 0)]
    return role if count > len(values) / 2 else None


def _role_of(body: object) -> str | None:
    if not isinstance(body, dict):
        return None
    keys = body.keys()
    if keys & {"choices", "candidates"} or {"content", "stop_reason"} <= keys:
        return "response"
    if {"output", "status"} <= keys and isinstance(body["output"], list):
        return "response"
    asked = isinstance(body.get("messages"), list) or isinstance(body.get("contents"), list)
    parameters = {"model", "max_tokens", "temperature", "stream", "max_completion_tokens", "tools"}
    return "request" if asked and keys & parameters else None


def _labels(seen: Mapping[Path, Seen], fields: Mapping[str, Any]) -> Any:
    """Return the metadata: an object of labels, or single ones."""
    used = {text for source in fields.values() for text in _paths(source)}
    for path, each in sorted(seen.items(), key=lambda pair: len(pair[0].steps)):
        if OBJECTS.fullmatch("_".join(each.words)) and each.share(dict) == 1:
            return str(path)
    labels: dict[str, str] = {}
    for path, each in seen.items():
        name = "_".join(each.words)
        few = len(set(map(str, each.values))) <= min(MAX_LABEL_VALUES, max(len(each.values) - 1, 1))
        scalar = each.share((str, int)) == 1 and all(len(str(v)) <= 100 for v in each.values)
        if LABELS.fullmatch(name) and few and scalar and str(path) not in used:
            labels.setdefault(name, str(path))
    return dict(list(labels.items())[:MAX_LABELS])


def _paths(source: Any) -> list[str]:
    if isinstance(source, str):
        return [source]
    if isinstance(source, dict):
        return [text for value in source.values() for text in _paths(value)]
    return [text for each in source for text in _paths(each)]


def _inferences(seen: Mapping[Path, Seen], records: int) -> tuple[dict[str, Any] | None, set[int]]:
    """Return a condition that separates inferences from other entries, and their numbers."""
    signs: set[int] = set()
    for name in ("model", "response", "prompt", "output_tokens"):
        for each in seen.values():
            if RULES[name].rank(each) is not None:
                signs |= each.records if name != "model" else set()
    if not signs or len(signs) == records:
        return None, set()
    for path, each in sorted(seen.items(), key=lambda pair: len(pair[0].steps)):
        values = each.values
        if not KINDS.fullmatch("_".join(each.words)) or len(each.records) != len(values):
            continue
        if each.share(str) < 1 or not 2 <= len(set(values)) <= MAX_LABEL_VALUES:
            continue
        by_value: dict[str, list[bool]] = {}
        for index, value in zip(sorted(each.records), values, strict=True):
            by_value.setdefault(value, []).append(index in signs)
        wanted = sorted(value for value, found in by_value.items() if sum(found) > len(found) / 2)
        clean = all(not any(found) for value, found in by_value.items() if value not in wanted)
        if wanted and clean and len(wanted) < len(by_value):
            kept = {i for i, v in zip(sorted(each.records), values, strict=True) if v in wanted}
            test: dict[str, Any] = {"equals": wanted[0]} if len(wanted) == 1 else {"in": wanted}
            return {"path": str(path), **test}, kept
    return None, set()
