"""Items from sampled traffic: accepted answers, references, and answers that users disliked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from monitor.records import ChatMessage, Sample
from replay.sets.item import Item, Provenance, Scoring
from replay.sets.sources.opinions import Opinions

EXACT_WORDS: Final = 3
"""Words up to which a target is compared exactly; the answer of a longer one, by its words."""
_NEEDED: Final = frozenset({"prompt", "contexts", "reference"})
"""Fields of a sample whose texts must be whole."""
_BUCKETS: Final = ((500.0, "to 500"), (2_000.0, "to 2,000"), (8_000.0, "to 8,000"))
"""Input tokens up to a number, and the name of the slice."""
_CHARS_PER_TOKEN: Final = 4.0


@dataclass(frozen=True, slots=True)
class SampleRules:
    """How samples become items.

    window: part of the traffic that the samples are of.
    scoring: of items with a target; None chooses by its length, see `scoring_of`.
    feedback_below: feedback below it is negative.
    slices: keys of the metadata by dimension, such as {"topic": "intent"}.
    language: returns the language of a text, or None; None if unknown.
    open_items: whether prompts without an accepted answer become items that a judge scores.
    """

    window: Literal["", "reference", "drifted"] = ""
    scoring: Scoring | None = None
    feedback_below: float = 0.0
    slices: Mapping[str, str] = field(default_factory=dict)
    language: Callable[[str], str | None] | None = None
    open_items: bool = False


def items_of_samples(
    samples: Iterable[Sample],
    opinions: Opinions,
    rules: SampleRules,
    skipped: Counter[str] | None = None,
) -> Iterator[Item]:
    """Yield an item for each sample whose answer is known.

    The target is the reference of the sample, or its response if people or judges accepted it. An
    answer that was disliked becomes an item of origin `disliked`: with its reference, or without a
    target and scored by a judge. All others are counted in `skipped`, by reason.
    """
    counts = Counter[str]() if skipped is None else skipped
    for sample in samples:
        reason = _unusable(sample)
        if reason:
            counts[reason] += 1
            continue
        found = _item(sample, opinions, rules)
        if found is None:
            counts["not_accepted"] += 1
        else:
            yield found


def scoring_of(target: str) -> Scoring:
    """Return the scoring of a target: exact up to three words, else the F1 of words."""
    return "exact_match" if len(target.split()) <= EXACT_WORDS else "token_f1"


def _unusable(sample: Sample) -> str:
    """Return why a sample cannot become an item, or ""."""
    if not sample.prompt or not _text(sample).strip():
        return "no_prompt"
    if _NEEDED & set(sample.cut):
        return "cut"
    return ""


def _item(sample: Sample, opinions: Opinions, rules: SampleRules) -> Item | None:
    disliked = opinions.disliked_by(sample, rules.feedback_below)
    target, accepted = _target(sample, opinions, disliked)
    if target is None and not disliked and not rules.open_items:
        return None
    scoring: Scoring = "judge"
    if target is not None:
        scoring = rules.scoring or scoring_of(target)
    prompt = sample.prompt or ""
    return Item(
        prompt=prompt if isinstance(prompt, str) else tuple(prompt),
        scoring=scoring,
        target=target,
        contexts=tuple(sample.contexts or ()),
        slices=_slices(sample, rules),
        cluster=_cluster(sample),
        provenance=Provenance(
            origin="disliked" if disliked else "sample",
            request_id=sample.request_id,
            model=sample.model,
            time=sample.timestamp,
            window=rules.window,
            accepted_by=accepted,
            detail=f"disliked by {disliked}" if disliked else "",
        ),
    )


def _target(sample: Sample, opinions: Opinions, disliked: str) -> tuple[str | None, str]:
    """Return the expected response, None if there is none, and who accepted it."""
    if sample.reference and sample.reference.strip():
        return sample.reference, "reference"
    complete = sample.error is None and sample.finish_reason != "length"
    if disliked or not complete or "response" in sample.cut:
        return None, ""
    accepted = opinions.accepted_by(sample)
    if accepted and sample.response and sample.response.strip():
        return sample.response, accepted
    return None, ""


def _slices(sample: Sample, rules: SampleRules) -> dict[str, str]:
    """Return the values of a sample by dimension: metadata, length, language."""
    metadata = sample.metadata or {}
    found = {
        dimension: str(metadata[key])[:100]
        for dimension, key in rules.slices.items()
        if key in metadata
    }
    found["context_length"] = context_length(sample)
    language = rules.language(_text(sample)) if rules.language else None
    if language:
        found["language"] = language
    return found


def context_length(sample: Sample) -> str:
    """Return the slice of a sample by its input tokens, by its characters if they are unknown."""
    tokens = sample.input_tokens
    if tokens is None:
        contexts = sum(map(len, sample.contexts or ()))
        tokens = (len(_text(sample)) + contexts) / _CHARS_PER_TOKEN
    return next((name for limit, name in _BUCKETS if tokens <= limit), "above 8,000")


def _cluster(sample: Sample) -> str:
    """Return the cluster of a session: its prompts depend on each other. It is a hash."""
    if not sample.session_id:
        return ""
    encoded = sample.session_id.encode("utf-8", "surrogatepass")
    return f"session {hashlib.sha256(encoded).hexdigest()[:12]}"


def _text(sample: Sample) -> str:
    """Return the text of the prompt; of chat messages, what the users wrote."""
    if isinstance(sample.prompt, list):
        return "\n".join(each.content for each in sample.prompt if _is_user(each))
    return sample.prompt or ""


def _is_user(message: ChatMessage) -> bool:
    return message.role == "user"
