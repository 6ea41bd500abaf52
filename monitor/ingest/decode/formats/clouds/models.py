"""Bodies of models that write no text: embeddings, images, rankings, tensors of numbers."""

from __future__ import annotations

from typing import Any, Final

from monitor.ingest.decode.bodies.values import member

TENSOR: Final = "tensor"
EMBEDDING: Final = "embedding"
_RESPONSES: Final = {
    "embedding": EMBEDDING,
    "embeddings": EMBEDDING,
    "embeddingsByType": EMBEDDING,
    "images": "image",
    "artifacts": "image",
    "videos": "image",
    "predictions": TENSOR,
}
"""Key of a response -> kind of what is skipped."""
_REQUESTS: Final = {
    "instances": TENSOR,
    "dataframe_split": TENSOR,
    "dataframe_records": TENSOR,
}
"""Key of a request -> kind of what is skipped."""


def kind_without_text(request: Any, response: Any) -> str | None:
    """Return the kind of a call that is no inference of a language model; None if it may be one."""
    if isinstance(response, dict):
        if "choices" in response:
            return None
        items = response.get("data")
        if member(items, 0, "object") == EMBEDDING or member(items, 0, EMBEDDING) is not None:
            return EMBEDDING
        first = member(response, "results", 0)
        if isinstance(first, dict) and first.keys() & {"relevance_score", "relevanceScore"}:
            return "rerank"
        for key, kind in _RESPONSES.items():
            if key in response:
                return kind
    if isinstance(request, dict):
        for key, kind in _REQUESTS.items():
            if key in request:
                return kind
    return None
