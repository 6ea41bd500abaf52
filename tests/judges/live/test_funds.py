"""When a sample may start: blocks of the budget, by hour of the day and number of partitions."""

from __future__ import annotations

import pytest

from judges.budget.caps import Purpose, divide_caps
from judges.budget.pacing import allowed
from judges.budget.prices import NANODOLLARS
from judges.live.funds import LEDGER, Funds, Start, is_added

NOON = 43_200.0


@pytest.mark.parametrize("minute", [0, 30, 180])
def test_a_long_sample_is_judged_early_in_the_day(minute: int) -> None:
    """One at a time, although its worst case is more than may be spent at that hour."""
    now = 60.0 * minute
    caps = divide_caps(20.0, None, {})
    funds = Funds(caps, 6, lambda: now, {})
    worst = NANODOLLARS
    assert worst > allowed(now, funds.ledger.cap(Purpose.LIVE, now))

    def judge(cost: int) -> list[Start]:
        found = [funds.start(Purpose.LIVE, worst)]
        if found[-1] is Start.AFTER_COMMIT:
            funds.messages()
            funds.mark_committed()
            found.append(funds.start(Purpose.LIVE, worst))
        draw = funds.account(Purpose.LIVE).draw(worst)
        if draw is not None:
            assert funds.start(Purpose.LIVE, worst) is not Start.NOW, "two at a time"
            funds.account(Purpose.LIVE).settle(draw, cost)
        funds.end(Purpose.LIVE, worst, cost if draw is not None else 0)
        return [*found, Start.LATER] if draw is None else found

    assert all(judge(worst // 1_000)[-1] is Start.NOW for _ in range(5))
    judge(worst)
    spent = funds.ledger.spent(Purpose.LIVE, now)
    assert judge(worst)[-1] is Start.LATER, "what may be spent at this hour is spent"
    assert funds.ledger.spent(Purpose.LIVE, now) == spent


def test_a_partition_that_is_added_in_a_quiet_night_waits() -> None:
    """The day has begun in the memory of partition 0 and is not stored yet."""
    now = [20_000 * 86_400 + 80_000.0]
    caps = divide_caps(20.0, None, {})
    old = Funds(caps, 1, lambda: now[0], {})
    old.start(Purpose.LIVE, 10**7)
    stored = old.messages()
    old.mark_committed()
    now[0] += 50_000
    whole = old.ledger.remaining(Purpose.LIVE, now[0])
    old.ledger.repartition(2)
    assert is_added(1, stored, now[0])
    added = Funds(caps, 2, lambda: now[0], {}, added=is_added(1, stored, now[0]))
    parts = old.ledger.remaining(Purpose.LIVE, now[0]), added.ledger.remaining(Purpose.LIVE, now[0])
    assert sum(parts) <= whole


def test_a_partition_that_is_added_waits_for_the_next_day() -> None:
    """The ledger of partition 0 tells among how many partitions the day is divided."""
    caps = divide_caps(100.0, None, {})
    funds = Funds(caps, 2, lambda: NOON, {})
    assert funds.start(Purpose.LIVE, NANODOLLARS) is Start.AFTER_COMMIT
    first = funds.messages()
    assert not is_added(1, first, NOON)
    assert is_added(2, first, NOON)
    assert not is_added(2, {}, NOON)
    added = Funds(caps, 3, lambda: NOON, {}, added=True)
    assert added.ledger.remaining(Purpose.LIVE, NOON) == 0
    assert added.ledger.remaining(Purpose.LIVE, NOON + 86_400) > 0


def test_an_unreadable_ledger_is_refused() -> None:
    """Spending that is not known is not regarded as none."""
    with pytest.raises(ValueError, match="budget"):
        Funds(divide_caps(1.0, None, {}), 1, lambda: NOON, {LEDGER: b"\xff"})
