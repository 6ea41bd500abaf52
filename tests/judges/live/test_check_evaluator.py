"""Checks as evaluators: a value for each sample to which they apply, and no cost."""

from __future__ import annotations

import asyncio

import pytest

from judges.budget.prices import Prices
from judges.calls import Call, CallFailed
from judges.checks.specifications import JsonSchemaCheck, LengthCheck, TrapCheck
from judges.live.check_evaluator import CheckEvaluator, NoClient
from tests.judges.samples import sample


def test_a_check_is_a_binary_feature() -> None:
    """1 passes, 0 does not; the inclusion is that of the sample."""
    short = CheckEvaluator(LengthCheck("short", max_chars=30))
    for response, value in (("brief", 1.0), ("x" * 31, 0.0)):
        found = asyncio.run(short.evaluate(sample(response=response), NoClient()))
        assert (found.name, found.score, found.passed) == ("check.short", value, value == 1)
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
