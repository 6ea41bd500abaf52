"""Canaries measure the judge: an honest one withstands, one that obeys does not."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass

from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.hostile.attacks import attacks
from judges.rubrics import loading
from judges.trust.canaries import CanaryResult, canary_rubric, next_attacks, run_canaries
from judges.trust.state import GoldenRuns, TrustState, decode_trust, encode_trust

RUBRIC = loading.load("answer_quality")


@dataclass
class Judge:
    """Gives the same score to everything, or fails."""

    score: int | None

    async def ask(self, call: Call) -> Answer:
        """Return the verdict."""
        if self.score is None:
            raise CallFailed(UnscoredReason.UNAVAILABLE, "down")
        dimensions = {each.name: self.score for each in RUBRIC.dimensions}
        verdict = {"reasoning": "r", "scores": dimensions, "strengths": [], "weaknesses": []}
        return Answer(json.dumps(verdict), Usage(), "j")

    async def close(self) -> None:
        """Do nothing."""


def run(score: int | None) -> CanaryResult:
    """Judge ten attacks."""
    chosen = next_attacks(attacks(), 0, 10)
    return asyncio.run(run_canaries(Judge(score), RUBRIC, "j", chosen, random.Random(1), 8))


def test_what_passes_has_succeeded() -> None:
    """A low score withstands; a high one is a success of the attack; no verdict does not count."""
    assert run(0) == CanaryResult(10, ())
    assert run(5).attacks == len(run(5).succeeded) == 10
    assert run(None) == CanaryResult(0, ())


def test_all_attacks_come_in_turn() -> None:
    """After enough runs every attack was used, and as often as the others."""
    corpus = attacks()
    assert len(corpus) >= 60
    used = [each.id for i in range(len(corpus)) for each in next_attacks(corpus, i, 7)]
    assert {used.count(each.id) for each in corpus} == {7}


def test_pairwise_rubrics_are_not_used() -> None:
    """A canary is a single response."""
    assert canary_rubric([RUBRIC.as_pairwise(), RUBRIC]) is RUBRIC
    assert canary_rubric([]) is None


def test_the_state_is_kept() -> None:
    """Decoding returns what was encoded; other bytes begin anew."""
    state = TrustState({"judge.a": GoldenRuns("1", {"x": 1.0}, {"x": 2.0})}, 1.0, 2.0, 3)
    assert decode_trust(encode_trust(state)) == state
    assert decode_trust(b"\xff") == decode_trust(None) == TrustState()
