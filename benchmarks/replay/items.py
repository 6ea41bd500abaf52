"""Simulated drops of items: the baseline's score less the candidate's, with a known mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

Floats = NDArray[np.float64]
Kind = Literal["binary", "shrunk", "failing", "clusters"]

_A, _B = 5.0, 2.0
"""Parameters of the Beta distribution of graded scores."""
_MEAN: Final = _A / (_A + _B)
_NORMAL: Final[Floats] = np.linspace(-6, 6, 4_001)
_SCORES: Final[Floats] = beta.ppf(norm.cdf(_NORMAL), _A, _B)
CLUSTER: Final = 4
"""Items of a cluster."""
_SWING: Final = 0.3
"""Standard deviation of what the items of a cluster have in common, before it is cut off."""


@dataclass(frozen=True, slots=True)
class Population:
    """What items are drawn from.

    kind: `binary`: right or wrong, with the correlation of the two answers, or the highest that is
    possible. Graded scores have a Beta distribution with the mean .71; `correlation` is that of the
    normal variables behind them. `shrunk`: every answer of the candidate loses a part. `failing`:
    some lose everything. `clusters`: graded, clusters of four items with a common change.
    accuracy: of the baseline, of binary items.
    """

    kind: Kind
    drop: float
    correlation: float
    accuracy: float = 0.8

    def draw(self, shape: tuple[int, int], generator: np.random.Generator) -> Floats:
        """Return the drops of independent units, shape (runs, units)."""
        if self.kind == "binary":
            gained, lost = self.cells()
            uniform = generator.random(shape)
            found: Floats = 1.0 * (uniform < lost) - 1.0 * (uniform >= 1 - gained)
            return found
        if self.kind == "clusters":
            return self._clusters(shape, generator)
        first = generator.standard_normal(shape)
        rest = sqrt(1 - self.correlation**2) * generator.standard_normal(shape)
        before, after = _score(first), _score(self.correlation * first + rest)
        share = self.drop / _MEAN
        if self.kind == "failing":
            after = np.where(generator.random(shape) < share, 0.0, after)
        else:
            after = after * (1 - share)
        graded: Floats = before - after
        return graded

    def cells(self) -> tuple[float, float]:
        """Return the probabilities that a binary item is gained, and lost."""
        before, after = self.accuracy, self.accuracy - self.drop
        both = before * after
        both += self.correlation * sqrt(before * (1 - before) * after * (1 - after))
        both = min(both, before, after)
        return after - both, before - both

    def _clusters(self, shape: tuple[int, int], generator: np.random.Generator) -> Floats:
        """Return mean drops of clusters: their common change, and the items' own."""
        common = generator.normal(0, _SWING, shape)
        own = generator.normal(0, _SWING, (*shape, CLUSTER)).mean(axis=-1)
        room = 1 - self.drop
        found: Floats = self.drop + np.clip(common + own, -room, room)
        return found


def _score(normal: Floats) -> Floats:
    """Return the graded score of a normal value."""
    found: Floats = np.interp(normal, _NORMAL, _SCORES)
    return found
