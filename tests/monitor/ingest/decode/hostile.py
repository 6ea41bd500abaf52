"""Hostile variants of valid messages, for tests of every format."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, Final

from monitor.ingest.decode.json_decoding import lenient_decoder

DEPTH: Final = 10_000
MARK: Final = "@here@"
DUPLICATE: Final = "@duplicate@"
VALUES: Final[tuple[str, ...]] = (
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e308",
    "1e999",
    "9" * 400,
    "-" + "9" * 5000,
    "NaN",
    "-Infinity",
    '""',
    '"x"',
    '"\\ud800"',
    '"\\u0000"',
    '"-1e999"',
    '"nan"',
    '"{"',
    '"[1, 2"',
    "[]",
    "{}",
    "[null]",
    "[[[]]]",
    '[{"": {}}]',
    '{"text": [{"text": 1}], "content": {"parts": 2}, "value": 3}',
    "[" * DEPTH + "]" * DEPTH,
    '{"content":' * DEPTH + "1" + "}" * DEPTH,
    "[" * DEPTH,
)
"""JSON that replaces each value of a message in turn, much of it invalid."""
TOKENS: Final = (
    *(b'"', b"\\", b"\\ud800", b"{", b"}", b"[", b"]", b":", b",", b"1e999", b"-", b"\xff", b"\n"),
    *(b"null", b"[[[[", b'""', b"\x00", b"\x0a", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"data:"),
)
decoded: Final = lenient_decoder(Any)


def truncated(payload: bytes) -> Iterator[bytes]:
    """Yield the beginnings of a payload, of every length."""
    for stop in range(len(payload)):
        yield payload[:stop]


def with_other_values(payload: bytes) -> Iterator[bytes]:
    """Yield a JSON payload with each of its values replaced in turn by each of VALUES.

    Values within texts that contain JSON are replaced, too.
    """
    body = decoded(payload)
    for place in places(body):
        text = json.dumps(replaced(body, place, MARK), ensure_ascii=False)
        for value in VALUES:
            yield filled(text, value).encode("utf-8", "replace")


def with_repeated_keys(payload: bytes) -> Iterator[bytes]:
    """Yield a JSON payload with each of its keys repeated in turn, with other values."""
    body = decoded(payload)
    for place in places(body):
        if not place or not isinstance(place[-1], str):
            continue
        *parents, key = place
        parent = value_at(body, tuple(parents))
        changed = replaced(body, tuple(parents), {**parent, DUPLICATE: MARK})
        text = json.dumps(changed, ensure_ascii=False)
        for value in ("null", '"x"', "[1]", json.dumps(parent[key])):
            repeated = filled(text, value).replace(DUPLICATE, json.dumps(key)[1:-1])
            yield repeated.encode("utf-8", "replace")


def damaged(payload: bytes, rng: random.Random) -> bytes:
    """Return a payload with some bytes removed, inserted or changed."""
    raw = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(raw))
        new = rng.choice(TOKENS) if rng.random() < 0.5 else rng.randbytes(rng.randint(0, 4))
        raw[at : at + rng.randint(0, 6)] = new
    return bytes(raw)


def filled(text: str, value: str) -> str:
    """Put a value in the place of the mark, also if that is in JSON within texts."""
    quoted = f'"{MARK}"'
    while quoted not in text:
        if len(quoted) > len(text):
            return text
        quoted, value = (json.dumps(each, ensure_ascii=False)[1:-1] for each in (quoted, value))
    return text.replace(quoted, value)


Place = tuple[str | int, ...]
WITHIN: Final = -1
"""Step of a place into a text that contains JSON."""


def places(body: Any) -> Iterator[Place]:
    """Yield the places of all values, as paths of keys, positions and steps into JSON texts."""
    yield ()
    for step, value in _inside(body):
        for rest in places(value):
            yield (step, *rest)


def _inside(body: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(body, dict):
        yield from body.items()
    elif isinstance(body, list):
        yield from enumerate(body)
    elif isinstance(body, str) and body.startswith(("{", "[")):
        inner = decoded(body.encode("utf-8", "replace"))
        if inner is not None:
            yield WITHIN, inner


def value_at(body: Any, place: Place) -> Any:
    """Return the value at a place."""
    for step in place:
        body = decoded(body.encode()) if step == WITHIN else body[step]
    return body


def replaced(body: Any, place: Place, value: Any) -> Any:
    """Return a body with another value at a place."""
    if not place:
        return value
    step, *rest = place
    if step == WITHIN:
        return json.dumps(replaced(decoded(body.encode()), tuple(rest), value), ensure_ascii=False)
    inner = replaced(body[step], tuple(rest), value)
    if isinstance(body, list):
        return [inner if number == step else each for number, each in enumerate(body)]
    return {**body, step: inner}
