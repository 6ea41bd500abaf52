"""The life of an alarm: opened, held, escalated, resolved."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms import Alarm, AlarmPolicy
from monitor.events import Change, Severity

POLICY = AlarmPolicy(min_psi=0.1, critical_psi=0.25, latch=100)
STRIDE = 10


def lived(sizes: Iterable[float | None]) -> list[tuple[int, Change]]:
    """What happens to a stream at each stride; None: nothing, below 0: of this size, unproven."""
    alarm: Alarm | None = None
    changes = []
    for number, psi in enumerate(sizes, 1):
        record = number * STRIDE
        size, significant = abs(psi or 0.0), psi is not None and psi >= 0
        if alarm is not None and POLICY.holds(significant, size):
            alarm.last_found = record
        found = significant and POLICY.material(size, alarm)
        change = POLICY.change(alarm, found, size, record)
        if change is not None:
            changes.append((record, change))
        if change in {"opened", "escalated"}:
            alarm = Alarm("id", "psi", POLICY.severity(size), record)
        elif change == "resolved":
            alarm = None
    return changes


@pytest.mark.parametrize(
    ("psi", "is_open", "material"),
    [
        (0.1, False, True),
        (0.0999, False, False),
        (0.05, True, True),
        (0.0499, True, False),
    ],
)
def test_open_alarm_holds_on_down_to_half(psi: float, is_open: bool, material: bool) -> None:
    """A change matters from min_psi on; one that has an alarm, down to half of it."""
    alarm = Alarm("id", "psi", "warning", 0) if is_open else None
    assert POLICY.material(psi, alarm) is material


@pytest.mark.parametrize(
    ("psi", "severity"), [(0.1, "warning"), (0.2499, "warning"), (0.25, "critical")]
)
def test_severity_follows_size(psi: float, severity: Severity) -> None:
    """An alarm is critical from critical_psi on."""
    assert POLICY.severity(psi) == severity


@pytest.mark.parametrize(
    ("sizes", "changes"),
    [
        ([None] * 30, []),
        ([0.09] * 30, []),  # significant, but of no matter
        ([None, 0.15, *[None] * 9], [(20, "opened")]),
        ([None, 0.15, *[None] * 10], [(20, "opened"), (120, "resolved")]),
        ([0.15, 0.3, 0.3], [(10, "opened"), (20, "escalated")]),
        ([0.3, 0.15, 0.3], [(10, "opened")]),  # critical from the start: nothing to add
        ([0.15, 0.3, 0.15, 0.3], [(10, "opened"), (20, "escalated")]),  # it does not step down
        ([0.15, *[0.06] * 50], [(10, "opened")]),  # hovers below the limit: held
        ([0.15, *[0.04] * 10], [(10, "opened"), (110, "resolved")]),
        ([0.15, *[-0.1] * 50], [(10, "opened")]),  # found once, but still there: held
        ([0.15, *[-0.09] * 10], [(10, "opened"), (110, "resolved")]),
        ([-0.5] * 50, []),  # large, but never proven
        ([0.15, *[-0.5] * 50], [(10, "opened")]),  # nor is it critical before that is proven
        ([0.15, *[None] * 9, 0.06, *[None] * 9], [(10, "opened")]),  # found just in time
        (
            [0.15, *[None] * 10, 0.15],
            [(10, "opened"), (110, "resolved"), (120, "opened")],
        ),
    ],
)
def test_life_of_an_alarm(sizes: list[float | None], changes: list[tuple[int, Change]]) -> None:
    """What each course of a drift makes of its alarm."""
    assert lived(sizes) == changes


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1, 1)), max_size=120))
def test_one_episode_is_one_alarm(sizes: list[float | None]) -> None:
    """Changes come in order, at most one escalation each, and no alarm ends before its latch."""
    kinds = [kind for _, kind in lived(sizes)]
    story = "".join(kind[0] for kind in kinds)
    assert story.replace("oer", "").replace("or", "") in {"", "o", "oe"}
    found = [n * STRIDE for n, psi in enumerate(sizes, 1) if abs(psi or 0.0) >= 0.1]
    for record, kind in lived(sizes):
        assert kind != "resolved" or not any(record - 100 < at <= record for at in found)
