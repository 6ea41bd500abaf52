"""Bodies of requests. All sizes are bounded, and unknown keys are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from monitor.web.api.routing import ID_PATTERN
from monitor.web.review import answers
from monitor.web.review.model import (
    Answer,
    Candidate,
    Message,
    NewItem,
    Queue,
    QueueSettings,
    Span,
    Texts,
)
from monitor.web.views.decisions import NewDecision
from monitor.web.views.tasks import ShownAnswer, ShownSpan

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=1_500_000)]
Short = Annotated[str, Field(max_length=4_000)]
Index = Annotated[int, Field(ge=0, le=2_000_000)]
Seconds = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Body(BaseModel):
    """The base of all bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SpanBody(Body):
    """A marked error. response: number of the shown response, from 0. end: exclusive."""

    response: Index = 0
    start: Index
    end: Index
    kind: Name
    severity: Literal["minor", "major"] = "major"


class AnswerBody(Body):
    """An answer. Responses are numbered as they are shown, from 0.

    scores: by dimension. preferences: by dimension, and "overall". ranking: groups, best first.
    active_ms: time that the person worked on the task.
    """

    scores: Annotated[
        dict[Name, Annotated[int, Field(ge=0, le=5)]] | None, Field(max_length=50)
    ] = None
    preferences: Annotated[
        dict[Name, Literal["first", "second", "tie"]] | None, Field(max_length=50)
    ] = None
    ranking: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=0, le=20)]], Field(max_length=20)]] | None,
        Field(max_length=20),
    ] = None
    spans: Annotated[list[SpanBody] | None, Field(max_length=200)] = None
    comment: Short = ""
    active_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 0

    def shown(self) -> ShownAnswer:
        """Return the answer without the time."""
        return ShownAnswer(
            scores=self.scores,
            preferences=self.preferences,
            ranking=self.ranking,
            spans=None
            if self.spans is None
            else [ShownSpan(s.response, s.start, s.end, s.kind, s.severity) for s in self.spans],
            comment=self.comment,
        )


class SkipBody(Body):
    """Why a task is left to others."""

    reason: Literal["unclear", "language", "expertise", "private", "broken", "other"]
    active_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 0


class SettingsBody(Body):
    """Settings of a queue; those that are absent keep their value, or have the default."""

    overlap: Annotated[int | None, Field(ge=1, le=20)] = None
    lease_seconds: Annotated[float | None, Field(ge=10, le=86_400)] = None
    base: Annotated[float | None, Field(gt=0, le=1)] = None
    boost: Annotated[float | None, Field(ge=0, le=1)] = None
    gold_share: Annotated[float | None, Field(ge=0, le=0.5)] = None
    contested_from: Annotated[float | None, Field(gt=0, le=5)] = None
    retention_days: Annotated[float | None, Field(gt=0, le=3650)] = None

    def applied(self, settings: QueueSettings) -> QueueSettings:
        """Return settings with these values."""
        return replace(settings, **self.model_dump(exclude_none=True))


class QueueBody(Body):
    """A queue to be created. rubric: name of the newest version, or digest of any."""

    name: Annotated[str, Field(pattern=ID_PATTERN)]
    task: Literal["single", "pairwise", "ranking", "spans"]
    rubric: Name
    settings: SettingsBody = SettingsBody()
    guideline: Annotated[str, Field(max_length=100_000)] = ""


class QueueChange(Body):
    """A change of a queue. rubric: "newest" for the newest version of its rubric."""

    state: Literal["open", "paused", "closed"] | None = None
    settings: SettingsBody | None = None
    rubric: Literal["newest"] | None = None


class GuidelineBody(Body):
    """Instructions to annotators."""

    text: Annotated[str, Field(max_length=100_000)]


class MessageBody(Body):
    """A message of a prompt."""

    role: Name
    content: Text


class ResponseBody(Body):
    """A response to be rated. user_id: its hash is stored, for erasures."""

    request_id: Name
    text: Text
    model: Annotated[str, Field(max_length=200)] = ""
    variant: Annotated[str, Field(max_length=200)] = ""
    user_id: Annotated[str, Field(max_length=500)] = ""


class GoldBody(Body):
    """The known answer of a gold item. Responses are numbered as in `responses`."""

    scores: dict[Name, Annotated[int, Field(ge=0, le=5)]] = {}
    preferences: dict[Name, Annotated[int, Field(ge=-1, le=1)]] = {}
    ranking: list[list[Annotated[int, Field(ge=0, le=20)]]] = []
    spans: list[SpanBody] = []

    def answer(self) -> Answer:
        """Return the answer in terms of the candidates."""
        return Answer(
            scores=dict(self.scores),
            preferences=dict(self.preferences),
            ranking=tuple(tuple(sorted(group)) for group in self.ranking),
            spans=tuple(
                Span(each.response, each.start, each.end, each.kind, each.severity)
                for each in self.spans
            ),
        )


class ItemBody(Body):
    """An item that is added by hand. It never enters an estimate."""

    prompt: Annotated[list[MessageBody], Field(max_length=500)] | Text = ""
    responses: Annotated[list[ResponseBody], Field(min_length=1, max_length=10)]
    contexts: Annotated[list[Text], Field(max_length=200)] = []
    reference: Text = ""
    time: Seconds | None = None
    reason: Name = "chosen"
    difficulty: Unit = 0.5
    gold: GoldBody | None = None

    def new_item(self, queue: Queue, at: float, hashes: Sequence[str]) -> NewItem:
        """Return the item. hashes: of the user ids of the responses. Raises InvalidAnswer."""
        messages = self.prompt
        if isinstance(messages, str):
            messages = [MessageBody(role="user", content=messages)] if messages else []
        texts = Texts(
            prompt=tuple(Message(each.role, each.content) for each in messages),
            responses=tuple(each.text for each in self.responses),
            contexts=tuple(self.contexts),
            reference=self.reference,
        )
        gold = None
        if self.gold is not None:
            answer = self.gold.answer()
            answers.check(queue, answer, texts)
            gold = answers.encode(queue, answer)
        return NewItem(
            candidates=tuple(
                Candidate(each.request_id, each.model, each.variant, hashed)
                for each, hashed in zip(self.responses, hashes, strict=True)
            ),
            texts=texts,
            time=at if self.time is None else self.time,
            reason=self.reason,
            difficulty=self.difficulty,
            gold=gold,
        )


class ItemsBody(Body):
    """Items to be added."""

    items: Annotated[list[ItemBody], Field(min_length=1, max_length=1_000)]


class VerdictBody(Body):
    """What an admin decides about an item. Responses are numbered as the candidates of the item."""

    answer: AnswerBody
    reason: Short = ""


class SetBody(Body):
    """The name of an evaluation set."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]


class PersonBody(Body):
    """A person for tokens."""

    name: Name
    role: Literal["none", "viewer", "annotator", "admin"]


class PersonChange(Body):
    """A change of the rights of a person."""

    role: Literal["none", "viewer", "annotator", "admin"] | None = None
    disabled: bool | None = None


class TokenBody(Body):
    """A token to be created."""

    person: Annotated[str, Field(pattern=ID_PATTERN)]
    name: Name
    scope: Literal["viewer", "annotator", "admin"]
    days: Annotated[float, Field(gt=0, le=366, allow_inf_nan=False)] = 90.0


class DecisionBody(Body):
    """A decision about a model or an experiment."""

    subject: Name
    outcome: Literal["ship", "hold", "roll_back"]
    reason: Short
    criteria: Annotated[list[Short], Field(max_length=100)] = []
    evidence: Annotated[list[Short], Field(max_length=100)] = []

    def new(self) -> NewDecision:
        """Return the decision."""
        return NewDecision(
            self.subject, self.outcome, self.reason, tuple(self.criteria), tuple(self.evidence)
        )


class ErasureBody(Body):
    """Whose texts are erased: those of a request, or of a user."""

    request_id: Name | None = None
    user_id: Annotated[str, Field(min_length=1, max_length=500)] | None = None
