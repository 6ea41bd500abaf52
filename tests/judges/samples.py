"""Samples and judges for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judges.calls import Answer, Call, CallFailed, Usage
from monitor.records import ChatMessage, Inclusion, Sample

USAGE = Usage(input_tokens=900, output_tokens=80)


def sample(
    *,
    prompt: str | list[ChatMessage] | None = "How tall is Mont Blanc?",
    response: str | None = "Mont Blanc is 4,806 m tall.",
    contexts: list[str] | None = None,
    reference: str | None = None,
    request_id: str = "r-1",
) -> Sample:
    """Return a sample with a prompt and a response, unless told otherwise."""
    return Sample(
        request_id=request_id,
        timestamp=1.0,
        model="chat",
        inclusion=Inclusion(uniform=True, probability=0.01),
        prompt=prompt,
        response=response,
        contexts=contexts,
        reference=reference,
    )


def verdict_text(scores: Mapping[str, Any], **fields: Any) -> str:
    """Return a valid answer of a judge with these scores; `fields` replace or add others."""
    answer = {"reasoning": "Fine.", "scores": scores, "strengths": ["short"], "weaknesses": []}
    return json.dumps(answer | fields)


@dataclass
class CannedJudge:
    """A client that gives prepared answers in turn, or computes them, and keeps the calls."""

    answers: Sequence[str | CallFailed] | Callable[[Call], str]
    calls: list[Call] = field(default_factory=list)

    async def ask(self, call: Call) -> Answer:
        """Return the next answer."""
        self.calls.append(call)
        if callable(self.answers):
            return Answer(self.answers(call), USAGE, "judge-1")
        found = self.answers[len(self.calls) - 1]
        if isinstance(found, CallFailed):
            raise found
        return Answer(found, USAGE, "judge-1")

    async def close(self) -> None:
        """Do nothing."""
