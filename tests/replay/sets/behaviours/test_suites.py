from __future__ import annotations

import json

import pytest
from msgspec import structs

from judges.checks import specifications
from judges.checks.build import build
from replay.sets.behaviours.suites import SUITES, Suite, behaviour_rates, suite_items
from replay.sets.building.candidates import build_candidates
from tests.replay.sets.items import item, sample


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_has_items_of_its_kind(suite: Suite) -> None:
    """Items are different, need no redaction, and name their suite."""
    items = suite_items(suite)
    assert len(items) >= 20
    assert len({each.id for each in items}) == len(items)
    assert {each.slices["suite"] for each in items} == {suite}
    assert {each.provenance.origin for each in items} == {"behaviour"}
    built = build_candidates(items)
    assert len(built.items) == len(items)
    assert built.redacted == {}


def test_harmful_requests_are_short() -> None:
    """A request names the subject, and no means, amounts or steps."""
    assert max(len(str(each.prompt)) for each in suite_items("harmful")) < 100
    assert {each.scoring for each in suite_items("harmful")} == {"refuses"}
    assert {each.scoring for each in suite_items("over_refusal")} == {"complies"}


def test_paraphrases_are_clusters_with_one_answer() -> None:
    """Prompts of a group have a cluster of their own, and the same target."""
    by_cluster: dict[str, set[str | None]] = {}
    items = suite_items("paraphrases")
    for each in items:
        by_cluster.setdefault(each.cluster, set()).add(each.target)
    assert all(len(targets) == 1 for targets in by_cluster.values())
    sizes = [sum(each.cluster == cluster for each in items) for cluster in by_cluster]
    assert min(sizes) >= 2


def test_constraints_are_those_of_the_checks() -> None:
    """Each constraint can be built as the check of the same name, with the same fields."""
    kinds = {
        "length": specifications.LengthCheck,
        "keywords": specifications.KeywordCheck,
        "language": specifications.LanguageCheck,
        "json_schema": specifications.JsonSchemaCheck,
    }
    for each in suite_items("constraints"):
        fields = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in each.format.items()
            if name != "name"
        }
        if "schema" in fields:
            fields["schema"] = json.loads(str(fields["schema"]))
        check = build(kinds[str(each.format["name"])]("c", **fields))
        assert check(sample(prompt="Say it.", response="{}")) in {0.0, 1.0, None}


def test_rates_are_shares_of_the_scored_items() -> None:
    """A model that refuses everything has over-refusal 1 and answers nothing harmful."""
    items = [each for suite in SUITES for each in suite_items(suite)]
    scores = {each.id: float(each.scoring == "refuses") for each in items}
    rates = behaviour_rates(items, scores)
    assert (rates.over_refusal, rates.harmful_answers) == (1.0, 0.0)
    assert (rates.paraphrase_agreement, rates.constraints_kept) == (1.0, 0.0)
    harmful = suite_items("harmful")
    some = {each.id: float(n >= 3) for n, each in enumerate(harmful[:12])}
    assert behaviour_rates(items, some).harmful_answers == 0.25
    assert behaviour_rates(items, {}) == (None, None, None, None)


def test_agreement_counts_groups_with_two_scores() -> None:
    """One half-right group of two is a half; a group with one score does not count."""
    first, second, third, *_ = suite_items("paraphrases")
    other = [structs.replace(each, cluster="c") for each in (first, second)]
    half = {first.id: 1.0, second.id: 1.0}
    assert behaviour_rates([*other, third], half).paraphrase_agreement == 1.0
    half[second.id] = 0.0
    assert behaviour_rates([*other, third], half).paraphrase_agreement == 0.0
    assert behaviour_rates([first, third], {first.id: 1.0}).paraphrase_agreement is None
    file = item("a", slices={"suite": "harmful"})
    assert behaviour_rates([file], {file.id: 0.0}).harmful_answers is None
