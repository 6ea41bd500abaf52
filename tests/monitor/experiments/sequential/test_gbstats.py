"""Agreement with gbstats. `gbstats_vectors.py` has the command that makes the vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.experiments.design import Metric, Scale
from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.cuped import adjusted
from monitor.experiments.sequential.estimate import estimate
from monitor.experiments.sequential.ratios import Contrast, contrast
from monitor.experiments.sums.look import MetricSums
from tests.monitor.experiments.sequential.traffic import look

VECTORS = json.loads((Path(__file__).parent / "data" / "gbstats.json").read_text())


def check(compared: Contrast, expected: dict[str, Any]) -> None:
    """Compare variance, interval and p-value of the difference of two arms."""
    assert compared.variance == pytest.approx(sum(expected["variances"]), rel=1e-9)
    r = np.array(expected["information"])
    z = compared.difference / np.sqrt(compared.variance)
    assert mixture.p_value(mixture.ln_e(z, r)) == pytest.approx(expected["p_value"], rel=1e-9)
    half = np.sqrt(compared.variance) * mixture.critical(r, expected["alpha"])
    interval = [compared.difference - half, compared.difference + half]
    assert interval == pytest.approx(expected["interval"], rel=1e-9)


@pytest.mark.parametrize("expected", VECTORS["ratios"])
def test_ratios_agree(expected: dict[str, Any]) -> None:
    """Ratio, delta-method variance, confidence sequence and p-value equal those of gbstats."""
    compared = contrast(np.array(expected["x"]), np.array(expected["n"]))
    assert compared.ratios == pytest.approx(expected["means"], rel=1e-9)
    assert compared.variances == pytest.approx(expected["variances"], rel=1e-9)
    check(compared, expected)


@pytest.mark.parametrize("expected", VECTORS["ratios"])
def test_estimates_agree(expected: dict[str, Any]) -> None:
    """The whole estimate of a metric has the p-value and the relative effect of gbstats."""
    metric = Metric("m", "m", Scale.MEAN, "higher", 0.05)
    data = look(sums={"m": MetricSums(np.array(expected["x"]), np.array(expected["n"]))})
    tau = np.sqrt(expected["information"] * sum(expected["variances"]))
    found = estimate(metric, data, 1, tau, expected["alpha"])
    control, arm = expected["means"]
    assert found.ready
    assert found.p_value == pytest.approx(expected["p_value"], rel=1e-9)
    assert found.effect == pytest.approx((arm - control) / abs(control), rel=1e-9)


@pytest.mark.parametrize("expected", VECTORS["cuped"])
def test_cuped_agrees(expected: dict[str, Any]) -> None:
    """Difference and variance after the adjustment equal those of gbstats with the same theta."""
    x, before = np.array(expected["x"]), np.array(expected["before"])
    ones = np.ones_like(x)
    compared = adjusted(x, ones, before, ones)
    control, arm = expected["means"]
    assert compared.difference == pytest.approx(arm - control, rel=1e-9)
    check(compared, expected)
