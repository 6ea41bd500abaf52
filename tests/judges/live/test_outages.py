"""A judge that does not answer is reported once, and once when it answers again."""

from __future__ import annotations

from collections import Counter

import pytest

from judges.live.outages import LEAST_CALLS, WINDOW_SECONDS, Outages


class Clocked:
    """Looks after each window, with counters that grow."""

    def __init__(self) -> None:
        self.outages = Outages()
        self.requests = Counter[tuple[str, str]]()
        self.now = 0.0
        assert self.outages.look(self.requests, self.now) == []

    def window(self, judge: str = "j", **new: int) -> list[str]:
        """Add calls by outcome, and return the changes that a look finds."""
        self.requests.update({(judge, outcome): count for outcome, count in new.items()})
        assert self.outages.look(self.requests, self.now + 1) == []
        self.now += WINDOW_SECONDS
        return [each.change for each in self.outages.look(self.requests, self.now)]


def test_an_outage_has_a_beginning_and_an_end() -> None:
    """Each is reported once, whatever lies between them."""
    watched = Clocked()
    assert watched.window(answered=50, timeout=5) == []
    assert watched.window(answered=1, timeout=20, unavailable=20) == ["down"]
    assert watched.window(unavailable=30) == []
    assert watched.window() == [], "no calls are no answers"
    assert watched.window(answered=4, unavailable=6) == []
    assert watched.window(answered=8, unavailable=2) == ["recovered"]
    assert watched.window(answered=50) == []


@pytest.mark.parametrize(
    "new",
    [
        {"unavailable": LEAST_CALLS - 1},
        {"no_budget": 100},
        {"refusal": 100, "invalid_output": 100, "truncated": 50},
        {"answered": 20, "timeout": 80},
        {"no_budget": 500, "unavailable": 5},
    ],
    ids=["few calls", "no money", "unusable answers", "some answers", "few were sent"],
)
def test_what_is_no_outage(new: dict[str, int]) -> None:
    """Answers that cannot be used are answers, and calls that were not sent are none."""
    assert Clocked().window("j", **new) == []


def test_judges_are_apart() -> None:
    """One is down and the other is not; what failed before the session does not count."""
    watched = Clocked()
    watched.requests.update({("b", "answered"): 40})
    assert watched.window("a", unavailable=40) == ["down"]
    late = Outages()
    assert late.look(watched.requests, 0.0) == []
    assert late.look(watched.requests, WINDOW_SECONDS) == []
