"""Purposes of calls, and what each of them may cost a day and a month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from judges.budget.prices import NANODOLLARS


class Purpose(StrEnum):
    """What a call is for. Each purpose has a share of the budget of its own."""

    LIVE = "live"
    """Uniform samples of the live traffic."""
    CRITICAL = "critical"
    """Critical cases: a reserve that other samples cannot spend."""
    BOOSTED = "boosted"
    """Other samples that were drawn for a reason: they take nothing from the uniform ones."""
    GOLDEN = "golden"
    """The golden set, judged again on a schedule."""
    CANARY = "canary"
    """Canary attacks on the judge."""
    BATCH = "batch"
    """Batches: nightly judging of samples."""
    COMMAND_LINE = "command_line"
    """Commands that a user runs."""
    GENERATION = "generation"
    """Generation of test cases."""
    REPLAY = "replay"
    """Scoring of replayed answers."""


OF_ONE_PARTITION: Final = frozenset({Purpose.GOLDEN, Purpose.CANARY})
"""Purposes that only the owner of samples partition 0 spends; their caps are not divided."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Highest spending by purpose, in nanodollars. month: None if there is no monthly cap.

    The purposes do not borrow from each other, so one that spends too much harms no other, and
    their sum is the whole cap.
    """

    day: Mapping[Purpose, int]
    month: Mapping[Purpose, int] | None = None


def divide_caps(
    usd_per_day: float, usd_per_month: float | None, shares: Mapping[Purpose, float]
) -> Caps:
    """Return the caps of all purposes.

    shares: of the purposes other than `live`, which has the rest. Raises ValueError if a share is
    negative or their sum is more than 1.
    """
    names: list[Purpose] = [purpose for purpose in Purpose if purpose != Purpose.LIVE]
    others = {purpose: shares.get(purpose, 0.0) for purpose in names}
    if min(others.values()) < 0 or sum(others.values()) > 1 + 1e-9:
        raise ValueError("the shares of the budget must not be negative, and at most 1 together")
    month = None if usd_per_month is None else _divide(usd_per_month, others)
    return Caps(_divide(usd_per_day, others), month)


def _divide(dollars: float, shares: Mapping[Purpose, float]) -> dict[Purpose, int]:
    total = int(dollars * NANODOLLARS)
    caps = {purpose: int(total * share) for purpose, share in shares.items()}
    # The rest, so that the sum is exact whatever the rounding.
    return {Purpose.LIVE: max(total - sum(caps.values()), 0), **caps}
