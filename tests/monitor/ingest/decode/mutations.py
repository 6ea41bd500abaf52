"""Random mutations of valid messages, for the fuzz tests of every format."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode import hostile

_MAX_COPIES: Final = 400
_FAR_FROM_LIMIT: Final = range(1, 700)
_NEAR_LIMIT: Final = range(800, 1_010)
"""Depths of values. The interpreter's limit of 1,000 calls is that of the decoder of JSON, too."""
_IN_A_ROW: Final = 8
"""Messages with one identifier."""
_RARE: Final = 0.02
"""Share of mutations that make a message large."""
_LENGTHS: Final = (
    *(b"\x00", b"\x7f", b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    *(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80" * 11),
)
"""Lengths in protobuf: none, a short one, 2^32 - 1, 2^63, 2^64 - 1, and one that does not end."""
_ENCODINGS: Final = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "utf-7")


class Mutator:
    """Mutates the messages of a format.

    messages: valid ones. request_id: of all of them. It is replaced, so that a few messages in a
    row have the same one: they may be the parts of a call.
    rng: decides everything, so that a run can be repeated.
    """

    def __init__(self, messages: Sequence[LogMessage], request_id: str, rng: random.Random) -> None:
        self._rng = rng
        self._id = request_id.encode()
        self._made = 0
        self._messages = messages
        self._bodies = [hostile.decoded(each.value) for each in messages]
        self._places = [list(hostile.places(body)) for body in self._bodies]
        self._values = [
            hostile.value_at(body, place)
            for body, places in zip(self._bodies, self._places, strict=True)
            for place in places
        ]
        self._of_bytes: tuple[Callable[[bytes], bytes], ...] = (
            *(self._damaged, self._damaged, self._truncated, self._with_flipped_bits),
            *(self._encoded, self._joined, self._wrapped, self._compressed, self._with_length),
            self._with_copied_part,
        )

    def message(self) -> LogMessage:
        """Return a valid message with one to three mutations."""
        number = self._rng.randrange(len(self._messages))
        message = self._messages[number]
        value = message.value
        if self._bodies[number] is not None and self._rng.random() < 0.7:
            value = self._with_other_values(number)
        if value is message.value or self._rng.random() < 0.5:
            for _ in range(self._rng.randint(1, 2)):
                value = self._rng.choice(self._of_bytes)(value)
        if self._rng.random() < _RARE:
            value = self._repeated(value)
        self._made += 1
        new = b"%0*d" % (len(self._id), self._made // _IN_A_ROW)
        headers = {
            name: each.replace(self._id, new) for name, each in self._headers(message).items()
        }
        return replace(message, value=value.replace(self._id, new), headers=headers)

    def deep_message(self) -> LogMessage | None:
        """Return a JSON message with a value whose depth is near the limit of the decoder.

        The limit depends on the depth of the calls, so the message may be read or not.
        """
        number = self._rng.randrange(len(self._messages))
        if self._bodies[number] is None:
            return None
        place = self._rng.choice(self._places[number])
        changed = hostile.replaced(self._bodies[number], place, hostile.MARK)
        value = hostile.filled(json.dumps(changed, ensure_ascii=False), self._nested(_NEAR_LIMIT))
        return replace(self._messages[number], value=value.encode("utf-8", "replace"))

    def _with_other_values(self, number: int) -> bytes:
        """Return a JSON message with another value, another key, or a key twice, in a place."""
        body, rng = self._bodies[number], self._rng
        place = rng.choice(self._places[number])
        kind = rng.random()
        if kind < 0.5 or not place or not isinstance(place[-1], str):
            text = json.dumps(hostile.replaced(body, place, hostile.MARK), ensure_ascii=False)
            return hostile.filled(text, self._value()).encode("utf-8", "replace")
        *parents, key = place
        parent = hostile.value_at(body, tuple(parents))
        if not isinstance(parent, dict):
            return json.dumps(body).encode()
        changed = dict(parent)
        if kind < 0.65:
            del changed[key]
        elif kind < 0.8:
            changed[rng.choice((str(key).upper(), str(key)[:-1], "", "\x00"))] = changed.pop(key)
        else:
            changed[hostile.MARK] = self._other()
        text = json.dumps(hostile.replaced(body, tuple(parents), changed), ensure_ascii=False)
        return text.replace(hostile.MARK, json.dumps(key)[1:-1]).encode("utf-8", "replace")

    def _value(self) -> str:
        if self._rng.random() < 0.1:
            return self._nested(_FAR_FROM_LIMIT)
        if self._rng.random() < 0.6:
            return self._rng.choice(hostile.VALUES)
        return json.dumps(self._other(), ensure_ascii=False)

    def _nested(self, depths: range) -> str:
        depth = self._rng.choice(depths)
        begin, end = self._rng.choice((("[", "]"), ('{"content":', "}"), ('{"type":', "}")))
        return begin * depth + "1" + end * depth

    def _other(self) -> Any:
        """Return a value of another place, so that types are swapped."""
        return self._rng.choice(self._values) if self._values else None

    # --- mutations of bytes -------------------------------------------------------------------

    def _damaged(self, value: bytes) -> bytes:
        return hostile.damaged(value, self._rng)

    def _truncated(self, value: bytes) -> bytes:
        start, stop = sorted(self._rng.randint(0, len(value)) for _ in range(2))
        return value[:stop] if self._rng.random() < 0.7 else value[start:]

    def _with_flipped_bits(self, value: bytes) -> bytes:
        raw = bytearray(value)
        for _ in range(self._rng.randint(1, 8) if raw else 0):
            raw[self._rng.randrange(len(raw))] ^= 1 << self._rng.randrange(8)
        return bytes(raw)

    def _encoded(self, value: bytes) -> bytes:
        text = value.decode("utf-8", "replace")
        return text.encode(self._rng.choice(_ENCODINGS), "replace")

    def _joined(self, value: bytes) -> bytes:
        """Return two messages in one."""
        other = self._rng.choice(self._messages).value
        return value + self._rng.choice((b"", b"\n", b",", b"\x00", b"\r\n")) + other

    def _wrapped(self, value: bytes) -> bytes:
        """Return a message in the record of a log shipper, in an array, or as text."""
        text = value.decode("utf-8", "replace")
        return self._rng.choice(
            (
                json.dumps({"@timestamp": 1.5, "log": text, "message": text}).encode(),
                b'{"log":' + value + b"}",
                b"[" + value + b",null," + value + b"]",
                json.dumps(text).encode(),
                base64.b64encode(value),
                b'{"records":[' + value + b"]}",
            )
        )

    def _compressed(self, value: bytes) -> bytes:
        packed = gzip.compress(value, 1, mtime=0)
        return packed if self._rng.random() < 0.3 else self._with_flipped_bits(packed)

    def _with_length(self, value: bytes) -> bytes:
        at = self._rng.randint(0, len(value))
        return value[:at] + self._rng.choice(_LENGTHS) + value[at + self._rng.randint(0, 2) :]

    def _with_copied_part(self, value: bytes) -> bytes:
        start, stop, at = (self._rng.randint(0, len(value)) for _ in range(3))
        return value[:at] + value[start:stop] + value[at:]

    def _repeated(self, value: bytes) -> bytes:
        """Return a large message: an array or lines of copies, or a text that is very long."""
        copies = [value] * min(self._rng.randint(2, _MAX_COPIES), 1 + 200_000 // (1 + len(value)))
        text = self._rng.choice((b"x", b"\\", b'\\"', b"\\ud800", b"[", b"\xff", "é".encode()))
        return self._rng.choice(
            (
                b"\n".join(copies),
                b"[" + b",".join(copies) + b"]",
                b"".join(copies),
                value.replace(b'"', b'"' + text * 20_000, 1),
            )
        )

    def _headers(self, message: LogMessage) -> dict[str, bytes]:
        """Return the headers, sometimes without one or with a damaged one."""
        headers = dict(message.headers)
        if headers and self._rng.random() < 0.2:
            name = self._rng.choice(sorted(headers))
            if self._rng.random() < 0.3:
                del headers[name]
            else:
                headers[name] = hostile.damaged(headers[name], self._rng)
        return headers
