"""The rules of a gate: from bounds to an outcome.

A check passes if its bound proves it, at alpha. It is regressed if the opposite is proven, at a
share of alpha that is left for each chance of a false "regressed" (`levels`). Otherwise it is
inconclusive.
"""

from __future__ import annotations

import msgspec

from replay.gate.decision.bounds import Estimate
from replay.gate.outcome import Outcome


class Levels(msgspec.Struct, frozen=True):
    """Levels of one check. passing: of its proof; all must pass, so none is corrected.

    failing: of the opposite: alpha divided by the number of checks in all stages (Bonferroni).
    """

    passing: float
    failing: float


def levels(alpha: float, checks: int) -> Levels:
    """Return the levels if any of `checks` checks, over all stages, can fail the gate."""
    return Levels(alpha, alpha / max(checks, 1))


class Bounds(msgspec.Struct, frozen=True):
    """An estimate at both levels. passing, failing: as in `Levels`."""

    passing: Estimate
    failing: Estimate


def at_least(bounds: Bounds, limit: float) -> Outcome:
    """Return whether the value is proven to be at least `limit`."""
    if bounds.passing.lower >= limit:
        return "passed"
    return "regressed" if bounds.failing.upper < limit else "inconclusive"


def at_most(bounds: Bounds, limit: float) -> Outcome:
    """Return whether the value is proven to be at most `limit`."""
    if bounds.passing.upper <= limit:
        return "passed"
    return "regressed" if bounds.failing.lower > limit else "inconclusive"


def not_worse(worsening: Bounds, margin: float) -> tuple[Outcome, tuple[str, ...]]:
    """Return whether a worsening is proven to be below the margin, and flags.

    The rule is that of `replay.verdict`: regressed if a worsening is proven, and not that it stays
    within the margin. Both together are a small drop, which passes.
    """
    if worsening.passing.upper < margin:
        return "passed", (("small_drop",) if worsening.failing.lower > 0 else ())
    return ("regressed" if worsening.failing.lower > 0 else "inconclusive"), ()
