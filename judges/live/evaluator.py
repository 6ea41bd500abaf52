"""The interface of evaluators, and the thread in which they run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from judges.budget.prices import Prices
from judges.calls import JudgeClient
from monitor.events.evaluations import Evaluation
from monitor.records import Sample

T = TypeVar("T")
STOP_SECONDS = 5.0
"""Maximum time for open calls to be cancelled and connections to be closed."""
CALL_SECONDS = 60.0


class Evaluator(Protocol):
    """Evaluates one sample under one name, such as `judge.answer_quality`."""

    @property
    def name(self) -> str:
        """Name of the feature."""
        ...

    @property
    def version(self) -> str:
        """Hash of all that a score depends on beside the sample: rubric, judge and settings."""
        ...

    def applies(self, sample: Sample) -> bool:
        """Return whether the evaluator is meant for such a sample."""
        ...

    def worst_case(self, sample: Sample, prices: Prices) -> int:
        """Return an upper bound of the cost of an evaluation without retries, in nanodollars."""
        ...

    async def evaluate(self, sample: Sample, client: JudgeClient) -> Evaluation:
        """Return a score or the reason why there is none."""
        ...


def evaluation_of(evaluator: Evaluator, sample: Sample, judge: str = "") -> Evaluation:
    """Return the evaluation of a sample, still without a score or a reason. judge: who judged."""
    return Evaluation(
        name=evaluator.name,
        request_id=sample.request_id,
        model=sample.model,
        time=sample.timestamp,
        evaluator=judge,
        version=evaluator.version,
        uniform=sample.inclusion.uniform,
        probability=sample.inclusion.probability,
    )


class CallThread:
    """An event loop in a thread of its own, for the calls of a role whose own loop blocks."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in the loop's thread, where tasks may be created; return its result."""

        async def call() -> T:
            return function()

        return self.wait(call(), CALL_SECONDS)

    def wait(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run a coroutine and return its result. Raises TimeoutError if it takes longer."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancel all tasks, run a last coroutine, and end the thread."""

        async def end() -> None:
            current = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not current]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            if last is not None:
                await last()

        with suppress(FutureTimeoutError):  # the thread is a daemon: it ends with the process
            self.wait(end(), STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()
