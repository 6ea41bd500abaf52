"""When a sequential test decides: the distribution of its stopping time.

The score S has independent normal increments: at information I = effect^2 / V it is N(k I, I) where
the true effect is k times the smallest effect. The density of S among the experiments that have not
been decided is carried from look to look by numerical integration (Armitage, McPherson, Rowe 1969).
The looks are 2 % apart; looking all the time would need 2 % fewer users.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.special import ndtr, ndtri

from detectors.arrays import Floats
from monitor.experiments.sequential import mixture

FIRST: Final = 0.02
LAST: Final = 20.0
"""First and last look, in users of the fixed test."""
LOOKS: Final = 320
NODES: Final = 144
"""Of the Gauss-Legendre integration over S."""
SPREAD: Final = 6.0
"""Standard deviations of S around its mean that are integrated, at most up to the bounds."""


@dataclass(frozen=True, slots=True)
class Factors:
    """Users of sequential tests over those of a fixed test of the same level and power.

    power: users after which the sequential test has decided with the power asked for.
    expected: mean users at its decision; undecided experiments count as 20.
    planned_end: end of an experiment with a sequence of a fifth of alpha and one fixed test of the
    rest, with the same power. planned_end_expected: mean users at its decision.
    """

    power: float
    expected: float
    planned_end: float
    planned_end_expected: float


def fixed_information(alpha: float, power: float) -> float:
    """Return effect^2 / V of a two-sided z-test with this power."""
    return float((ndtri(1 - alpha / 2) + ndtri(power)) ** 2)


@lru_cache(maxsize=64)
def factors(alpha: float, power: float) -> Factors:
    """Return the factors where the true effect is the smallest effect that matters."""
    fixed = fixed_information(alpha, power)
    times = np.geomspace(FIRST, LAST, LOOKS)
    decided, _ = decided_by(times * fixed, alpha, 1.0, np.inf)
    early, final = mixture.planned_alphas(alpha)
    sooner, last = decided_by(times * fixed, early, 1.0, float(ndtri(1 - final / 2)))
    end = float(np.interp(power, np.maximum.accumulate(last), times))
    until = np.minimum(times, end)
    return Factors(
        power=float(np.interp(power, decided, times)),
        expected=_mean(times, decided),
        planned_end=end,
        planned_end_expected=_mean(until, sooner),
    )


def _mean(times: Floats, decided: Floats) -> float:
    """Return the mean stopping time; what is undecided at the end counts as the last time."""
    steps = np.diff(times, prepend=0.0)
    return float((steps * (1 - np.concatenate([[0.0], decided[:-1]]))).sum())


def decided_by(
    information: Floats, alpha: float, drift: float, final_z: float
) -> tuple[Floats, Floats]:
    """Return the share of experiments that are decided up to each look.

    information: of the looks, increasing, shape (L,). alpha: of the sequence. drift: true effect in
    smallest effects. final_z: critical |z| of a fixed test.
    The first array counts the sequence; the second adds, for each look, the experiments that a
    fixed test at this look decides. Both have the shape (L,).
    """
    bounds = np.sqrt(information) * mixture.critical(information, alpha)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    fixed = np.minimum(np.sqrt(information) * final_z, bounds)
    points, density = np.zeros(1), np.ones(1)  # S = 0 before the first look
    before, undecided, within = 0.0, [], []
    for now, bound, inner in zip(information, bounds, fixed, strict=True):
        step = now - before
        mean, deviation = points + drift * step, np.sqrt(step)
        within.append(_between(inner, mean, deviation) @ density)
        low = np.clip(drift * now - SPREAD * np.sqrt(now), -bound, bound)
        high = np.clip(drift * now + SPREAD * np.sqrt(now), -bound, bound)
        points = (low + high) / 2 + (high - low) / 2 * nodes
        kernel = np.exp(-(((points[:, None] - mean) / deviation) ** 2) / 2)
        passed = kernel @ density / (deviation * np.sqrt(2 * np.pi))
        density = passed * weights * (high - low) / 2
        undecided.append(density.sum())
        before = now
    return 1 - np.array(undecided), 1 - np.array(within)


def _between(bound: float, mean: Floats, deviation: float) -> Floats:
    """Return the probabilities of normal values between -bound and bound."""
    inside: Floats = ndtr((bound - mean) / deviation) - ndtr((-bound - mean) / deviation)
    return inside
