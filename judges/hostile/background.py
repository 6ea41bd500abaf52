"""Search hostile text in a thread of its own.

A long text takes a second or more. In an event loop, all open calls would wait for it, and whoever
can write to the log could stop them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_THREAD: Final = ThreadPoolExecutor(1, "hostile text")
"""One thread: the evaluators of a sample search the same texts, and find cached results."""


async def in_background(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of a function that takes long, without blocking the event loop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREAD, lambda: function(*args, **kwargs))
