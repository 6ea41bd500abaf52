"""Names of the features of the source `style`, and how events write them."""

from __future__ import annotations

from typing import Final

from monitor.ingest.style.words import GROUPS

ANSWER_PREFIX: Final = "style."
PROMPT_PREFIX: Final = "prompt."


def label(feature: str) -> str:
    """Return the name of a marker in a sentence: words in quotes, the others as they are."""
    name = feature.removeprefix(ANSWER_PREFIX)
    text = name.replace("_", " ")
    return f"'{text}'" if name in GROUPS else text
