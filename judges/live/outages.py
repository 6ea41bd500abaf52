"""Whether a judge answers: from the counters of its calls, a few minutes at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from judges.calls import UnscoredReason
from monitor.events.findings.judges import JudgeEvent, judge_event

WINDOW_SECONDS: Final = 300.0
"""Time between two looks."""
LEAST_CALLS: Final = 10
"""Calls that a look requires."""
DOWN_SHARE: Final = 0.9
"""Share of calls without an answer from which on a judge is down; below half it has recovered."""
UP_SHARE: Final = 0.5
_FAILURES: Final = (str(UnscoredReason.TIMEOUT), str(UnscoredReason.UNAVAILABLE))


class Outages:
    """Finds judges that are down, and those that answer again.

    A refusal, or an answer that is cut or invalid, is an answer. Calls that were not sent for want
    of money are no calls.

    down: judges that do not answer. A process that takes over adds those of the one before, so that
    their recovery is reported.
    """

    def __init__(self) -> None:
        self._before: Counter[tuple[str, str]] = Counter()
        self._due: float | None = None
        self.down: set[str] = set()

    def look(self, requests: Mapping[tuple[str, str], int], now: float) -> list[JudgeEvent]:
        """Return the events of the time since the last look, if it is long enough.

        requests: all so far, by judge and outcome, as in `Meter`.
        """
        if self._due is None:  # calls of an earlier session are not those of this window
            self._due, self._before = now + WINDOW_SECONDS, Counter(requests)
        if now < self._due:
            return []
        new = Counter(requests)
        new.subtract(self._before)
        self._before, self._due = Counter(requests), now + WINDOW_SECONDS
        found = (self._judge(judge, new, now) for judge in sorted({judge for judge, _ in new}))
        return [event for event in found if event is not None]

    def _judge(self, judge: str, new: Counter[tuple[str, str]], now: float) -> JudgeEvent | None:
        sent = {
            outcome: count
            for (name, outcome), count in new.items()
            if name == judge and outcome != UnscoredReason.NO_BUDGET
        }
        calls, failed = sum(sent.values()), sum(sent.get(name, 0) for name in _FAILURES)
        if judge not in self.down and calls >= LEAST_CALLS and failed >= DOWN_SHARE * calls:
            self.down.add(judge)
            return judge_event(judge, "down", now, calls=calls, failed=failed)
        if judge in self.down and calls and failed < UP_SHARE * calls:
            self.down.remove(judge)
            return judge_event(judge, "recovered", now, calls=calls, failed=failed)
        return None
