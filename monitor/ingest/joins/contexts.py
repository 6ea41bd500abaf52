"""Distinct contexts of keys, by code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.joins.messages import Context

MAX_CONTEXTS: Final = 100_000
"""Contexts that are told apart; later ones lose the values of their segment keys."""


class Contexts:
    """Codes of contexts, in the order in which they first occur."""

    def __init__(self) -> None:
        self._codes: dict[Context, int] = {}
        self._contexts: list[Context] = []

    def codes(self, contexts: Iterable[Context]) -> NDArray[np.uint32]:
        """Return the codes of contexts, shape (n,); new ones get the next codes."""
        return np.array([self._code(context) for context in contexts], np.uint32)

    def _code(self, context: Context) -> int:
        code = self._codes.get(context)
        if code is None and len(self._contexts) >= MAX_CONTEXTS:
            context = Context(context.model, (), context.arms)
            code = self._codes.get(context)
        if code is None:
            code = self._codes[context] = len(self._contexts)
            self._contexts.append(context)
        return code

    def of(self, codes: NDArray[np.uint32]) -> Sequence[Context]:
        """Return the contexts of codes."""
        return [self._contexts[code] for code in codes.tolist()]
