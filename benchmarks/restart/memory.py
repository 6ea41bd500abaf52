"""Memory of one model's watch, by component, measured with tracemalloc."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

from benchmarks.restart.traffic import RATE, WARM_UP, model_records
from detectors.window import Window
from monitor.config.schema import Config
from monitor.detect.reference import builder, sources
from monitor.detect.reference.profile import Profile
from monitor.detect.tracks.strides import StrideBuffer
from monitor.detect.watch import Watch
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE
from monitor.records import Source

SAMPLED_WATCHES = 50


def watch_bytes(rows: Columns) -> dict[str, float]:
    """Return the bytes of one model's watch by component."""
    config = Config()
    windows = config.windows
    accepted = [model_records(rows, 0, 0, WARM_UP)]
    profile = builder.build(
        accepted, segment=WHOLE, window=windows.records, categories=config.limits.categories
    )
    payload = profile.encode()
    newer = [
        model_records(rows, 0, WARM_UP + at, 50) for at in range(0, 2 * windows.records + 50, 50)
    ]

    def watch(own: Profile) -> Watch:
        created = Watch("model", WHOLE, sources.settings(config)[Source.LOG], lambda: RATE)
        created.adopt(own)
        for chunk in newer:
            created.feed(chunk)
        return created

    watch(profile)  # fills the caches that all watches share
    shared = _traced_bytes(lambda: watch(profile))
    own = _traced_bytes(lambda: watch(Profile.decode(payload)))
    baseline = profile.baseline
    window = _traced_bytes(lambda: Window(baseline, windows.records, windows.stride))
    buffer = _traced_bytes(lambda: StrideBuffer(baseline, windows.stride))
    return {
        "window": window,
        "buffer": buffer,
        "detectors_and_rest": shared - window - buffer,
        "watch": shared,
        "reference": own - shared,
        "reference_encoded": len(payload),
    }


def _traced_bytes(create: Callable[[], object]) -> float:
    """Return the bytes that one object retains: the mean of SAMPLED_WATCHES objects."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [create() for _ in range(SAMPLED_WATCHES)]
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        return (after - before) / len(kept)
    finally:
        tracemalloc.stop()
