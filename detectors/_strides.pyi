"""Types of the C extension `_strides.c`."""

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Bools, Floats

def assign_cells(
    values: Floats,
    categories: NDArray[np.uint8],
    cuts: Floats,
    starts: NDArray[np.int64],
    indices: NDArray[np.int64],
    counts: NDArray[np.int32],
    /,
) -> None: ...
def update_cusums(
    log_payoffs: Floats,
    error: Floats,
    number: int,
    largest: float,
    highest: float,
    cusums: Floats,
    since: NDArray[np.int64],
    /,
) -> None: ...
def grow_wealth(payoffs: Floats, largest: Floats, wealth: Floats, /) -> None: ...
def update_sums(
    steps: Floats, thresholds: Floats, sums: Floats, peaks: Floats, found: Bools, /
) -> None: ...
