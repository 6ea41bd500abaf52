"""Maximum-likelihood estimate of the stride at which a change began."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats


def change_point(counts: Floats, expected: Floats) -> int:
    """Return the number of strides before the change, 0 to K - 1.

    The model: strides before the change follow the shares of the reference, all later ones follow
    the shares estimated from them.

    counts: records by stride and bin, shape (K, B). expected: records of the reference by bin,
    shape (B,).
    """
    later = counts[::-1].cumsum(axis=0)[::-1]
    shares = np.maximum(expected, 0.5) / np.maximum(expected, 0.5).sum()
    own = later / np.maximum(later.sum(axis=1, keepdims=True), 1.0)
    gain = np.vecdot(later, np.log(np.where(later > 0, own / shares, 1.0)))
    return int(gain.argmax())
