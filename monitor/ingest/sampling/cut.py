"""Cut the texts of samples that are too large for their topic or for a judge.

All texts of a sample share the size: the longest are cut to one common length, so that a long
prompt does not remove a short answer. A text that is cut ends with `MARKER`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from monitor.ingest.sampling.codec import encode_sample
from monitor.records import Sample

MARKER: Final = "… [cut]"
MAX_PARTS: Final = 1_000
"""Messages of a prompt, and contexts, beyond this number are removed: the oldest messages, and the
last contexts."""
LABELS: Final = ("metadata", "scores", "experiments")
"""Fields that are removed whole, in this order, if they take more than half of the size."""

_encode: Final = msgspec.json.Encoder().encode
_TEXTS: Final = ("response", "reference", "error", "session_id")
_CUT_BYTES: Final = 200
"""Size of the field `cut`, with a margin."""
_MARKER_BYTES: Final = len(MARKER.encode())


class TooLargeError(Exception):
    """A sample is too large even without its texts."""


def fit(sample: Sample, max_bytes: int) -> bytes:
    """Cut a sample so that its JSON has at most `max_bytes`; return the JSON.

    The fields that were cut are added to `cut`. Raises TooLargeError if the rest is larger than
    that.
    """
    value = encode_sample(sample)
    if len(value) <= max_bytes:
        return value
    cut = {*sample.cut, *drop_many_parts(sample), *_drop_labels(sample, max_bytes // 2)}
    sizes = [_size(text) for _, text in texts(sample)]
    limit = fair_limit(sizes, max_bytes - _size_without_texts(sample) - _CUT_BYTES)

    def shorten(field: str, text: str) -> str:
        if _size(text) <= limit:
            return text
        cut.add(field)
        return _prefix(text, limit - _MARKER_BYTES) + MARKER if limit > _MARKER_BYTES else ""

    change_texts(sample, shorten)
    sample.cut = tuple(sorted(cut))
    value = encode_sample(sample)
    if len(value) > max_bytes:
        raise TooLargeError
    return value


def texts(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yield the field and the content of each text of a sample."""
    if isinstance(sample.prompt, str):
        yield "prompt", sample.prompt
    for message in sample.prompt if isinstance(sample.prompt, list) else ():
        yield "prompt", message.content
    for context in sample.contexts or ():
        yield "contexts", context
    for name in _TEXTS:
        if (text := getattr(sample, name)) is not None:
            yield name, text


def change_texts(sample: Sample, change: Callable[[str, str], str]) -> None:
    """Replace each text by `change(field, text)`, in the order of `texts`."""
    if isinstance(sample.prompt, list):
        for message in sample.prompt:
            message.content = change("prompt", message.content)
    elif sample.prompt is not None:
        sample.prompt = change("prompt", sample.prompt)
    if sample.contexts is not None:
        sample.contexts = [change("contexts", each) for each in sample.contexts]
    for name in _TEXTS:
        if (text := getattr(sample, name)) is not None:
            setattr(sample, name, change(name, text))


def drop_many_parts(sample: Sample) -> set[str]:
    """Keep at most MAX_PARTS messages and contexts; return the fields that had more."""
    cut = set()
    if isinstance(sample.prompt, list) and len(sample.prompt) > MAX_PARTS:
        sample.prompt = sample.prompt[-MAX_PARTS:]
        cut.add("prompt")
    if sample.contexts is not None and len(sample.contexts) > MAX_PARTS:
        sample.contexts = sample.contexts[:MAX_PARTS]
        cut.add("contexts")
    return cut


def fair_limit(sizes: Sequence[int], total: int) -> int:
    """Return the largest limit such that sizes cut to it have at most this total, or 0."""
    left = total
    ascending = sorted(sizes)
    for index, size in enumerate(ascending):
        share = left // (len(ascending) - index)
        if size > share:
            return max(0, share)
        left -= size
    return max(ascending, default=0)


def _drop_labels(sample: Sample, max_bytes: int) -> set[str]:
    """Remove LABELS until the sample without texts fits; return the fields removed."""
    removed = set()
    for name in LABELS:
        if _size_without_texts(sample) <= max_bytes:
            break
        if getattr(sample, name) is not None:
            setattr(sample, name, None)
            removed.add(name)
    return removed


def _size_without_texts(sample: Sample) -> int:
    return len(encode_sample(sample)) - sum(_size(text) for _, text in texts(sample))


def _size(text: str) -> int:
    """Return the size of a text in JSON, in bytes, without its quotes."""
    return len(_encode(text)) - 2


def _prefix(text: str, max_bytes: int) -> str:
    """Return the longest beginning of a text that has at most this size in JSON."""
    low, high = 0, min(len(text), max_bytes)
    while low < high:
        middle = (low + high + 1) // 2
        if _size(text[:middle]) <= max_bytes:
            low = middle
        else:
            high = middle - 1
    return text[:low]
