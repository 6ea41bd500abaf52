"""Traffic with a sparse score, of which versions before 0.2 wrote a checkpoint."""

from __future__ import annotations

import numpy as np

from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference, WindowsConfig
from monitor.ingest.chunks.columns import Columns

CONFIG = Config(
    windows=WindowsConfig(records=100, stride=20), reference=WarmupReference(records=1_000)
)
CHUNK, SAVED, CHUNKS = 50, 42, 100


def chunks() -> list[Columns]:
    """Return chunks in which latency and score change after 1,500 records, and back after 3,500."""
    n = CHUNK * CHUNKS
    rng, at = np.random.default_rng(7), np.arange(n)
    changed = (at >= 1_500) & (at < 3_500)
    latency = rng.lognormal(6, 0.3, n) * np.where(changed, 3.0, 1.0)
    score = np.where(rng.random(n) < 0.5, rng.normal(np.where(changed, 0.2, 0.8), 0.1), np.nan)
    whole = Columns(
        "m",
        at + 1,
        1.7e9 + at / 10,
        ("latency_ms", "score.taste"),
        (),
        np.stack((latency, score)),
        (),
    )
    return [whole.take(slice(start, start + CHUNK)) for start in range(0, n, CHUNK)]
