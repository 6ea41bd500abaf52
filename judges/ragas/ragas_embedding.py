"""The project's embeddings behind the interface of ragas."""

from __future__ import annotations

from typing import Any

from ragas.embeddings.base import BaseRagasEmbedding

from judges.ragas.embedding import Embedder, embed_in_thread


class SampleEmbedding(BaseRagasEmbedding):
    """The embeddings for one metric of one sample.

    ragas embeds some texts synchronously on the event loop; `prepare` computes them before.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self._embedder = embedder
        self._known: dict[str, list[float]] = {}

    async def prepare(self, *texts: str) -> None:
        """Compute the embeddings of texts in a thread."""
        vectors = await embed_in_thread(self._embedder, texts)
        self._known.update(zip(texts, vectors.tolist(), strict=True))

    def embed_text(self, text: str, **_: Any) -> list[float]:
        """Return the embedding of a text."""
        if text not in self._known:
            self._known[text] = self._embedder.embed([text])[0].tolist()
        return self._known[text]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        """Return the embedding of a text."""
        if text not in self._known:
            await self.prepare(text)
        return self._known[text]
