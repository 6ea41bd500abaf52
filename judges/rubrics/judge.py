"""Judge one sample by one rubric: applicability, the call, and the validated result.

    unscored_without_call -> judge_call -> client.ask -> read_verdict

`judge_sample` does all of it. `ask_judge` does not look for hostile text, so that canaries measure
what the judge itself withstands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Final

from judges.calls import Answer, Call, CallFailed, JudgeClient, Unscored, UnscoredReason
from judges.hostile.flags import record_flags, verdict_flags
from judges.rubrics.prompt import is_blank, judge_call, judged_texts, token_of
from judges.rubrics.rubric import Mode, Rubric
from judges.rubrics.verdict import Verdict, read_verdict
from monitor.records import Sample

MAX_CHARS: Final = 200_000
"""Longest sample that is judged, in characters of all its texts: some 50,000 tokens."""


async def judge_sample(
    client: JudgeClient,
    rubric: Rubric,
    model: str,
    sample: Sample,
    *,
    random: Random,
    max_chars: int = MAX_CHARS,
) -> Verdict | Unscored:
    """Return the verdict of a judge, or why there is none. Never raises CallFailed.

    random: source of the delimiters; `random.SystemRandom` in production.
    """
    unscored = unscored_without_call(rubric, sample, max_chars=max_chars)
    return unscored or await ask_judge(client, rubric, model, sample, random=random)


def unscored_without_call(
    rubric: Rubric, sample: Sample, *, max_chars: int = MAX_CHARS
) -> Unscored | None:
    """Return why a sample is unscored without asking a judge, or None if it can be judged.

    A long sample is not cut: the score of a part is another quantity, and its author would choose
    what the judge does not read. Ingest has cut very long fields already, with a marker.
    """
    texts = judged_texts(rubric, sample)
    if is_blank(sample.response):
        return Unscored(UnscoredReason.EMPTY_RESPONSE)
    if rubric.needs_contexts and all(map(is_blank, sample.contexts or ())):
        return Unscored(UnscoredReason.EMPTY_CONTEXTS)
    if rubric.needs_reference and is_blank(sample.reference):
        return Unscored(UnscoredReason.NO_REFERENCE)
    chars = sum(map(len, texts))
    if chars > max_chars:
        return Unscored(UnscoredReason.TOO_LONG, f"{chars} characters, limit {max_chars}")
    return hostile_unscored(texts[:-1], texts[-1])


def hostile_unscored(others: Iterable[str], response: str | None) -> Unscored | None:
    """Return `injection_suspected` if a text of a record appears to address its judge.

    others: all texts that the judge would read beside the response; None is no response.
    """
    flags = record_flags(response, others)
    if not flags:
        return None
    return Unscored(UnscoredReason.INJECTION_SUSPECTED, ", ".join(sorted(flags)))


async def ask_judge(
    client: JudgeClient, rubric: Rubric, model: str, sample: Sample, *, random: Random
) -> Verdict | Unscored:
    """Return the verdict of a judge on a sample to which the rubric applies.

    Raises ValueError if the rubric compares pairs.
    """
    if rubric.mode is Mode.PAIRWISE:
        raise ValueError(f"rubric {rubric.name} compares pairs of responses; use judge_pair")
    call = judge_call(rubric, model, sample, random)
    answer = await asked(client, call)
    return answer if isinstance(answer, Unscored) else verdict_of(rubric, call, answer)


def verdict_of(rubric: Rubric, call: Call, answer: Answer) -> Verdict | Unscored:
    """Return the validated verdict of an answer to a call, with flags if it may be forged."""
    verdict = read_verdict(rubric, answer)
    if isinstance(verdict, Unscored):
        return verdict
    texts = [verdict.reasoning, *verdict.strengths, *verdict.weaknesses]
    return replace(verdict, flags=flags_of(texts, call))


def flags_of(texts: Iterable[str], call: Call) -> tuple[str, ...]:
    """Return the flags of the texts of an answer to a call."""
    return tuple(sorted(verdict_flags(texts, token_of(call.data))))


async def asked(client: JudgeClient, call: Call) -> Answer | Unscored:
    """Return the answer of a call, or why there is none."""
    try:
        return await client.ask(call)
    except CallFailed as error:
        return Unscored(error.reason, error.detail, error.usage)
