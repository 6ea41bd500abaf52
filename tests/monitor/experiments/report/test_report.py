"""The summary of a report, and the cards as text."""

from __future__ import annotations

import json
from dataclasses import replace

from msgspec.structs import replace as changed

from monitor.experiments.decisions.evaluation import evaluate
from monitor.experiments.report.summary import summary
from monitor.experiments.report.terminal import card_text
from monitor.experiments.report.wording import cautions
from monitor.experiments.sums.look import LookData
from tests.monitor.experiments.decisions.looks import COST, SCORE, Experiment, design, normal, run

PLAN = design(guardrails=(COST,))
DRAW = {SCORE.name: normal((10.0, 11.0)), COST.name: normal((0.3, 0.4), 0.1)}


def test_the_summary_has_the_keys_of_the_report() -> None:
    """It is JSON, with verdicts and metrics of the variants and figures of all arms."""
    *_, last = run(Experiment(PLAN, DRAW), looks=5, users=300)
    found = json.loads(json.dumps(summary(last.result), allow_nan=False))
    required = {"verdicts", "goal", "variants", "metrics", "srm"}
    assert found.keys() == required | {"breached", "in_doubt"}
    assert found["breached"] == {"treatment": [COST.name]}
    assert found["in_doubt"] == []
    assert found["verdicts"] == {"treatment": "better"}
    assert found["goal"] == SCORE.name
    assert found["variants"].keys() == {"control", "treatment"}
    assert found["variants"]["control"].keys() == {"users", "n_eff", "requests"}
    assert found["metrics"].keys() == {SCORE.name, COST.name}
    numbers = found["metrics"][SCORE.name]["treatment"]
    assert numbers.keys() == {"mean", "control_mean", "effect", "lower", "upper", "p_value"}
    assert numbers["lower"] < numbers["effect"] < numbers["upper"]
    assert found["srm"].keys() == {"e_value", "p_value", "status"}
    assert found["srm"]["status"] == "ok"


def test_numbers_that_do_not_exist_are_null() -> None:
    """Before any exposure there are no numbers and no verdict."""
    empty = LookData(time=5.0, first_time=None, users=(0, 0), requests=(0, 0))
    found = summary(evaluate(design(), empty, None).result)
    assert found["verdicts"] == {"treatment": "not_yet"}
    assert set(found["metrics"][SCORE.name]["treatment"].values()) == {None}


def test_a_card_has_verdict_evidence_and_guardrails() -> None:
    """The text names what was decided, since when, and what is breached."""
    *_, last = run(Experiment(PLAN, DRAW), looks=5, users=300)
    text = card_text(last.result)
    assert "treatment: BETTER than control\n" in text
    assert "the verdict stays" in text
    assert "Breached guardrails: cost_usd.capped" in text
    assert "(guardrail)" in text
    assert "Split of users as planned" in text


def test_a_card_without_a_verdict_has_the_reasons_and_the_days() -> None:
    """Not yet is explained: what is missing, effective users, days at today's traffic."""
    draw = {SCORE.name: normal((10.0, 10.1), 6.0)}
    *_, last = run(Experiment(design(), draw), looks=20, users=60)
    text = card_text(last.result)
    assert "NOT YET" in text
    assert "the data do not decide yet" in text
    assert "effective users" in text
    assert "to go at today's traffic" in text


def test_traps_are_named() -> None:
    """Mix, a dominating user, several variants, coverage and weekdays are considered."""
    *_, last = run(Experiment(design(), {SCORE.name: normal((10.0, 10.0))}), looks=5, users=600)
    result = last.result
    assert [text.split(":")[0] for text in cautions(result)] == ["no traffic yet on Wed to Sun"]
    arm = changed(result.arms[1], requests_per_user=2.0, requests=9_000, largest_bucket=0.4)
    compared = changed(result.comparisons[0], share=0.04, control_share=0.08, n=2_000)
    found = " | ".join(
        cautions(
            changed(
                result,
                arms=(result.arms[0], arm),
                comparisons=(compared,),
                in_several_arms=200,
                disagreements=3,
                other_variants=4,
                ignored=("alpha",),
            )
        )
    )
    for part in (
        "200 users (6.7%) were seen in several variants",
        "3 exposures with another variant",
        "4 exposures with a variant that is not declared",
        "one of 1,024 groups of users sends 40%",
        "2.0 requests per user, the control 1.0",
        "4.0% of the requests have score.quality, in the control 8.0%",
        "not before the next phase: alpha",
    ):
        assert part in found, part


def test_one_bucket_with_most_of_a_sum_is_named() -> None:
    """One value of 1e14 among 2,000 hides the mean of all others."""
    experiment = Experiment(design(), {SCORE.name: normal((10.0, 10.0))})
    experiment.sums[SCORE.name].x[1, 7] += 1e14
    result = evaluate(design(), experiment.add(4_000), None).result
    assert result.arms[1].waiting == ("near_zero",)
    text = card_text(result)
    assert "cannot be told from zero" in text
    assert "fewer than 100" not in text
    assert "treatment: one of 1,024 groups of users has 100% of the sum of score.quality" in text
    assert "control: one of 1,024" not in text


def test_a_wrong_split_is_named_once_and_puts_an_earlier_verdict_in_doubt() -> None:
    """The verdict stays, and headline and summary say that it is in doubt."""
    experiment = Experiment(PLAN, DRAW)
    *_, decided = run(experiment, looks=5, users=300)
    experiment.shares = (0.8, 0.2)
    *_, last = run(experiment, looks=5, users=600, state=decided.state)
    text = card_text(last.result)
    assert "treatment: BETTER than control, in doubt: the split of users differs" in text
    assert text.count("Split of users") == 1
    found = summary(last.result)
    assert found["verdicts"] == {"treatment": "better"}
    assert found["in_doubt"] == ["treatment"]


def test_many_users_in_several_variants_are_named_before_the_verdicts() -> None:
    """From a tenth on the variants are not separate groups of users."""
    *_, last = run(Experiment(design(), {SCORE.name: normal((10.0, 10.0))}), looks=1, users=600)
    result = changed(last.result, in_several_arms=300)
    text = card_text(result)
    place = text.index("Caution: 300 users (50.0%) were seen in several variants")
    assert place < text.index("treatment:")
    assert not any("several variants" in each for each in cautions(result))


def test_one_user_is_singular() -> None:
    """Counts and their nouns agree."""
    data = LookData(time=5.0, first_time=1.0, users=(1, 2), requests=(1, 3))
    text = card_text(evaluate(design(), data, None).result)
    assert "Control control: 1 user, 1 request," in text
    assert "2 users, 3 requests" in text


def test_earlier_phases_are_listed() -> None:
    """The verdicts of an archived phase are on the card of the next one."""
    *_, last = run(Experiment(PLAN, DRAW), looks=5, users=300)
    new = evaluate(replace(PLAN, phase="p2"), Experiment(PLAN, DRAW).add(20), last.state)
    assert "Earlier phase until" in card_text(new.result)
    assert "treatment better" in card_text(new.result)
