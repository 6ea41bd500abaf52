"""The estimate of one metric in one arm against the control, at one look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log, log1p, nan
from typing import Final

import numpy as np

from detectors.arrays import Floats
from monitor.experiments.design import CONTROL, QUANTILES, Metric, Scale
from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.cuped import adjusted
from monitor.experiments.sequential.fieller import relative_effect, relative_interval, z_at
from monitor.experiments.sequential.quantiles import (
    TAU,
    Counts,
    QuantileContrast,
    quantile_contrast,
)
from monitor.experiments.sequential.ratios import Contrast, contrast, effective_users, spread
from monitor.experiments.sums.look import LookData, smallest

FACTORS: Final[Floats] = np.geomspace(1.0, 10_000.0, 465)
"""Multiples of today's information that `decide_factor` searches, in steps of 2 %."""
UNDEFINED: Final = np.errstate(over="ignore", divide="ignore", invalid="ignore")
"""Sums of hostile values may overflow; what cannot be computed is NaN, and no evidence."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An arm against the control, for one metric, at one look.

    arm: index into the variants of the design.
    mean, control_mean: in the unit of the feature; of the scale LOG geometric means, of P50 and P95
    quantiles. With CUPED they are adjusted. NaN without data.
    effect: relative to the absolute control mean; NaN if that is 0.
    lower, upper: confidence sequence of the effect; -inf and inf before the end of the burn-in, and
    where the control mean does not differ from 0.
    ln_e: evidence of a difference. p_value: 1 / E at this look, at most 1; the running minimum is
    the always-valid p-value.
    ln_e_better, ln_e_worse: one-sided, in the direction of the metric. ln_e_worse is "harm" of a
    guardrail. ln_e_safe: evidence that the arm is not worse by the metric's mde or more.
    fixed_p_value: of a fixed two-sided test, valid at one planned look only.
    n_eff: effective users of the smaller arm. requests, control_requests: those with a value.
    information: r = tau^2 / V. variance_ratio: V with CUPED over V without.
    decide_factor: multiple of today's information at which a verdict is expected (a difference, or
    none larger than the mde) if the effect is as today; inf beyond 10,000.
    ready: the burn-in is over. Before, evidence is 0, and the last five figures are NaN or 0.
    """

    metric: str
    arm: int
    mean: float
    control_mean: float
    effect: float
    lower: float = -inf
    upper: float = inf
    ln_e: float = 0.0
    p_value: float = 1.0
    ln_e_better: float = 0.0
    ln_e_worse: float = 0.0
    ln_e_safe: float = 0.0
    fixed_p_value: float = nan
    n_eff: float = 0.0
    requests: float = 0.0
    control_requests: float = 0.0
    information: float = 0.0
    variance_ratio: float = 1.0
    decide_factor: float = nan
    ready: bool = False


@UNDEFINED
def freeze_tau(metric: Metric, data: LookData, arm: int) -> float | None:
    """Return tau of the mixture, or None while the burn-in lasts.

    The caller stores the first value for the whole phase. Until both arms have 100 effective users,
    and the pooled mean is 5 standard errors from 0, there is none. tau is the difference that the
    metric's mde is at the pooled mean; of the scale LOG the logarithm of 1 + mde; of quantiles a
    constant.
    """
    if metric.scale in QUANTILES:
        counts = _counts(metric, data, arm)
        return TAU[metric.scale] if counts is not None and _enough_users(counts) else None
    compared, _ = _contrast(metric, data, arm)
    if compared is None or not compared.n_eff >= mixture.BURN_IN:
        return None
    if metric.scale == Scale.LOG:
        return log1p(metric.mde)
    tau = float(mixture.frozen_tau(compared, metric.mde))
    return tau if isfinite(tau) else None


@UNDEFINED
def estimate(metric: Metric, data: LookData, arm: int, tau: float | None, alpha: float) -> Estimate:
    """Return the estimate of a metric in an arm.

    arm: index of the arm, not the control. tau: from `freeze_tau`, None during the burn-in.
    alpha: level of the confidence sequence and of `decide_factor`.

    Sums of the pre-period in `data.before` reduce the variance (CUPED).
    """
    if arm == CONTROL:
        raise ValueError("the control is not compared with itself")
    if metric.scale in QUANTILES:
        return _of_quantile(metric, data, arm, tau, alpha)
    compared, ratio = _contrast(metric, data, arm)
    if compared is None:
        return Estimate(metric.name, arm, nan, nan, nan)
    logarithm = metric.scale == Scale.LOG
    control, mean = (float(value) for value in compared.ratios)
    requests = data.sums[metric.name].n.sum(axis=-1)
    found = Estimate(
        metric.name,
        arm,
        mean=_exp(mean) if logarithm else mean,
        control_mean=_exp(control) if logarithm else control,
        effect=_expm1(mean - control) if logarithm else float(relative_effect(compared)),
        n_eff=float(compared.n_eff),
        requests=float(requests[arm]),
        control_requests=float(requests[CONTROL]),
        variance_ratio=ratio,
    )
    if logarithm:
        return _tested(found, metric, _log_test(compared), tau, alpha)
    return _tested(found, metric, _OnRatio(compared), tau, alpha)


@dataclass(frozen=True, slots=True)
class _OnRatio:
    """The test of a difference of ratios, with Fieller's interval."""

    compared: Contrast

    @property
    def variance(self) -> float:
        return float(self.compared.variance)

    @property
    def z(self) -> float:
        return float(self.compared.difference) / self.variance**0.5 if self.variance > 0 else nan

    def bounds(self, critical: Floats) -> tuple[Floats, Floats]:
        return relative_interval(self.compared, critical)

    def z_at(self, relative: float) -> float:
        return float(z_at(self.compared, relative))


@dataclass(frozen=True, slots=True)
class _OnLog:
    """The test of a difference of logarithms, whose exponential is the relative effect.

    variance, z: of the test. error: standard error of the difference of the logarithms.
    """

    difference: float
    error: float
    variance: float
    z: float

    def bounds(self, critical: Floats) -> tuple[Floats, Floats]:
        with np.errstate(over="ignore", invalid="ignore"):
            half = critical * self.error
            return np.expm1(self.difference - half), np.expm1(self.difference + half)

    def z_at(self, relative: float) -> float:
        return (self.difference - log1p(relative)) / self.error if relative > -1 else inf


def _of_quantile(
    metric: Metric, data: LookData, arm: int, tau: float | None, alpha: float
) -> Estimate:
    """Return the estimate of a quantile."""
    counts = _counts(metric, data, arm)
    if counts is None:
        return Estimate(metric.name, arm, nan, nan, nan)
    compared = quantile_contrast(counts, QUANTILES[metric.scale], smallest(metric.feature))
    control, value = (float(log_) for log_ in compared.logs)
    requests = counts.sum(axis=(1, 2))
    found = Estimate(
        metric.name,
        arm,
        mean=_exp(value),
        control_mean=_exp(control),
        effect=_expm1(value - control),
        n_eff=float(compared.shares.n_eff),
        requests=float(requests[1]),
        control_requests=float(requests[0]),
    )
    return _tested(found, metric, _log_test_of_quantile(compared), tau, alpha)


def _log_test(compared: Contrast) -> _OnLog:
    """Return the test of a difference of mean logarithms."""
    test = _OnRatio(compared)
    return _OnLog(float(compared.difference), test.variance**0.5, test.variance, test.z)


def _log_test_of_quantile(compared: QuantileContrast) -> _OnLog:
    """Return the test by shares together with the interval on the logarithm."""
    test = _OnRatio(compared.shares)
    return _OnLog(compared.difference, compared.error, test.variance, test.z)


def _tested(
    found: Estimate, metric: Metric, test: _OnRatio | _OnLog, tau: float | None, alpha: float
) -> Estimate:
    """Return the estimate with its evidence, unless the burn-in lasts or V is not positive."""
    usable = isfinite(test.variance) and test.variance > 0
    if tau is None or not found.n_eff >= mixture.BURN_IN or not (usable and isfinite(test.z)):
        return found
    r, z = np.asarray(tau * tau / test.variance), np.asarray(test.z)
    if not np.isfinite(r):
        return found
    sign = 1.0 if metric.direction == "higher" else -1.0
    margin = np.asarray(sign * test.z_at(-sign * metric.mde))
    evidence = float(mixture.ln_e(z, r))
    lower, upper = test.bounds(mixture.critical(r, alpha))
    least = -1.0 if metric.is_share else -inf  # no share is below zero
    return replace(
        found,
        lower=max(float(lower), least),
        upper=float(upper),
        ln_e=evidence,
        p_value=exp(-max(evidence, 0.0)),
        ln_e_better=float(mixture.ln_e_one_sided(sign * z, r)),
        ln_e_worse=float(mixture.ln_e_one_sided(-sign * z, r)),
        ln_e_safe=float(mixture.ln_e_one_sided(margin, r)),
        fixed_p_value=float(mixture.fixed_p_value(z)),
        information=float(r),
        decide_factor=_decide_factor(metric, test, float(r), alpha),
        ready=True,
    )


def _decide_factor(metric: Metric, test: _OnRatio | _OnLog, r: float, alpha: float) -> float:
    """Return the smallest multiple of the information at which there is a verdict."""
    evidence = mixture.ln_e(np.sqrt(FACTORS) * test.z, FACTORS * r)
    lower, upper = test.bounds(mixture.critical(FACTORS * r, alpha) / np.sqrt(FACTORS))
    decided = (evidence >= log(1 / alpha)) | ((lower > -metric.mde) & (upper < metric.mde))
    return float(FACTORS[np.argmax(decided)]) if decided.any() else inf


def _contrast(metric: Metric, data: LookData, arm: int) -> tuple[Contrast | None, float]:
    """Return the contrast of an arm, and the ratio of variances with and without CUPED."""
    sums, before = data.sums.get(metric.name), data.before.get(metric.name)
    if sums is None:
        return None, 1.0
    x, n = sums.x[[CONTROL, arm]], sums.n[[CONTROL, arm]]
    plain = contrast(x, n)
    if before is None:
        return plain, 1.0
    reduced = adjusted(x, n, before.x[[CONTROL, arm]], before.n[[CONTROL, arm]])
    ratio = float(reduced.variance / plain.variance) if plain.variance > 0 else 1.0
    return reduced, ratio


def _counts(metric: Metric, data: LookData, arm: int) -> Counts | None:
    """Return the histograms of the control and an arm, shape (2, K, bins), None without any."""
    counts = data.histograms.get(metric.name)
    return None if counts is None else counts[[CONTROL, arm]]


def _enough_users(counts: Counts) -> bool:
    """Return whether both arms have enough effective users."""
    n = counts.sum(axis=-1).astype(np.float64)
    users = effective_users(n.sum(axis=-1), spread(n))
    return bool((users >= mixture.BURN_IN).all())


def _exp(value: float) -> float:
    """Return the exponential, infinite where it overflows."""
    with np.errstate(over="ignore"):
        return float(np.exp(value))


def _expm1(value: float) -> float:
    """Return exp(value) - 1, infinite where it overflows."""
    with np.errstate(over="ignore"):
        return float(np.expm1(value))
