"""The log of the soak: steady traffic of 20 models, with new names and malformed messages."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import cycle

MODELS = 20
BODIES = 50_000
START = 1_760_000_000.0
MALFORMED_EVERY = 1000
"""One message in this many is malformed."""


def malformed_count(records: int) -> int:
    """Return how many of the first `records` messages are malformed."""
    return records // MALFORMED_EVERY


def messages(records: int) -> Iterator[bytes]:
    """Yield the messages of the log."""
    rng = random.Random(0)
    pool = cycle([_body(rng, number % MODELS) for number in range(BODIES)])
    for number, body in zip(range(records), pool, strict=False):
        if number % MALFORMED_EVERY == MALFORMED_EVERY - 1:
            yield b'{"request_id": "broken'
        else:
            timestamp = START + number / 1000
            record = _with_new_name(number, body)
            yield b'{"request_id":"r-%d","timestamp":%.3f,%b' % (number, timestamp, record)


def _with_new_name(number: int, body: bytes) -> bytes:
    """Replace, in a few records, one name by a name that occurs only once in the log."""
    position = number % MALFORMED_EVERY
    if position == 123 and number // MALFORMED_EVERY % 2:
        return body.replace(b'"model-', b'"new-%d-' % number, 1)
    if position == 499:
        return body.replace(b'"quality"', b'"score-%d"' % number, 1)
    if position in {250, 500, 750}:
        return body.replace(b'"tenant-', b'"tenant-%d-' % number, 1)
    if position == 600:
        return body.replace(b'"stop"', b'"stop-%d"' % number, 1)
    return body


def _body(rng: random.Random, model: int) -> bytes:
    """Return a record without its opening brace, request id and timestamp."""
    output = round(rng.lognormvariate(5, 0.5))
    record = {
        "model": f"model-{model:03d}",
        "latency_ms": round(rng.lognormvariate(6.5, 0.4), 1),
        "time_to_first_token_ms": round(rng.lognormvariate(5, 0.3), 1),
        "input_tokens": round(rng.lognormvariate(6, 0.6)),
        "output_tokens": output,
        "cost_usd": round(output * 1.5e-5, 6),
        "finish_reason": rng.choice(("stop", "stop", "stop", "length")),
        "scores": {"quality": round(rng.betavariate(8, 2), 3)},
        "metadata": {"tenant": f"tenant-{rng.randrange(12)}"},
    }
    return json.dumps(record, separators=(",", ":")).encode()[1:]
