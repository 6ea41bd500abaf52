"""Guardrail metrics: a metric that must not get worse by more than its margin."""

from __future__ import annotations

from enum import StrEnum
from math import log


class Safety(StrEnum):
    """What two one-sided sequences say about a guardrail.

    HARM: the metric got worse. SAFE: it did not get worse by the margin or more.
    BOTH: it got worse, by less than the margin.
    """

    HARM = "harm"
    SAFE = "safe"
    BOTH = "both"
    UNKNOWN = "unknown"


def safety(ln_e_harm: float, ln_e_safe: float, alpha: float) -> Safety:
    """Return the state of a guardrail at level alpha.

    ln_e_harm: evidence against "not worse". ln_e_safe: evidence against "worse by the margin". Each
    may be the largest one of all looks.
    """
    enough = log(1 / alpha)
    harm, safe = ln_e_harm >= enough, ln_e_safe >= enough
    if harm and safe:
        return Safety.BOTH
    if harm:
        return Safety.HARM
    return Safety.SAFE if safe else Safety.UNKNOWN
