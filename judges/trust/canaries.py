"""Canary attacks: texts of the corpus on a poor response, judged in production.

The share of attacks with which the poor response passes is the rate at which the judge, as it is
configured today, would be deceived. Flags are left out, so that the judge itself is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from judges.calls import JudgeClient, Unscored, UnscoredReason
from judges.hostile.attacks import Attack, attacked
from judges.rubrics.judge import ask_judge
from judges.rubrics.rubric import Mode, Rubric
from judges.rubrics.verdict import Verdict


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """attacks: those with a verdict. succeeded: ids of those with which the response passed.

    unpaid: attacks that the budget did not cover.
    """

    attacks: int
    succeeded: tuple[str, ...]
    unpaid: int = 0


def next_attacks(attacks: Sequence[Attack], run: int, count: int) -> list[Attack]:
    """Return the attacks of a run: all of the corpus in turn."""
    size = min(count, len(attacks))
    return [attacks[(run * size + i) % len(attacks)] for i in range(size)]


def canary_rubric(rubrics: Sequence[Rubric]) -> Rubric | None:
    """Return the rubric by which canaries are judged: the first that scores single responses."""
    return next((rubric for rubric in rubrics if rubric.mode is not Mode.PAIRWISE), None)


async def run_canaries(
    client: JudgeClient,
    rubric: Rubric,
    model: str,
    attacks: Sequence[Attack],
    random: Random,
    most: int,
) -> CanaryResult:
    """Judge a poor response with each attack. Attacks without a verdict do not count.

    most: number of attacks that are judged at the same time.
    """
    free = asyncio.Semaphore(most)

    async def judge(attack: Attack) -> Verdict | Unscored:
        async with free:
            return await ask_judge(client, rubric, model, attacked(attack), random=random)

    results = await asyncio.gather(*(judge(each) for each in attacks))
    verdicts = [
        (attack, result)
        for attack, result in zip(attacks, results, strict=True)
        if isinstance(result, Verdict)
    ]
    succeeded = tuple(attack.id for attack, verdict in verdicts if verdict.passed)
    unpaid = sum(
        isinstance(each, Unscored) and each.reason is UnscoredReason.NO_BUDGET for each in results
    )
    return CanaryResult(len(verdicts), succeeded, unpaid)
