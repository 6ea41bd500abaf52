"""Users until a sample ratio mismatch is found, and false alarms, at a look every 100 users."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from monitor.experiments.sequential.srm import BLOCK, WARN, ln_e

USERS_PER_LOOK: Final = 100


def measure(
    planned: tuple[float, ...], actual: tuple[float, ...], runs: int, users: int, seed: int
) -> dict[str, Any]:
    """Return the share of runs with a warning within `users`, and the users until it."""
    rng = np.random.default_rng(seed)
    looks = users // USERS_PER_LOOK
    counts = rng.multinomial(USERS_PER_LOOK, actual, (runs, looks)).cumsum(axis=1).astype(float)
    evidence = ln_e(counts, np.array(planned))
    warned = evidence >= -np.log(WARN)
    first = np.where(
        warned.any(axis=1), (warned.argmax(axis=1) + 1) * float(USERS_PER_LOOK), np.inf
    )
    blocked = (evidence >= -np.log(BLOCK)).any(axis=1)
    median, late = np.quantile(first, [0.5, 0.9], method="higher")
    return {
        "planned": "/".join(f"{100 * share:g}" for share in planned),
        "actual": "/".join(f"{100 * share:g}" for share in actual),
        "runs": runs,
        "users": users,
        "warned": float(warned.any(axis=1).mean()),
        "blocked": float(blocked.mean()),
        "median_users": float(median) if np.isfinite(median) else None,
        "percentile_90_users": float(late) if np.isfinite(late) else None,
    }
