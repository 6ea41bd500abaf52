"""Annotators and an admin, who use the pages at once."""

from __future__ import annotations

import http.client
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urlencode

from benchmarks.web.site import NAMES, QUEUE

THINK_SECONDS: Final = 3.0
"""Pause of an annotator between two tasks, far below what reading takes."""
PAGES: Final = (
    "/",
    "/review",
    "/queues",
    f"/queues/{QUEUE}",
    f"/queues/{QUEUE}/agreement",
    "/annotators",
    "/adjudicate",
    "/decisions",
    "/audit",
    "/people",
    "/admin",
)


class Person:
    """A client that keeps its connection. times: seconds of each kind of request."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"authorization": f"Bearer {token}"}
        self.times: dict[str, list[float]] = defaultdict(list)

    def get(self, name: str, path: str) -> str:
        """Load a page and return its text."""
        return self._send(name, "GET", path)[1]

    def post(self, name: str, path: str, *pairs: tuple[str, object]) -> str:
        """Send a form and return the address to which it leads."""
        return self._send(name, "POST", path, urlencode(pairs))[0]

    def _send(self, name: str, method: str, path: str, body: str = "") -> tuple[str, str]:
        headers = self._headers | {"content-type": "application/x-www-form-urlencoded"}
        started = time.perf_counter()
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        self.times[name].append(time.perf_counter() - started)
        if answer.status not in {200, 303}:
            raise RuntimeError(f"{method} {path}: status {answer.status}: {text[:200]}")
        return answer.headers.get("location", ""), text


def annotate(person: Person, stop: threading.Event) -> None:
    """Rate tasks until the end."""
    address = person.post("POST /review/next", "/review/next", ("queue", QUEUE))
    while not stop.wait(THINK_SECONDS):
        person.get("GET /review/task/ID", address)
        scores = [(f"score.{name}", 4) for name in NAMES]
        address = person.post("POST /review/task/ID", address, *scores, ("active_ms", 900))


def look(person: Person, stop: threading.Event) -> None:
    """Open the other pages in turn until the end."""
    while not stop.is_set():
        for path in PAGES:
            person.get(f"GET {path}", path)
            stop.wait(0.05)


def use(port: int, tokens: Sequence[str], seconds: float) -> dict[str, list[float]]:
    """Let all people work; return the times of each kind of request, in seconds.

    In a process of its own: people do not share the interpreter lock of the server.
    """
    stop = threading.Event()
    people = [Person(port, token) for token in tokens]
    work: list[Callable[[Person, threading.Event], None]]
    work = [*[annotate] * (len(people) - 1), look]
    with ThreadPoolExecutor(len(people)) as threads:
        running = []
        for each, person in zip(work, people, strict=True):
            running.append(threads.submit(each, person, stop))
            time.sleep(THINK_SECONDS / len(people))  # people do not begin at the same moment
        time.sleep(seconds)
        stop.set()
        for future in running:
            future.result()  # raises what ended a client early
    times: dict[str, list[float]] = {}
    for person in people:
        for name, found in person.times.items():
            times.setdefault(name, []).extend(found)
    return times
