"""Checks as evaluators: a value for each sample to which they apply, and no cost."""

from __future__ import annotations

import asyncio

import pytest

from judges.budget.prices import Prices
from judges.calls import Call, CallFailed
from judges.checks.specifications import JsonSchemaCheck, LengthCheck, ParaphraseCheck, TrapCheck
from judges.live.check_evaluator import CheckEvaluator, NoClient
from monitor.records import Inclusion, Sample
from tests.judges.samples import sample


def test_a_check_is_a_binary_feature() -> None:
    """1 passes, 0 does not; the inclusion is that of the sample."""
    short = CheckEvaluator(LengthCheck("short", max_chars=30))
    for response, value in (("brief", 1.0), ("x" * 31, 0.0)):
        found = asyncio.run(short.evaluate(sample(response=response), NoClient()))
        assert (found.name, found.score, found.passed) == ("check.short", value, value == 1)
        assert found.pass_mark == 1
        assert (found.uniform, found.probability, found.cost_usd) == (True, 0.01, 0)
    assert short.worst_case(sample(), Prices({})) == 0


def test_samples_without_a_value_are_no_results() -> None:
    """A prompt that is no trap is not counted as unscored."""
    trap = CheckEvaluator(TrapCheck("trap", ("Zorblax",)))
    assert not trap.applies(sample())
    assert trap.applies(sample(prompt="What does a Zorblax cost?"))
    found = asyncio.run(trap.evaluate(sample(), NoClient()))
    assert (found.score, found.passed, found.unscored) == (None, None, "not_applicable")


def test_the_version_follows_from_the_specification() -> None:
    """A changed limit or schema is another version; the order of keys is not."""
    versions = {
        CheckEvaluator(each).version
        for each in (
            LengthCheck("a", max_chars=30),
            LengthCheck("a", max_chars=31),
            JsonSchemaCheck("a", {"type": "object", "required": ["b"]}),
        )
    }
    assert len(versions) == 3
    same = JsonSchemaCheck("a", {"required": ["b"], "type": "object"})
    assert CheckEvaluator(same).version in versions


def test_what_cannot_work_is_an_error_at_once() -> None:
    """Not only with the first sample."""
    with pytest.raises(ValueError, match="needs a limit"):
        CheckEvaluator(LengthCheck("a"))


def test_no_client_answers_nothing() -> None:
    """A call is a failure that is not retried."""
    with pytest.raises(CallFailed) as caught:
        asyncio.run(NoClient().ask(Call("m", "i", "d", {}, 1)))
    assert caught.value.fatal
    asyncio.run(NoClient().close())


def test_the_second_response_of_a_pair_has_the_agreement() -> None:
    """However often a sample is asked for; the first response, and single ones, have no value."""
    evaluator = CheckEvaluator(ParaphraseCheck("p", "pair"))

    def pair(request_id: str, response: str, group: str) -> Sample:
        inclusion = Inclusion(True, 1.0)
        return Sample(request_id, 1.0, "m", inclusion, response=response, metadata={"pair": group})

    first, second = pair("a", "Yes, 12 days.", "g1"), pair("b", "No, 12 days.", "g1")
    other, same = pair("c", "Twelve days long.", "g2"), pair("d", "Twelve days long.", "g2")
    for _ in range(3):
        assert not evaluator.applies(first)
        assert evaluator.applies(second)
        assert not evaluator.applies(other)
        assert evaluator.applies(same)
    found = {
        each.request_id: asyncio.run(evaluator.evaluate(each, NoClient()))
        for each in (first, second, other, same)
    }
    assert [found[name].score for name in "abcd"] == [None, 0.0, None, 1.0]
    assert [found[name].passed for name in "bd"] == [False, True]
    assert found["a"].unscored == "not_applicable"
