"""Check that both ways to decode a batch, shortened or whole, give the same result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.decode.native import NativeDecoder
from monitor.ingest.decode.shorten import SCANNER_BUILT
from monitor.ingest.features import FeatureExtractor

METADATA = {"route": "categorical", "n": "numeric"}
SHORTENING = (False, True) if SCANNER_BUILT else (False,)
DECODERS = {
    metadata: [NativeDecoder(metadata, shortening=each) for each in SHORTENING]
    for metadata in (False, True)
}


def require_scanner() -> None:
    """Skip a test if the scanner is not built. With CI=true, fail instead."""
    if not SCANNER_BUILT:
        if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
            pytest.fail("monitor.ingest.decode._scan is not built: see the output of `make setup`")
        pytest.skip("monitor.ingest.decode._scan is not built: is there a C compiler?")


def outcome(decoded: Decoded, metadata: bool) -> dict[str, Any]:
    """Return the complete result of a batch: features bit for bit, and rejected messages."""
    watched = METADATA if metadata else {}
    extractor = FeatureExtractor(watched, models=5, scores=5)
    batch = extractor.batch(decoded.records, decoded.indices, decoded.char_counts)
    return {
        "rejected": [(index, str(error)) for index, error in decoded.rejected],
        "positions": batch.positions.tolist(),
        "models": [batch.models[code] for code in batch.codes],
        "times": batch.times.tobytes(),
        "numeric": batch.numeric,
        "values": batch.values.tobytes(),
        "categories": [(c.name, c.vocabulary, c.codes.tolist()) for c in batch.categories],
        "examples": (batch.examples.indices.tolist(), batch.examples.ids),
        "dropped": extractor.scores_dropped,
    }


def check_alike(payloads: Sequence[bytes]) -> None:
    """Assert that all decoders give the same result, with and without metadata."""
    for metadata, decoders in DECODERS.items():
        first, *others = [outcome(each.many(payloads), metadata) for each in decoders]
        for other in others:
            assert other == first
