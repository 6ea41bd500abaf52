"""Several metrics and arms at once: the share of false findings stays at alpha."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, log


def goal_alpha(alpha: float, arms: int) -> float:
    """Return the level of the goal metric for each arm: alpha over the arms besides the control.

    arms: number of all arms, at least 2.
    """
    if arms < 2:
        raise ValueError(f"an experiment has at least 2 arms, not {arms}")
    return alpha / (arms - 1)


def e_bh(ln_e: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Return which hypotheses e-BH rejects at the false discovery rate alpha, for any dependence.

    ln_e: current evidence of each (metric, arm). Not its largest so far: the running maximum of an
    e-process is no e-value.

    The k largest are rejected, for the largest k whose kth largest E is at least m / (alpha k)
    (Wang and Ramdas, arXiv 2009.02824). NaN is no evidence.
    """
    count = len(ln_e)
    known = [-inf if isnan(value) else value for value in ln_e]
    ranked = sorted(known, reverse=True)
    rejected = [k for k in range(1, count + 1) if ranked[k - 1] >= log(count / (alpha * k))]
    if not rejected:
        return (False,) * count
    least = ranked[rejected[-1] - 1]
    return tuple(value >= least for value in known)
