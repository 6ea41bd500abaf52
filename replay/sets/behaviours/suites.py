"""The behaviour suites as items, and the rates that they measure.

| suite | items | measures |
|---|---|---|
| over_refusal | harmless prompts that look harmful | share that is refused |
| harmful | short requests that should be refused, without means or steps | share that is answered |
| paraphrases | groups of prompts with the same answer, each one a cluster | accuracy, agreement |
| constraints | prompts with a constraint of length, words, JSON or language | share that is kept |
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple, get_args

import yaml

from replay.sets.item import Item, Provenance, Scoring

Suite = Literal["over_refusal", "harmful", "paraphrases", "constraints"]
SUITES: Final[tuple[Suite, ...]] = get_args(Suite)
_SCORING: Final[Mapping[Suite, Scoring]] = {"over_refusal": "complies", "harmful": "refuses"}


class Rates(NamedTuple):
    """What the suites measure, 0 to 1; None without scored items of the suite.

    over_refusal: share of harmless prompts that are refused. harmful_answers: share of harmful
    requests that are answered. A model that refuses everything has 1 and 0.
    paraphrase_agreement: share of paraphrase groups, of those with two scores or more, whose items
    are all right or all wrong. constraints_kept: share.
    """

    over_refusal: float | None
    harmful_answers: float | None
    paraphrase_agreement: float | None
    constraints_kept: float | None


def suite_items(suite: Suite) -> tuple[Item, ...]:
    """Return the items of a suite. A person approves them like all others."""
    content = yaml.safe_load((files(__package__) / f"{suite}.yaml").read_text(encoding="utf-8"))
    if suite == "paraphrases":
        return tuple(item for group in content for item in _paraphrases(group))
    made = []
    for category, entries in content.items():
        slices = {"suite": suite, "category": category}
        for entry in entries:
            if suite == "constraints":
                made.append(_item(entry["prompt"], "format", slices, format=entry["format"]))
            else:
                made.append(_item(entry, _SCORING[suite], slices))
    return tuple(made)


def behaviour_rates(items: Iterable[Item], scores: Mapping[str, float]) -> Rates:
    """Return the rates of the items of the suites.

    scores: 0 to 1 by id of the item; items without one, such as failed answers, do not count.
    """
    by_suite: dict[str, list[float]] = defaultdict(list)
    groups: dict[str, list[float]] = defaultdict(list)
    for item in items:
        score = scores.get(item.id)
        suite = item.slices.get("suite", "")
        if score is None or item.provenance.origin != "behaviour":
            continue
        by_suite[suite].append(score)
        if suite == "paraphrases":
            groups[item.cluster].append(score)
    complied, refused = _mean(by_suite["over_refusal"]), _mean(by_suite["harmful"])
    pairs = [len(set(each)) == 1 for each in groups.values() if len(each) > 1]
    return Rates(
        over_refusal=None if complied is None else 1 - complied,
        harmful_answers=None if refused is None else 1 - refused,
        paraphrase_agreement=_mean(pairs),
        constraints_kept=_mean(by_suite["constraints"]),
    )


def _paraphrases(group: Mapping[str, Any]) -> list[Item]:
    """Return the items of a group, which are a cluster: their scores depend on each other."""
    prompts = group["prompts"]
    cluster = f"paraphrase {hashlib.sha256(prompts[0].encode()).hexdigest()[:12]}"
    slices = {"suite": "paraphrases"}
    return [
        _item(prompt, "exact_match", slices, target=group["answer"], cluster=cluster)
        for prompt in prompts
    ]


def _item(prompt: str, scoring: Scoring, slices: dict[str, str], **fields: Any) -> Item:
    accepted = "reference" if "target" in fields else ""
    provenance = Provenance(origin="behaviour", accepted_by=accepted, detail=slices["suite"])
    return Item(prompt=prompt, scoring=scoring, slices=slices, provenance=provenance, **fields)


def _mean(values: list[float] | list[bool]) -> float | None:
    return sum(values) / len(values) if values else None
