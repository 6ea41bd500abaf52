"""Mark answers that cannot be used, so that they are not scored as wrong.

lm-eval turns null content and unreadable responses into an empty text, whose score is 0. Here they
become texts that begin with NUL, which are recognized after scoring. A model that sends such a
text gains nothing by it: an empty answer has the same effect.
"""

from __future__ import annotations

from typing import Final

_MARK: Final = "\x00plumbline:"


def marked(reason: str) -> str:
    """Return the text that stands for an answer which cannot be used."""
    return _MARK + reason


def failure(response: str) -> str:
    """Return why an answer cannot be used: "empty", or the reason of a marked one; else ""."""
    if response.startswith(_MARK):
        return response.removeprefix(_MARK)[:40]
    return "" if response.strip() else "empty"
