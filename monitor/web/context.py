"""What the application works with: the database, the time, and what other roles publish."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.database.store import Store
from monitor.telemetry.counters.web import WebMetrics
from monitor.web.views.sources import Sources


@dataclass(frozen=True, slots=True)
class WebContext:
    """Shared by all requests.

    clock: returns the seconds since the epoch. user_hash: returns the hash of a user id, as in
    samples. stopping: is set when the server stops.
    """

    store: Store
    metrics: WebMetrics
    sources: Sources = field(default_factory=Sources)
    clock: Callable[[], float] = time.time
    user_hash: Callable[[str], str] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
