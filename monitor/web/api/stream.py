"""Server-sent events: which experiments have a new result, so that a page can load its card again.

An event has a name and a time; what changed is fetched by an ordinary request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from monitor.telemetry.http.api import HistoryUnavailableError
from monitor.web.context import WebContext
from monitor.web.review.model import ReviewError

MAX_STREAMS: Final = 200
POLL_SECONDS: Final = 1.0
ALIVE_SECONDS: Final = 15.0
"""Time after which a comment is sent, so that proxies do not close the connection."""


class TooManyStreams(ReviewError):
    """So many pages receive events already."""


def open_stream(context: WebContext, request: Request) -> AsyncIterator[bytes]:
    """Return the events of a page. Raises TooManyStreams."""
    if context.metrics.add_stream(1) > MAX_STREAMS:
        context.metrics.add_stream(-1)
        raise TooManyStreams(f"{MAX_STREAMS} pages receive events; this one loads again instead")
    return _events(context, request)


async def _events(context: WebContext, request: Request) -> AsyncIterator[bytes]:
    known: dict[str, float] = {}
    silent = 0.0
    try:
        yield b"retry: 5000\n\n"
        while not context.stopping.is_set() and not await request.is_disconnected():
            changed = await run_in_threadpool(_changed, context, known)
            for name in changed:
                content = msgspec.json.encode({"experiment": name, "time": known[name]})
                yield b"event: experiment\ndata: " + content + b"\n\n"
            silent = 0.0 if changed else silent + POLL_SECONDS
            if silent >= ALIVE_SECONDS:
                silent = 0.0
                yield b": alive\n\n"
            await _pause(context)
    finally:
        context.metrics.add_stream(-1)


def _changed(context: WebContext, known: dict[str, float]) -> list[str]:
    """Return the experiments whose result is newer than the known one, and remember it."""
    published = context.sources.published
    if published is None or published.experiments is None:
        return []
    try:
        results = published.experiments()
    except HistoryUnavailableError:
        return []
    found = {name: result.time for name, result in results.items()}
    changed = sorted(name for name, time in found.items() if known.get(name) != time)
    known.update(found)
    return changed


async def _pause(context: WebContext) -> None:
    """Wait until the next look, or until the server stops."""
    steps = 10
    for _ in range(steps):
        if context.stopping.is_set():
            return
        await asyncio.sleep(POLL_SECONDS / steps)
