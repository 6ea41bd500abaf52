"""Fill the review queues from samples and evaluations, inside the caller's transaction."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.events.evaluations import HUMAN, Evaluation, EvaluationError, decode_evaluation
from monitor.ingest.sampling.codec import decode_sample
from monitor.records import Sample
from monitor.web.review import items, queues
from monitor.web.review.model import Candidate, Message, NewItem, Queue, Texts

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAX_PENDING: Final = 10_000
"""Evaluations that wait for their sample; the oldest are dropped and counted."""
PENDING_SECONDS: Final = 600.0
REASONS: Final = {
    "open_alarm": "drift",
    "negative_feedback": "feedback",
    "disagreement": "disagreement",
    "error": "error",
    "refusal": "refusal",
}
"""Reason of a boosted sample -> reason of its item."""
SPREAD: Final = 2.0
"""Difference of the judges' scores that makes an item as difficult as possible."""
UNCERTAIN: Final = 0.5
"""Difficulty of an item whose score is the pass mark."""

Decoded = Sample | Evaluation | None
"""A message; None if it is neither, or of no use."""


def decode(value: bytes | None, *, evaluation: bool) -> Decoded | str:
    """Return what a message holds; an outcome if it is of no use. Nothing is raised."""
    try:
        if not evaluation:
            return decode_sample(value or b"")
        found = decode_evaluation(value or b"")
    except (ValueError, EvaluationError, RecursionError):
        return "unreadable"
    if found.evaluator == HUMAN or found.score is None:
        return "filtered"
    return found


@dataclass(frozen=True, slots=True)
class _Pending:
    evaluation: Evaluation
    until: float


class Inflow:
    """Adds samples to the queues that want them, and scores of judges to their items.

    negative_below: feedback up to this value is negative.
    """

    def __init__(self, negative_below: float) -> None:
        self._negative_below = negative_below
        self._pending: OrderedDict[tuple[str, str], _Pending] = OrderedDict()

    @property
    def waits(self) -> bool:
        """Whether evaluations wait for their sample."""
        return bool(self._pending)

    def apply(
        self,
        connection: Connection,
        messages: Iterable[Sample | Evaluation | str | None],
        alarmed: frozenset[str],
        at: float,
    ) -> Counter[str]:
        """Apply messages; return their outcomes. alarmed: models with an open alarm that pages."""
        outcomes: Counter[str] = Counter()
        wanted = [each for each in queues.listed(connection) if each.settings.inflow.enabled]
        samples = []
        for message in messages:
            if isinstance(message, str):
                outcomes[message] += 1
            elif isinstance(message, Sample):
                samples.append(message)
            elif message is not None:
                self._wait(message, at, outcomes)
        for queue in wanted:
            self._add(connection, queue, samples, alarmed, at, outcomes)
        self._match(connection, wanted, at, outcomes)
        return outcomes

    def _wait(self, evaluation: Evaluation, at: float, outcomes: Counter[str]) -> None:
        self._pending[evaluation.name, evaluation.request_id] = _Pending(
            evaluation, at + PENDING_SECONDS
        )
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
            outcomes["unmatched"] += 1

    def _add(
        self,
        connection: Connection,
        queue: Queue,
        samples: Sequence[Sample],
        alarmed: frozenset[str],
        at: float,
        outcomes: Counter[str],
    ) -> None:
        inflow = queue.settings.inflow
        chosen = [sample for sample in samples if _fits(queue, sample)]
        outcomes["filtered"] += len(samples) - len(chosen)
        if not chosen:
            return
        room = max(0, inflow.limit - items.waiting(connection, queue.name))
        outcomes["full"] += max(0, len(chosen) - room)
        new = [new_item(sample, sample.model in alarmed, self._negative_below) for sample in chosen]
        added = items.add(connection, queue, new[:room], at)
        outcomes["added"] += len(added)
        outcomes["known"] += len(new[:room]) - len(added)

    def _match(
        self, connection: Connection, wanted: Sequence[Queue], at: float, outcomes: Counter[str]
    ) -> None:
        """Give the scores that wait to their items; the sample may be read later than its score."""
        by_name: dict[str, list[Queue]] = {}
        for queue in wanted:
            by_name.setdefault(f"judge.{queue.rubric.name}", []).append(queue)
        for key, waiting in list(self._pending.items()):
            found = by_name.get(key[0], [])
            done = [
                items.judged(
                    connection,
                    queue,
                    key[1],
                    judge_of(waiting.evaluation),
                    difficulty_of(waiting.evaluation, queue.rubric.pass_mark),
                    at,
                )
                for queue in found
            ]
            if any(done):
                outcomes["judged"] += 1
                del self._pending[key]
            elif not found or waiting.until <= at:
                outcomes["unmatched" if found else "filtered"] += 1
                del self._pending[key]


def _fits(queue: Queue, sample: Sample) -> bool:
    inflow = queue.settings.inflow
    if sample.response is None or (inflow.models and sample.model not in inflow.models):
        return False
    return sample.inclusion.uniform or inflow.boosted


def new_item(sample: Sample, alarmed: bool, negative_below: float) -> NewItem:
    """Return the item of a sample. alarmed: whether its model has an open alarm.

    Only samples that were drawn uniformly are estimated. What was drawn for a reason is as
    difficult as possible, and has no known probability.
    """
    difficulty, reason = 0.0, "random"
    if not sample.inclusion.uniform:
        first = next(iter(sample.inclusion.boosted), "")
        difficulty, reason = 1.0, REASONS.get(first, "boosted")
    elif sample.feedback is not None and sample.feedback <= negative_below:
        difficulty, reason = 1.0, "feedback"
    elif alarmed:
        difficulty, reason = 1.0, "drift"
    return NewItem(
        candidates=(Candidate(sample.request_id, sample.model, user_hash=sample.user or ""),),
        texts=texts_of(sample),
        time=sample.timestamp,
        reason=reason,
        difficulty=difficulty,
        estimated=sample.inclusion.uniform,
        uniform=sample.inclusion.uniform,
        probability=sample.inclusion.probability,
    )


def texts_of(sample: Sample) -> Texts:
    """Return the texts of a sample."""
    prompt: tuple[Message, ...] = ()
    if isinstance(sample.prompt, str):
        prompt = (Message("user", sample.prompt),)
    elif sample.prompt is not None:
        prompt = tuple(Message(each.role, each.content) for each in sample.prompt)
    return Texts(
        prompt=prompt,
        responses=(sample.response or "",),
        contexts=tuple(sample.contexts or ()),
        reference=sample.reference or "",
    )


def judge_of(evaluation: Evaluation) -> dict[str, object]:
    """Return what is stored of a judge's verdict. Annotators never see it."""
    return {
        "score": evaluation.score,
        "passed": evaluation.passed,
        "version": evaluation.version,
        "evaluator": evaluation.evaluator,
        "dimensions": evaluation.dimensions,
        "votes": list(evaluation.votes),
    }


def difficulty_of(evaluation: Evaluation, pass_mark: float) -> tuple[float, str]:
    """Return the difficulty that follows from a verdict, 0 to 1, and its reason.

    Judges that disagree, and a score near the pass mark, make an item difficult.
    """
    spread = max(evaluation.votes) - min(evaluation.votes) if len(evaluation.votes) > 1 else 0.0
    disagreement = min(1.0, spread / SPREAD)
    score = evaluation.score if evaluation.score is not None else pass_mark + 1.0
    uncertainty = UNCERTAIN * max(0.0, 1.0 - abs(score - pass_mark))
    if disagreement >= uncertainty:
        return disagreement, "disagreement"
    return uncertainty, "uncertain"
