"""What judges cost stays within its caps, and what they said is kept once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from replay.store import Store
from replay.store.costs import judging
from replay.store.costs.judging import JudgeCaps, JudgeScore, Reservation
from tests.replay.store.runs import claimed, finish

DAY = 86_400.0
MIDNIGHT = 1_796_083_200.0  # 2026-12-01
CAPS = JudgeCaps(100, 150)


def reserve(store: Store, amount: int, at: float, caps: JudgeCaps = CAPS) -> Reservation | None:
    """Reserve in a transaction of its own."""
    with store.write() as connection:
        return judging.reserve(connection, amount, caps, at)


def spent(store: Store, at: float) -> tuple[int, int]:
    """Return what was spent on the day and in the month of a time."""
    with store.read() as connection:
        return judging.spent(connection, at)


def test_a_day_and_a_month_have_caps(store: Store) -> None:
    """What is not covered changes nothing, and what a call has not used is given back."""
    first = reserve(store, 90, MIDNIGHT)
    assert first is not None
    assert reserve(store, 11, MIDNIGHT) is None
    assert spent(store, MIDNIGHT) == (90, 90)
    with store.write() as connection:
        judging.settle(connection, first, 30)
    assert spent(store, MIDNIGHT) == (30, 30)
    assert reserve(store, 70, MIDNIGHT) is not None
    assert reserve(store, 51, MIDNIGHT + DAY) is None, "the month has 150"
    assert reserve(store, 50, MIDNIGHT + DAY) is not None
    assert spent(store, MIDNIGHT + DAY) == (50, 150)
    assert reserve(store, 100, MIDNIGHT + 40 * DAY) is not None, "another month"


def test_a_call_belongs_to_the_day_on_which_it_was_paid(store: Store) -> None:
    """Its cost is settled there, also after midnight."""
    money = reserve(store, 80, MIDNIGHT - 1)
    assert money is not None
    assert spent(store, MIDNIGHT) == (0, 0)
    with store.write() as connection:
        judging.settle(connection, money, 20)
    assert spent(store, MIDNIGHT - 1) == (20, 20)
    assert spent(store, MIDNIGHT) == (0, 0)


@pytest.mark.parametrize("caps", [JudgeCaps(1_000, None), JudgeCaps(5_000, 1_000)])
def test_many_workers_never_pass_a_cap(store: Store, caps: JudgeCaps) -> None:
    """Those that reserve at the same time cannot both use the last of it."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: reserve(store, 70, MIDNIGHT, caps), range(40)))
    assert sum(each is not None for each in found) == 14
    assert spent(store, MIDNIGHT) == (980, 980)


def test_a_result_is_kept_once_and_belongs_to_the_run_that_paid(store: Store) -> None:
    """Another run with the same answer pays nothing, and the first result stays."""
    leases = claimed(store, "a"), claimed(store, "b")
    scores = {"k1": JudgeScore(0.8, "", 700), "k2": JudgeScore(None, "refusal", 500)}
    with store.write() as connection:
        judging.keep(connection, leases[0].run, scores, 1.0)
        judging.keep(connection, leases[1].run, {"k1": JudgeScore(0.2, "", 900)}, 2.0)
    with store.read() as connection:
        assert judging.find(connection, ["k1", "k2", "k3"]) == scores
        assert len(judging.find(connection, [f"k{n}" for n in range(40_000)])) == 2
    assert finish(store, leases[0]).cost_usd == pytest.approx(1_200e-9)
    assert finish(store, leases[1]).cost_usd == 0.0
