"""The ledger of a partition: blocks, days, months, crashes."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from judges.budget.caps import Caps, Purpose, divide_caps
from judges.budget.ledger import Draw, Ledger

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
DAY = 24 * HOUR
LIVE, GOLDEN = Purpose.LIVE, Purpose.GOLDEN
CAPS = Caps(dict.fromkeys(Purpose, 0) | {LIVE: 1000, GOLDEN: 100})


def ready(ledger: Ledger, target: int = 500, now: float = NOON) -> bytes:
    """Top up the live purpose and commit; return the stored state."""
    ledger.top_up(LIVE, target, now)
    stored = ledger.snapshot()
    ledger.mark_committed()
    return stored


def drawn(ledger: Ledger, amount: int, now: float = NOON) -> Draw:
    """Return a draw that must be possible."""
    draw = ledger.draw(LIVE, amount, now)
    assert draw is not None
    return draw


def test_nothing_is_drawn_before_the_block_is_committed() -> None:
    """A reserved block is usable only after the state that counts it is stored."""
    ledger = Ledger(CAPS, 1)
    assert ledger.top_up(LIVE, 500, NOON)
    assert ledger.draw(LIVE, 1, NOON) is None
    ledger.snapshot()
    assert ledger.draw(LIVE, 1, NOON) is None
    ledger.mark_committed()
    assert ledger.draw(LIVE, 500, NOON) is not None
    assert ledger.draw(LIVE, 1, NOON) is None


def test_a_block_reserved_after_the_snapshot_is_not_committed_by_it() -> None:
    """Only blocks that are part of the stored state become usable."""
    ledger = Ledger(CAPS, 1)
    ledger.snapshot()
    ledger.top_up(LIVE, 500, NOON)
    ledger.mark_committed()
    assert ledger.draw(LIVE, 1, NOON) is None


def test_a_restart_counts_open_blocks_as_spent() -> None:
    """After a crash the rest of the cap is available, and not more."""
    stored = ready(Ledger(CAPS, 1))
    restored = Ledger.restored(CAPS, 1, stored)
    assert restored.remaining(LIVE, NOON) == 500
    assert restored.draw(LIVE, 1, NOON) is None
    ready(restored, target=900)
    assert restored.draw(LIVE, 501, NOON) is None
    assert restored.draw(LIVE, 500, NOON) is not None


def test_a_closed_ledger_loses_nothing() -> None:
    """After an orderly stop everything that was not spent is available again."""
    ledger = Ledger(CAPS, 1)
    ready(ledger)
    ledger.settle(drawn(ledger, 100), 30)
    ledger.close()
    restored = Ledger.restored(CAPS, 1, ledger.snapshot())
    assert restored.spent(LIVE, NOON) == 30
    assert restored.remaining(LIVE, NOON) == 970


def test_an_open_draw_survives_the_end_of_its_block() -> None:
    """A request in progress is counted at its worst case until it is settled."""
    ledger = Ledger(CAPS, 1)
    ready(ledger)
    draw = drawn(ledger, 100)
    ledger.close()
    assert ledger.remaining(LIVE, NOON) == 900
    ledger.settle(draw, 10)
    ledger.close()
    assert ledger.remaining(LIVE, NOON) == 990


def test_the_whole_cap_can_be_spent() -> None:
    """Blocks of any size leave less than two requests of the cap unused."""
    ledger, total = Ledger(CAPS, 1), 0
    for _ in range(1000):
        ready(ledger, target=37)
        while (draw := ledger.draw(LIVE, 10, NOON)) is not None:
            ledger.settle(draw, 7)
            total += 7
    assert 1000 - 2 * 10 < total <= 1000
    assert ledger.spent(LIVE, NOON) == total


def test_purposes_do_not_borrow() -> None:
    """A spent purpose leaves the others their whole share."""
    ledger = Ledger(CAPS, 1, sole=True)
    ready(ledger, target=5000)
    assert ledger.top_up(GOLDEN, 5000, NOON)
    assert ledger.remaining(GOLDEN, NOON) == 100
    assert ledger.remaining(Purpose.CANARY, NOON) == 0
    assert not ledger.top_up(Purpose.CANARY, 10, NOON)


def test_partitions_divide_the_cap() -> None:
    """Each of seven partitions may spend a seventh, rounded down; what only the owner of the first
    one spends is its alone.
    """
    assert Ledger(CAPS, 7).remaining(LIVE, NOON) == 142
    assert Ledger(CAPS, 7).remaining(GOLDEN, NOON) == 0
    assert Ledger(CAPS, 7, sole=True).remaining(LIVE, NOON) == 142
    assert Ledger(CAPS, 7, sole=True).remaining(GOLDEN, NOON) == 100


def test_a_request_over_midnight_is_charged_to_its_own_day() -> None:
    """The new day is whole, and the old day is charged however late the request ends."""
    ledger = Ledger(CAPS, 1)
    late = NOON + 12 * HOUR - 1
    ready(ledger, target=1000, now=late)
    draw = drawn(ledger, 600, now=late)
    assert ledger.draw(LIVE, 1, late + 2) is None  # the block of yesterday
    assert ledger.remaining(LIVE, late + 2) == 1000
    ledger.settle(draw, 600)
    assert ledger.remaining(LIVE, late + 2) == 1000
    assert ledger.spent(LIVE, late) == 600


def test_the_month_has_a_cap_of_its_own() -> None:
    """The monthly cap ends the spending of later days, and a new month begins anew."""
    caps = Caps(CAPS.day, {**CAPS.day, LIVE: 1500})
    first = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()
    ledger = Ledger(caps, 1)
    for day, left in enumerate((1000, 500, 0)):
        now = first + day * DAY
        assert ledger.remaining(LIVE, now) == left
        ready(ledger, target=5000, now=now)
        if left:
            ledger.settle(drawn(ledger, left, now=now), left)
        ledger = Ledger.restored(caps, 1, ledger.snapshot())
    assert ledger.remaining(LIVE, first + 30 * DAY) == 1000


def test_open_blocks_count_for_the_month() -> None:
    """What is reserved is not available a second time before its block ends."""
    ledger = Ledger(Caps(CAPS.day, {**CAPS.day, LIVE: 300}), 1)
    ready(ledger, target=300)
    drawn(ledger, 200)
    assert ledger.remaining(LIVE, NOON) == 100
    assert not ledger.top_up(LIVE, 300, NOON)


def test_the_live_limit_of_pacing_is_kept() -> None:
    """A limit below the cap bounds what is reserved."""
    ledger = Ledger(CAPS, 1)
    assert ledger.top_up(LIVE, 500, NOON, limit=120)
    assert ledger.remaining(LIVE, NOON) == 1000
    ledger.snapshot()
    ledger.mark_committed()
    assert ledger.draw(LIVE, 121, NOON) is None
    assert ledger.draw(LIVE, 120, NOON) is not None
    assert not ledger.top_up(LIVE, 500, NOON, limit=120)


def test_an_added_partition_waits_for_the_next_day_and_month() -> None:
    """The caps of this day and month are divided without it, also after a restart."""
    caps = Caps(CAPS.day, CAPS.day)
    added = Ledger.added(caps, 2, NOON)
    assert added.remaining(LIVE, NOON) == 0
    restored = Ledger.restored(caps, 2, added.snapshot())
    assert restored.remaining(LIVE, NOON) == 0
    assert restored.remaining(LIVE, NOON + DAY) == 0  # 30 November
    assert restored.remaining(LIVE, NOON + 2 * DAY) == 500  # 1 December
    daily = Ledger.added(CAPS, 2, NOON)
    assert daily.remaining(LIVE, NOON + DAY) == 500
    late = Ledger.added(CAPS, 2, NOON + 12 * HOUR - 600)
    assert late.remaining(LIVE, NOON + DAY) == 0  # too soon for all processes to know of it


def test_a_day_that_has_begun_keeps_its_division() -> None:
    """With more partitions this day stays as it began, and the next one is divided anew."""
    ledger = Ledger(CAPS, 2)
    assert ledger.cap(LIVE, NOON) == 500
    ledger.repartition(4)
    assert ledger.cap(LIVE, NOON) == 500
    assert ledger.cap(LIVE, NOON + DAY) == 250
    restored = Ledger.restored(CAPS, 8, ledger.snapshot())
    assert restored.cap(LIVE, NOON) == 500
    assert restored.cap(LIVE, NOON + 2 * DAY) == 125


def test_a_request_above_its_worst_case_is_counted() -> None:
    """Real costs are charged even if a price or a bound was wrong, and the case is counted."""
    ledger = Ledger(CAPS, 1)
    ready(ledger)
    ledger.settle(drawn(ledger, 100), 900)
    assert ledger.overruns == 1
    assert ledger.spent(LIVE, NOON) == 900
    assert ledger.remaining(LIVE, NOON) == 100


def test_a_draw_is_settled_once() -> None:
    """Settling twice would return money that was spent."""
    ledger = Ledger(CAPS, 1)
    ready(ledger)
    draw = drawn(ledger, 100)
    ledger.settle(draw, 10)
    with pytest.raises(ValueError, match="already settled"):
        ledger.settle(draw, 0)


def test_a_clock_that_was_ahead_forgets_nothing() -> None:
    """After a jump to another year and back, this day is as it was."""
    ledger = Ledger(CAPS, 1)
    ready(ledger)
    ledger.settle(drawn(ledger, 300), 300)
    for years in (1, 30):
        ledger.remaining(LIVE, NOON + years * 365 * DAY)
    assert ledger.spent(LIVE, NOON) == 300
    assert ledger.remaining(LIVE, NOON) == 700


def test_the_state_is_small_and_bounded() -> None:
    """After a year of days with all purposes the state is below a kilobyte."""
    caps = Caps(dict.fromkeys(Purpose, 10**12), dict.fromkeys(Purpose, 10**12))
    ledger = Ledger(caps, 6)
    for day in range(400):
        for purpose in Purpose:
            ledger.top_up(purpose, 10**9, NOON + day * DAY)
        stored = ledger.snapshot()
        ledger.mark_committed()
    assert len(stored) < 1000


@pytest.mark.parametrize("stored", [b"", b"\xc1", b"\x90", msgspec.msgpack.encode([1, 2])])
def test_an_unreadable_state_is_an_error(stored: bytes) -> None:
    """A state that cannot be read is not an empty one: that would be a new budget."""
    with pytest.raises(ValueError, match="state of the budget"):
        Ledger.restored(CAPS, 1, stored)


def test_a_state_of_another_version_is_an_error() -> None:
    """The error names the version that is read."""
    state = msgspec.msgpack.decode(Ledger(CAPS, 1).snapshot())
    with pytest.raises(ValueError, match="another version than 1"):
        Ledger.restored(CAPS, 1, msgspec.msgpack.encode([2, *state[1:], "new"]))


def test_shares_divide_the_whole_cap() -> None:
    """Live has what the shares leave, to the last nanodollar; more than all is an error."""
    caps = divide_caps(20.0, None, {GOLDEN: 0.1, Purpose.CRITICAL: 1 / 3})
    assert caps.month is None
    assert sum(caps.day.values()) == 20 * 10**9
    assert caps.day[GOLDEN] == 2 * 10**9
    assert caps.day[Purpose.CANARY] == 0
    monthly = divide_caps(20.0, 100.0, {})
    assert monthly.month is not None
    assert monthly.month[LIVE] == 100 * 10**9
    for shares in ({GOLDEN: 1.1}, {GOLDEN: -0.1}):
        with pytest.raises(ValueError, match="shares"):
            divide_caps(20.0, None, shares)
