"""Compare two responses to the same prompt, in both orders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from judges.calls import JudgeClient, Unscored, UnscoredReason, Usage
from judges.rubrics.judge import (
    MAX_CHARS,
    asked,
    flags_of,
    hostile_unscored,
    unscored_without_call,
)
from judges.rubrics.prompt import is_blank, pair_call
from judges.rubrics.rubric import Mode, Rubric
from judges.rubrics.verdict import Comparison, read_comparison
from monitor.records import Sample


class Winner(StrEnum):
    """Which response is better."""

    SAMPLE = "sample"
    OTHER = "other"
    TIE = "tie"


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """The result of a comparison in both orders.

    consistent: whether both orders preferred the same response; False makes it a tie.
    preferences: of the response of the sample, -1 to 1, when it stood first and second.
    flags: signs in either order that the judged texts influenced the judge, as of a `Verdict`.
    """

    rubric: str
    rubric_hash: str
    model: str
    winner: Winner
    consistent: bool
    preferences: tuple[float, float]
    reasonings: tuple[str, str]
    usage: Usage
    flags: tuple[str, ...] = ()


async def judge_pair(
    client: JudgeClient,
    rubric: Rubric,
    model: str,
    sample: Sample,
    other: str,
    *,
    random: Random,
    max_chars: int = MAX_CHARS,
) -> PairVerdict | Unscored:
    """Compare the response of a sample with another response to the same prompt, in both orders.

    Judges prefer one of the positions: a preference that changes with the order is a tie.
    Raises ValueError if the rubric does not compare pairs.
    """
    if rubric.mode is not Mode.PAIRWISE:
        raise ValueError(f"rubric {rubric.name} scores single responses; use as_pairwise()")
    if is_blank(other):
        return Unscored(UnscoredReason.EMPTY_RESPONSE, "the other response is blank")
    unscored = unscored_without_call(rubric, sample, max_chars=max_chars - len(other))
    if unscored := unscored or hostile_unscored([], other):
        return unscored
    response = sample.response or ""
    forwards = await _compared(client, rubric, model, sample, (response, other), random)
    if isinstance(forwards, Unscored):
        return forwards
    backwards = await _compared(client, rubric, model, sample, (other, response), random)
    if isinstance(backwards, Unscored):
        return Unscored(backwards.reason, backwards.detail, forwards.usage + backwards.usage)
    return pair_verdict(rubric, forwards, backwards)


async def _compared(
    client: JudgeClient,
    rubric: Rubric,
    model: str,
    sample: Sample,
    responses: tuple[str, str],
    random: Random,
) -> Comparison | Unscored:
    call = pair_call(rubric, model, sample, responses, random)
    answer = await asked(client, call)
    if isinstance(answer, Unscored):
        return answer
    comparison = read_comparison(rubric, answer)
    if isinstance(comparison, Unscored):
        return comparison
    return replace(comparison, flags=flags_of([comparison.reasoning], call))


def pair_verdict(rubric: Rubric, forwards: Comparison, backwards: Comparison) -> PairVerdict:
    """Return the result of the comparisons with the response of the sample first, and second."""
    preferences = (forwards.preference, -backwards.preference)
    winners = [_winner(preference) for preference in preferences]
    consistent = winners[0] is winners[1]
    return PairVerdict(
        rubric=rubric.name,
        rubric_hash=rubric.hash,
        model=forwards.model,
        winner=winners[0] if consistent else Winner.TIE,
        consistent=consistent,
        preferences=preferences,
        reasonings=(forwards.reasoning, backwards.reasoning),
        usage=forwards.usage + backwards.usage,
        flags=tuple(sorted({*forwards.flags, *backwards.flags})),
    )


def _winner(preference: float) -> Winner:
    if abs(preference) < 1e-9:  # sums of weights are not exact
        return Winner.TIE
    return Winner.SAMPLE if preference > 0 else Winner.OTHER
