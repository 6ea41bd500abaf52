"""Both ways to decode a batch, shortened first or whole, must give the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from monitor.decode.decoded import Decoded
from monitor.decode.native import NativeDecoder
from monitor.decode.shorten import BUILT
from monitor.features import FeatureExtractor

METADATA = {"route": "categorical", "n": "numeric"}
WAYS = (False, True) if BUILT else (False,)
DECODERS = {
    metadata: [NativeDecoder(metadata, shortening=way) for way in WAYS]
    for metadata in (False, True)
}


def require_scanner() -> None:
    """Skip a test where the scanner was not built; in CI that is a failure."""
    if not BUILT:
        if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
            pytest.fail("monitor.decode._scan is not built: see what `make setup` says")
        pytest.skip("monitor.decode._scan is not built: is there a C compiler?")


def outcome(decoded: Decoded, metadata: bool) -> dict[str, Any]:
    """All that comes of a batch: the features to the last bit, and the refusals."""
    watched = METADATA if metadata else {}
    extractor = FeatureExtractor(watched, models=5, scores=5, categories=5)
    batch = extractor.batch(decoded.records, decoded.kept, decoded.counted)
    return {
        "refusals": [(index, str(refused)) for index, refused in decoded.refusals],
        "positions": batch.positions.tolist(),
        "models": [batch.models[code] for code in batch.codes],
        "times": batch.times.tobytes(),
        "numeric": batch.numeric,
        "values": batch.values.tobytes(),
        "categories": [(c.name, c.vocabulary, c.codes.tolist()) for c in batch.categories],
        "examples": (batch.examples.places.tolist(), batch.examples.ids),
        "dropped": extractor.scores_dropped,
    }


def check_alike(payloads: Sequence[bytes]) -> None:
    """Assert that a batch comes out the same, with metadata and without."""
    for metadata, decoders in DECODERS.items():
        first, *others = [outcome(each.many(payloads), metadata) for each in decoders]
        for other in others:
            assert other == first
