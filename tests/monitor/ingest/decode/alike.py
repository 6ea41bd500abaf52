"""Check that both ways to decode a batch, together or one by one, give the same result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from monitor.experiments.exposures.fields import numbers, texts, values_of
from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.kinds import Needed
from monitor.ingest.decode.native.usual import READER_BUILT
from monitor.ingest.features import FeatureExtractor
from monitor.ingest.fields.fields import Coded, Fields
from tests.extensions import require_extension

METADATA = {"route": "categorical", "n": "numeric"}
TOGETHER = (False, True) if READER_BUILT else (False,)
NEEDED = {False: Needed(), True: Needed(watched=tuple(METADATA), units=("team",), optional=True)}
ONLY_UNITS = Needed(units=("team",), optional=True)
DECODERS = [
    (bool(needed.watched), [NativeDecoder(needed, together=each) for each in TOGETHER])
    for needed in (*NEEDED.values(), ONLY_UNITS)
]


def require_reader() -> None:
    """Skip a test if the reader is not built. With CI=true, fail instead."""
    require_extension("_fields.c", built=READER_BUILT)


def outcome(decoded: Decoded, metadata: bool) -> dict[str, Any]:
    """Return the complete result of a batch: features bit for bit, and rejected messages."""
    watched = METADATA if metadata else {}
    extractor = FeatureExtractor(watched, models=5, scores=5)
    batch = extractor.batch(decoded.fields, decoded.indices)
    return {
        "rejected": [(index, str(error)) for index, error in decoded.rejected],
        "positions": batch.positions.tolist(),
        "models": [batch.models[code] for code in batch.codes],
        "times": batch.times.tobytes(),
        "numeric": batch.numeric,
        "values": batch.values.tobytes(),
        "categories": [(c.name, c.vocabulary, c.codes.tolist()) for c in batch.categories],
        "examples": (batch.examples.indices.tolist(), batch.examples.ids),
        "dropped": (extractor.scores_dropped, extractor.dropped.scores.first),
        "ids": list(decoded.fields.ids),
        "metadata": {key: _decoded(names) for key, names in decoded.fields.metadata.items()},
        "optional": _optional(decoded.fields),
    }


def _decoded(names: Coded[bytes]) -> list[Any]:
    """Return the values of a column of JSON, as they are told apart."""
    return [None if raw is None else repr(_any(raw)) for raw in names.values()]


def _any(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _optional(fields: Fields) -> dict[str, Any]:
    """Return what experiments and joins read of the optional fields."""
    if fields.optional is None:
        return {}
    raw = fields.optional.raw
    return {
        "variants": values_of(fields.optional.experiments, "e").values(),
        "feedback": numbers(raw["feedback"]).tobytes(),
        **{name: texts(raw[name]) for name in raw if name != "feedback"},
    }


def check_alike(payloads: Sequence[bytes]) -> None:
    """Assert that all decoders give the same result, with and without metadata."""
    for metadata, decoders in DECODERS:
        first, *others = [outcome(each.many(payloads), metadata) for each in decoders]
        for other in others:
            assert other == first
