"""The states of an alarm: opened, held, escalated, resolved."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detect.alarms.alarm import Alarm, AlarmPolicy
from monitor.events.types import Severity, Transition

POLICY = AlarmPolicy(min_psi=0.1, critical_psi=0.25, resolve_after=100)
STRIDE = 10


def transitions_of(
    sizes: Iterable[float | None], *, over: bool = True, settled: int = 1000
) -> list[tuple[int, Transition]]:
    """Return the transitions after strides with these PSIs.

    None: no change in the stride. Negative: a change of that size that is not significant.
    over: whether the episode is over at any time. settled: strides after which a change has lasted.
    """
    alarm: Alarm | None = None
    transitions = []
    for number, psi in enumerate(sizes, 1):
        record = number * STRIDE
        size, significant = abs(psi or 0.0), psi is not None and psi >= 0
        if alarm is not None and POLICY.holds(significant, size):
            alarm.last_found = record
        lasting = number >= settled
        found = severity(size, alarm, settled=lasting) if significant else None
        change = POLICY.transition(alarm, found, over, record)
        if change is not None:
            transitions.append((record, change))
        if change in {"opened", "escalated"}:
            assert found is not None
            alarm = Alarm("id", "psi", found, record)
        elif change == "resolved":
            alarm = None
    return transitions


def severity(
    psi: float, alarm: Alarm | None, *, rate: bool = False, settled: bool = False
) -> Severity | None:
    """Return the severity of a significant change."""
    return POLICY.severity(psi, alarm, rate=rate, settled=settled)


@pytest.mark.parametrize(
    ("psi", "open_alarm", "found"),
    [
        (0.1, None, "warning"),
        (0.0999, None, None),
        (0.05, "warning", "warning"),
        (0.05, "critical", "warning"),
        (0.0499, "warning", None),
        (0.1, "info", "warning"),
        (0.0999, "info", None),  # an alarm that does not page yet has the limit of a new one
    ],
)
def test_limit_of_an_open_alarm_is_half_of_min_psi(
    psi: float, open_alarm: Severity | None, found: Severity | None
) -> None:
    """A change is material from min_psi on, with an open alarm that pages from half of it on."""
    alarm = Alarm("id", "psi", open_alarm, 0) if open_alarm else None
    assert severity(psi, alarm) == found


@pytest.mark.parametrize(
    ("psi", "expected"), [(0.1, "warning"), (0.2499, "warning"), (0.25, "critical")]
)
def test_severity_follows_psi(psi: float, expected: Severity) -> None:
    """An alarm is critical from critical_psi on, and a warning below."""
    assert severity(psi, None) == expected


def test_material_rate_is_a_warning_whatever_its_psi() -> None:
    """PSI alone makes an alarm critical."""
    assert severity(0.001, None, rate=True) == "warning"
    assert severity(0.3, None, rate=True) == "critical"


def test_small_change_is_an_info_alarm_once_it_has_lasted() -> None:
    """It escalates when it becomes material."""
    assert severity(0.01, None) is None
    assert severity(0.01, None, settled=True) == "info"
    assert transitions_of([0.01] * 5 + [0.2], settled=3) == [(30, "opened"), (60, "escalated")]
    assert transitions_of([0.01] * 5 + [0.3], settled=3) == [(30, "opened"), (60, "escalated")]


def test_alarm_stays_open_until_its_episode_is_over() -> None:
    """An alarm that does not hold resolves only with evidence that the change is over."""
    sizes = [0.15, *[None] * 30]
    assert transitions_of(sizes) == [(10, "opened"), (110, "resolved")]
    assert transitions_of(sizes, over=False) == [(10, "opened")]


def test_alarm_that_pages_resolves_while_a_small_change_lasts() -> None:
    """A significant change that is not material any more does not hold it."""
    sizes = [0.15, *[0.01] * 30]
    assert transitions_of(sizes, settled=1)[:2] == [(10, "opened"), (110, "resolved")]


@pytest.mark.parametrize(
    ("sizes", "changes"),
    [
        ([None] * 30, []),
        ([0.09] * 30, []),  # significant, but too small
        ([None, 0.15, *[None] * 9], [(20, "opened")]),
        ([None, 0.15, *[None] * 10], [(20, "opened"), (120, "resolved")]),
        ([0.15, 0.3, 0.3], [(10, "opened"), (20, "escalated")]),
        ([0.3, 0.15, 0.3], [(10, "opened")]),  # critical from the start: no escalation
        (
            [0.15, 0.3, 0.15, 0.3],
            [(10, "opened"), (20, "escalated")],
        ),  # the severity never decreases
        ([0.15, *[0.06] * 50], [(10, "opened")]),  # just below min_psi: held
        ([0.15, *[0.04] * 10], [(10, "opened"), (110, "resolved")]),
        ([0.15, *[-0.1] * 50], [(10, "opened")]),  # not significant any more, but as large: held
        ([0.15, *[-0.09] * 10], [(10, "opened"), (110, "resolved")]),
        ([-0.5] * 50, []),  # large, but never significant
        ([0.15, *[-0.5] * 50], [(10, "opened")]),  # no escalation while not significant
        ([0.15, *[None] * 9, 0.06, *[None] * 9], [(10, "opened")]),  # held just in time
        (
            [0.15, *[None] * 10, 0.15],
            [(10, "opened"), (110, "resolved"), (120, "opened")],
        ),
    ],
)
def test_transitions_of_an_alarm(
    sizes: list[float | None], changes: list[tuple[int, Transition]]
) -> None:
    """Each sequence of sizes has the expected transitions."""
    assert transitions_of(sizes) == changes


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1, 1)), max_size=120))
def test_transitions_are_in_order(sizes: list[float | None]) -> None:
    """An alarm opens, escalates at most once, and resolves not before resolve_after records."""
    initials = "".join(change[0] for _, change in transitions_of(sizes))
    assert initials.replace("oer", "").replace("or", "") in {"", "o", "oe"}
    held = [n * STRIDE for n, psi in enumerate(sizes, 1) if abs(psi or 0.0) >= 0.1]
    for record, change in transitions_of(sizes):
        assert change != "resolved" or not any(record - 100 < at <= record for at in held)
