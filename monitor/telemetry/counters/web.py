"""Numbers of the web role: requests, sign-in, review queues, labels on their way."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Final

REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the duration of a request, in seconds."""
MAX_ROUTES: Final = 400
"""Series of requests: two and more for each route."""
WRONG_SIGN_IN: Final = ("sign_in_wrong_token", "sign_in_wrong_secret", "sign_in_wrong_header")
OTHER: Final = "other"
INFLOW: Final = ("added", "known", "filtered", "full", "unreadable", "judged", "unmatched")
"""What becomes of a message that the role reads."""
ACTIONS: Final = ("submitted", "skipped", "undone", "adjudicated")
"""What a person does with a task."""


@dataclass(frozen=True, slots=True)
class ReviewState:
    """State of the review queues, which all processes share.

    items: by queue and state. oldest: age of the oldest open item by queue, in seconds. unsent:
    labels that wait. texts: items whose texts are stored.
    """

    items: dict[tuple[str, str], int]
    oldest: dict[str, float]
    unsent: int
    texts: int


@dataclass(slots=True)
class WebMetrics:
    """Counters of the web role. Threads may count at the same time.

    requests: by route and class of status ("2xx"). refusals: requests that reached no route, by
    reason. durations: number of requests by bucket, without event streams. ratings: by queue and
    what a person did (ACTIONS). inflow: messages by
    outcome. labels: labels sent, or not, by outcome. erased: items whose texts were erased, by
    reason. store_errors: operations of the database that failed. streams: open event streams.
    review: None until it was read.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(WRONG_SIGN_IN, 0)))
    durations: list[int] = field(default_factory=lambda: [0] * (len(REQUEST_BUCKETS) + 1))
    seconds: float = 0.0
    ratings: Counter[tuple[str, str]] = field(default_factory=Counter)
    inflow: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(INFLOW, 0)))
    labels: Counter[str] = field(
        default_factory=lambda: Counter(dict.fromkeys(("sent", "failed"), 0))
    )
    erased: Counter[str] = field(
        default_factory=lambda: Counter(dict.fromkeys(("retention", "request", "user"), 0))
    )
    store_errors: int = 0
    streams: int = 0
    review: ReviewState | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_routes(self, routes: Iterable[str]) -> None:
        """Start the series of failures: Prometheus sees no increase in one that begins at 1."""
        with self._lock:
            self.requests.update(dict.fromkeys(((route, "5xx") for route in routes), 0))

    def add_queues(self, queues: Iterable[str]) -> None:
        """Start the series of ratings."""
        with self._lock:
            self.ratings.update(dict.fromkeys(product(queues, ACTIONS), 0))

    def count_request(self, route: str, status: int, seconds: float, *, stream: bool) -> None:
        """Count a request. stream: its duration is that of a page that stays open."""
        key = route, f"{status // 100}xx"
        with self._lock:
            if key not in self.requests and len(self.requests) >= MAX_ROUTES:
                key = OTHER, key[1]
            self.requests[key] += 1
            if not stream:
                self.durations[bisect_left(REQUEST_BUCKETS, seconds)] += 1
                self.seconds += seconds

    def count_refusal(self, reason: str) -> None:
        """Count a request that reached no route."""
        with self._lock:
            self.refusals[reason] += 1

    def count_rating(self, queue: str, action: str) -> None:
        """Count what a person did with a task."""
        with self._lock:
            self.ratings[queue, action] += 1

    def count_inflow(self, outcomes: Counter[str]) -> None:
        """Count messages by outcome."""
        with self._lock:
            self.inflow.update(outcomes)

    def count_labels(self, outcome: str, number: int) -> None:
        """Count labels that were sent, or not."""
        with self._lock:
            self.labels[outcome] += number

    def count_erased(self, reason: str, number: int) -> None:
        """Count items whose texts were erased."""
        with self._lock:
            self.erased[reason] += number

    def count_store_error(self) -> None:
        """Count an operation of the database that failed."""
        with self._lock:
            self.store_errors += 1

    def add_stream(self, number: int) -> int:
        """Count an event stream that opens (1) or closes (-1); return how many are open."""
        with self._lock:
            self.streams += number
            return self.streams
