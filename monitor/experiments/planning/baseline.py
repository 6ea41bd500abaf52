"""Mean and variance of a metric before the experiment, with the user as the unit."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log1p


@dataclass(frozen=True, slots=True)
class Users:
    """How requests are spread over users.

    requests: mean number of requests of a user. dispersion: its standard deviation over its mean;
    1 where the number is exponential, more for few heavy users. correlation: of two requests of one
    user in the value of the metric.
    """

    requests: float = 1.0
    dispersion: float = 0.0
    correlation: float = 0.1

    def __post_init__(self) -> None:
        if not (isfinite(self.requests) and self.requests > 0):
            raise ValueError(f"requests of a user must be a positive number, not {self.requests}")
        if not (isfinite(self.dispersion) and self.dispersion >= 0):
            raise ValueError(f"dispersion must be at least 0, not {self.dispersion}")
        if not 0 <= self.correlation <= 1:
            raise ValueError(f"correlation must be between 0 and 1, not {self.correlation}")

    @property
    def per_effective(self) -> float:
        """Users for each effective user: 1 + dispersion^2."""
        return 1 + self.dispersion**2

    def variance(self, per_request: float) -> float:
        """Return the variance of a ratio over n users, times n.

        per_request: variance of one request. Kish's design effect for clusters of unequal size:
        variance / m * (1 + correlation * (m (1 + dispersion^2) - 1)), m the mean of requests.
        """
        others = max(0.0, self.requests * self.per_effective - 1)
        return per_request / self.requests * (1 + self.correlation * others)


ONE_REQUEST = Users()


@dataclass(frozen=True, slots=True)
class Baseline:
    """A metric today.

    mean: of the metric; of the scale LOG of the logarithm. variance: of the estimated mean over n
    users, times n. rate: the metric is a share, whose variance follows from its mean.
    logarithm: the effect is a ratio of geometric means. users: for the burn-in.
    """

    mean: float
    variance: float
    rate: bool = False
    logarithm: bool = False
    users: Users = ONE_REQUEST

    def difference(self, effect: float) -> float:
        """Return the difference of the means that a relative effect is."""
        return log1p(effect) if self.logarithm else effect * abs(self.mean)

    def variance_of_arm(self, effect: float) -> float:
        """Return the variance in an arm with the effect."""
        if not self.rate:
            return self.variance
        changed = self.mean * (1 + effect)
        return self.variance * changed * (1 - changed) / (self.mean * (1 - self.mean))


def mean_baseline(mean: float, variance: float, users: Users = ONE_REQUEST) -> Baseline:
    """Return the baseline of a mean; `variance` is that of one request."""
    if mean == 0 or not isfinite(mean):
        raise ValueError(f"a relative effect needs a mean that is not 0: {mean}")
    return Baseline(mean, users.variance(_positive(variance)), users=users)


def rate_baseline(rate: float, users: Users = ONE_REQUEST) -> Baseline:
    """Return the baseline of a share of requests."""
    if not 0 < rate < 1:
        raise ValueError(f"a rate must be between 0 and 1, without both, not {rate}")
    return Baseline(rate, users.variance(rate * (1 - rate)), rate=True, users=users)


def ratio_baseline(
    means: tuple[float, float],
    variances: tuple[float, float],
    covariance: float,
    dispersion: float | None = None,
) -> Baseline:
    """Return the baseline of a ratio sum X / sum N, from the sums of single users.

    means, variances: of X and of N over users; covariance: of X and N.
    dispersion: of the requests; by default the standard deviation of N over its mean.

    Delta method: (var X - 2 R cov + R^2 var N) / (mean N)^2, R = mean X / mean N.
    """
    (mean_x, mean_n), (var_x, var_n) = means, variances
    if not mean_n > 0 or mean_x == 0:
        raise ValueError(f"a ratio needs a positive mean of N and a mean of X, not {means}")
    ratio = mean_x / mean_n
    variance = (_positive(var_x) - 2 * ratio * covariance + ratio**2 * var_n) / mean_n**2
    spread = dispersion if dispersion is not None else max(var_n, 0.0) ** 0.5 / mean_n
    return Baseline(ratio, _positive(variance), users=Users(mean_n, spread))


def log_baseline(
    variance_of_log: float, mean_of_log: float = 0.0, users: Users = ONE_REQUEST
) -> Baseline:
    """Return the baseline of a geometric mean; `variance_of_log` is that of one request."""
    variance = users.variance(_positive(variance_of_log))
    return Baseline(mean_of_log, variance, logarithm=True, users=users)


def variance_of_log(mean: float, variance: float) -> float:
    """Return the variance of the logarithm of values that are lognormal with this mean."""
    if not mean > 0:
        raise ValueError(f"a geometric mean needs a positive mean, not {mean}")
    return log1p(_positive(variance) / mean**2)


def _positive(variance: float) -> float:
    """Return a variance, or raise if it is not a positive number."""
    if not (isfinite(variance) and variance > 0):
        raise ValueError(f"a variance must be a positive number, not {variance}")
    return variance
