from __future__ import annotations

from math import nan

import numpy as np
import pytest

from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.fieller import z_at
from monitor.experiments.sequential.guardrails import Safety, safety
from monitor.experiments.sequential.ratios import contrast


@pytest.mark.parametrize(
    ("harm", "safe", "state"),
    [
        (0.0, 0.0, Safety.UNKNOWN),
        (3.1, 0.0, Safety.HARM),
        (0.0, 3.1, Safety.SAFE),
        (3.1, 3.1, Safety.BOTH),
        (nan, nan, Safety.UNKNOWN),
    ],
)
def test_states_of_a_guardrail(harm: float, safe: float, state: Safety) -> None:
    """Harm and safe are found from ln 20 = 2.996 on, each for itself."""
    assert safety(harm, safe, 0.05) == state


def shares(effect: float) -> tuple[float, float]:
    """Return how many of 300 experiments find harm and safety at any of 60 looks.

    Higher is better, the margin is 10 %, and the values have the standard deviation of their mean.
    """
    margin, runs, buckets = 0.1, 300, 64
    rng = np.random.default_rng(1)
    n, x = np.zeros((2, runs, 2, buckets))
    tau, harm, safe = np.full(runs, np.nan), np.zeros(runs), np.zeros(runs)
    for _ in range(60):
        new = rng.poisson(3.0, n.shape).astype(float)
        n += new
        x += new * np.array([1.0, 1 + effect])[:, None] + rng.normal(size=n.shape) * np.sqrt(new)
        compared = contrast(x, n)
        tau = np.where(np.isnan(tau), mixture.frozen_tau(compared, margin), tau)
        r = tau**2 / compared.variance
        harm = np.maximum(harm, mixture.ln_e_one_sided(-z_at(compared, 0.0), r))
        safe = np.maximum(safe, mixture.ln_e_one_sided(z_at(compared, -margin), r))
    enough = np.log(20)
    return float((harm >= enough).mean()), float((safe >= enough).mean())


def test_no_effect_is_safe_and_seldom_harm() -> None:
    """Without an effect 95 % are found safe, and at most 5 % harmful, while peeking."""
    harm, safe = shares(0.0)
    assert harm <= 0.05
    assert safe >= 0.95


def test_an_effect_of_the_margin_is_harm_and_seldom_safe() -> None:
    """With an effect of the margin 95 % are found harmful, and at most 5 % safe."""
    harm, safe = shares(-0.1)
    assert harm >= 0.95
    assert safe <= 0.05
