"""Pacing: a budget that is too small lasts all day, and the estimates stay unbiased."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.budget.pacing import PIECE_SECONDS, PIECES, Pacer, allowed, keeps

MIDNIGHT = datetime(2026, 11, 29, tzinfo=UTC).timestamp()
CAP = 1_000_000
COST = 100


def run_day(pacer: Pacer, start: float, samples: int, offset: int) -> tuple[list[int], list[float]]:
    """Run a day with so many samples a piece; return cumulative spending and factors by piece."""
    spent, spending, factors = 0, [], []
    for piece in range(PIECES):
        now = start + piece * PIECE_SECONDS
        factor = pacer.advance(now, spent, CAP)
        for n in range(samples):
            kept = keeps(f"{offset}-{piece}-{n}", factor)
            kept = kept and spent + COST <= allowed(now, CAP)
            pacer.offer(1, int(kept))
            if kept:
                spent += COST
                pacer.charge(COST)
        spending.append(spent)
        factors.append(factor)
    return spending, factors


def test_a_budget_for_a_third_of_the_samples_lasts_all_day() -> None:
    """Spending is even within an hour, all of the day, and nearly all of the cap is used."""
    spending, factors = run_day(Pacer(), MIDNIGHT, 3 * CAP // COST // PIECES, 0)
    for piece, spent in enumerate(spending):
        assert spent <= CAP * (piece + 4) / PIECES
        assert spent >= 0.8 * CAP * (piece - 4) / PIECES
    assert spending[-1] >= 0.9 * CAP
    assert len(set(factors)) <= 12


def test_a_budget_for_all_samples_lowers_nothing() -> None:
    """With enough money every sample is judged."""
    spending, factors = run_day(Pacer(), MIDNIGHT, CAP // COST // PIECES // 2, 1)
    assert set(factors) == {1.0}
    assert spending[-1] == COST * PIECES * (CAP // COST // PIECES // 2)


def test_the_next_day_begins_with_what_the_last_one_measured() -> None:
    """The first piece of a day is paced already."""
    pacer = Pacer()
    run_day(pacer, MIDNIGHT, 3 * CAP // COST // PIECES, 2)
    assert 0.2 < pacer.advance(MIDNIGHT + 86_400, 0, CAP) <= 1 / 3


def test_the_factor_is_constant_within_a_piece_and_across_a_restart() -> None:
    """A restored pacer has the same factor, also in the next piece."""
    pacer = Pacer()
    run_day(pacer, MIDNIGHT, 200, 3)
    now = MIDNIGHT + 86_400
    factor = pacer.advance(now, 0, CAP)
    restored = Pacer.restored(pacer.snapshot())
    assert restored.advance(now + PIECE_SECONDS - 1, CAP, CAP) == factor
    assert pacer.advance(now + PIECE_SECONDS, CAP // 2, CAP) == restored.advance(
        now + PIECE_SECONDS, CAP // 2, CAP
    )
    assert len(pacer.snapshot()) < 100


def test_a_spent_budget_has_the_least_factor() -> None:
    """The factor stays positive: an inclusion probability of 0 has no inverse."""
    pacer = Pacer()
    run_day(pacer, MIDNIGHT, 200, 4)
    assert 0 < pacer.advance(MIDNIGHT + 86_400, CAP, CAP) < 0.001


def test_what_a_burst_may_spend_is_bounded() -> None:
    """In the first quarter of an hour an hour's part, at the end of the day all of it."""
    assert allowed(MIDNIGHT, 96_000) == 4_000
    assert allowed(MIDNIGHT + 12 * 3600, 96_000) == 52_000
    assert allowed(MIDNIGHT + 86_399, 96_000) == 96_000


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_sample_kept_at_a_factor_is_kept_at_a_higher_one(
    request_id: str, one: float, other: float
) -> None:
    """The kept samples are nested, so a change of the factor draws no new ones."""
    low, high = sorted((one, other))
    assert keeps(request_id, high) or not keeps(request_id, low)


@pytest.mark.parametrize("factor", [0.05, 0.5, 0.84])
def test_the_kept_share_is_the_factor(factor: float) -> None:
    """Within five standard deviations of the binomial distribution."""
    n = 20_000
    kept = sum(keeps(f"request-{k}", factor) for k in range(n))
    assert abs(kept - n * factor) < 5 * (n * factor * (1 - factor)) ** 0.5


def test_weighted_estimates_are_unbiased_although_the_factor_changes() -> None:
    """A total estimated by inverse inclusion probabilities is the true total, within its error."""
    estimate = variance = 0.0
    for n in range(40_000):
        factor = 1.0 if n < 10_000 else 0.25
        value = 1.0 if n < 10_000 else 3.0
        if keeps(f"sample-{n}", factor):
            estimate += value / factor
            variance += (1 - factor) * (value / factor) ** 2
    assert abs(estimate - 100_000) < 5 * variance**0.5


@pytest.mark.parametrize("stored", [b"", b"\x90", msgspec.msgpack.encode([2, 0, 1.0])])
def test_an_unreadable_state_is_an_error(stored: bytes) -> None:
    """The error names what cannot be read."""
    with pytest.raises(ValueError, match="state of pacing"):
        Pacer.restored(stored)
