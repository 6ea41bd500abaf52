"""The canary stage waits for a verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from replay.gate.criteria.model import Canary
from replay.gate.outcome import Outcome
from replay.gate.stages.canary import NotReadable, Reading, wait

CANARY = Canary(
    url="http://localhost:9464",
    experiment="new",
    variant="v2",
    wait_minutes=10.0,
    poll_seconds=60.0,
)


class FakeClock:
    """A clock that only moves by sleeping."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move on."""
        assert seconds > 0
        self.time += seconds


def answers(*readings: Reading | Exception) -> Callable[[], Reading]:
    """Return a function that gives one reading after another, the last one for ever."""
    left = list(readings)

    def read() -> Reading:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return read


NOT_YET = Reading(verdict="not_yet", users=10)
AWAY = NotReadable("connection refused")


@pytest.mark.parametrize(
    ("readings", "outcome", "minutes"),
    [
        ([NOT_YET, NOT_YET, Reading(verdict="better")], "passed", 2),
        ([Reading(verdict="no_difference")], "passed", 0),
        ([NOT_YET, Reading(verdict="worse")], "regressed", 1),
        ([Reading(verdict="not_yet", guardrails=("error",))], "regressed", 0),
        ([Reading(verdict="better", guardrails=("error",))], "regressed", 0),
        ([Reading(verdict="better", split="block")], "error", 0),
        ([Reading(verdict="not_yet", stopped=True)], "inconclusive", 0),
        ([NOT_YET], "inconclusive", 10),
        ([AWAY, AWAY, Reading(verdict="better")], "passed", 2),
        ([AWAY], "error", 10),
        ([NotReadable("no such variant", final=True)], "error", 0),
    ],
)
def test_the_stage_waits_until_there_is_a_verdict_or_the_time_is_over(
    readings: list[Reading | Exception], outcome: Outcome, minutes: float
) -> None:
    """Each state of the experiment and of the daemon has an outcome, after the right time."""
    clock = FakeClock()
    check = wait(CANARY, answers(*readings), clock)
    assert check.outcome == outcome
    assert clock.time == minutes * 60


def test_criteria_can_demand_a_better_variant() -> None:
    """No difference is not enough then."""
    strict = CANARY.model_copy(update={"accept": "better"})
    assert (
        wait(strict, answers(Reading(verdict="no_difference")), FakeClock()).outcome
        == "inconclusive"
    )
    assert wait(strict, answers(Reading(verdict="better")), FakeClock()).outcome == "passed"
