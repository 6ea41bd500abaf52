"""Rate limits: a bucket of tokens for each key, in bounded memory."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_KEYS: Final = 10_000
"""Keys that are remembered; the one that was used longest ago is forgotten."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """At most `per_minute` requests of a key in the long run, and `burst` at once.

    clock: monotonic seconds.
    """

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate = per_minute / 60.0
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> int:
        """Count a request; return 0 if it is allowed, else the seconds until the next one is."""
        with self._lock:
            bucket = self._filled(key)
            if bucket.tokens >= 1.0:
                bucket.tokens -= 1.0
                return 0
            return math.ceil((1.0 - bucket.tokens) / self._rate)

    def empty(self, key: str) -> int:
        """Return the seconds until a request is allowed, without counting one."""
        with self._lock:
            missing = 1.0 - self._filled(key).tokens
        return max(0, math.ceil(missing / self._rate))

    def _filled(self, key: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + self._rate * max(0.0, now - bucket.at))
        bucket.at = now
        return bucket
