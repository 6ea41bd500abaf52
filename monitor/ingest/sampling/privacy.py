"""Remove secrets and personal data from samples before they are written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from monitor.ingest.sampling.cut import (
    MARKER,
    change_texts,
    drop_many_parts,
    fair_limit,
    texts,
)
from monitor.records import Sample

Redact = Callable[[str], tuple[str, dict[str, int]]]
"""Returns a text with its secrets replaced, and the number of replaced places by kind."""
Clean = Callable[[Sequence[str]], bool]
"""Returns whether certainly none of some texts contains a secret: most samples contain none."""

READ_TIMES: Final = 4
"""Characters that are read for redaction, in multiples of the size of a sample. The rest would be
cut anyway, and a record of 4 MiB would delay all others."""
TAIL_CHARS: Final = 16_384
"""Characters read beyond that and dropped afterwards: the text may end within a secret, whose first
half no rule recognizes."""
_USER_BYTES: Final = 16
_LEAST_NUMBER: Final = 1_000_000


def redact_sample(
    sample: Sample, redact: Redact, max_bytes: int, clean: Clean | None = None
) -> None:
    """Redact the texts and the labels of a sample, and count what was found in `redacted`.

    max_bytes: size to which the sample will be cut; texts far beyond it are cut here.
    clean: is asked first, for all texts together; it changes the time and nothing else.
    """
    cut = drop_many_parts(sample)
    counts: Counter[str] = Counter()
    limit = READ_TIMES * max_bytes
    given = [text for _, text in texts(sample)]
    lengths = list(map(len, given))
    if sum(lengths) > limit:
        limit = fair_limit(lengths, limit)
    labels = _labels(sample)
    short = sum(lengths) <= limit and max(map(len, labels), default=0) <= limit
    if short and clean is not None and clean(given + labels):
        sample.cut = tuple(sorted(cut))
        return

    def change(field: str, text: str) -> str:
        long = len(text) > limit
        result, found = redact(text[: limit + TAIL_CHARS] if long else text)
        if found:
            counts.update(found)
        if not long:
            return result
        cut.add(field)
        return result[: max(0, len(result) - TAIL_CHARS)] + MARKER

    change_texts(sample, change)
    if not (short and clean is not None and clean(labels)):
        _change_labels(sample, change)
    sample.redacted = dict(counts)
    sample.cut = tuple(sorted(cut))


def _labels(sample: Sample) -> list[str]:
    """Return the short texts of a sample: names and values that a log may fill with anything."""
    found = [message.role for message in sample.prompt] if isinstance(sample.prompt, list) else []
    for key, value in (sample.metadata or {}).items():
        found += (key, value) if isinstance(value, str) else (key, _digits(value))
    for name, variant in (sample.experiments or {}).items():
        found += (name, variant)
    return list(filter(None, (*found, *(sample.scores or ()), sample.finish_reason)))


def _change_labels(sample: Sample, change: Callable[[str, str], str]) -> None:
    """Replace each of `_labels` by `change(field, text)`."""
    if isinstance(sample.prompt, list):
        for message in sample.prompt:
            message.role = change("prompt", message.role)
    if sample.metadata is not None:
        sample.metadata = {
            change("metadata", key): _changed_value(value, change)
            for key, value in sample.metadata.items()
        }
    if sample.experiments is not None:
        sample.experiments = {
            change("experiments", name): change("experiments", variant)
            for name, variant in sample.experiments.items()
        }
    if sample.scores is not None:
        sample.scores = {change("scores", name): score for name, score in sample.scores.items()}
    if sample.finish_reason is not None:
        sample.finish_reason = change("finish_reason", sample.finish_reason)


def _changed_value(value: Any, change: Callable[[str, str], str]) -> Any:
    """Return a value of the metadata; a number only if it is found as it is written."""
    text = value if isinstance(value, str) else _digits(value)
    changed = change("metadata", text)
    return value if changed == text else changed


def _digits(value: object) -> str:
    """Return a whole number with enough digits for a telephone or a card; "" for other values."""
    if isinstance(value, float) and value.is_integer() and abs(value) >= _LEAST_NUMBER:
        return str(int(value))
    return ""


def user_hash(user_id: str, key: str | None) -> str:
    """Return the hash that stands for a user in samples: the same for all samples of the user.

    Without a key, whoever can guess an id can compute its hash.
    """
    secret = b"" if key is None else hashlib.sha256(key.encode()).digest()
    encoded = user_id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, digest_size=_USER_BYTES, key=secret).hexdigest()
