"""A long hostile text does not stop the calls of other samples."""

import asyncio
import time

from judges.hostile.background import in_background
from judges.hostile.flags import text_flags


def test_the_event_loop_goes_on() -> None:
    """While a text is searched, the loop runs many times."""

    async def turns() -> tuple[int, float]:
        started, count = time.monotonic(), 0
        search = asyncio.ensure_future(in_background(text_flags, '{"score": ' * 10_000))
        while not search.done():
            await asyncio.sleep(0.001)
            count += 1
        await search
        return count, time.monotonic() - started

    count, seconds = asyncio.run(turns())
    assert count > 5, f"{count} turns in {seconds:.1f} s"
