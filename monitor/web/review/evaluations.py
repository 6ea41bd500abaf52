"""Labels as evaluations of single responses, as the evaluations topic has them.

| task | name | score of a response |
|---|---|---|
| single | judge.RUBRIC | mean overall score, 0 to 5; the name and scale of the judge |
| spans | spans.RUBRIC | share of annotators who found no error, 0 to 1 |
| pairwise | pairwise.RUBRIC | share of annotators who preferred it; a tie is a half |
| ranking | ranking.RUBRIC | mean share of the other responses that rank below it; ties are halves |

Compared responses have an evaluation each, all with the same `comparison`. A score of a comparison
says nothing without the other responses, so it has no pass mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from monitor.events.evaluations import HUMAN, Evaluation
from monitor.web.review.model import TIE, Candidate, Item, Queue

SENT: Final = ("finished", "settled")
"""States of items whose label is sent."""


def evaluations_of(
    queue: Queue, item: Item, candidates: Sequence[Candidate]
) -> tuple[Evaluation, ...]:
    """Return the label of an item, one evaluation for each response; empty without a label.

    candidates: of the item, by position.
    """
    if queue.task in {"pairwise", "ranking"}:
        return _compared(queue, item, candidates)
    found = evaluation_of(queue, item)
    return () if found is None else (found,)


def evaluation_of(queue: Queue, item: Item) -> Evaluation | None:
    """Return the label of an item with one response as an evaluation.

    Returns None without a label, and for comparisons.

    Only items with xi <= 1 have a probability: they are a sample in which each has the probability
    pi, whatever was served afterwards. Without one, readers do not correct estimates by the label.
    """
    if item.label is None or item.state not in SENT or queue.task not in {"single", "spans"}:
        return None
    estimated = item.uniform and item.pi is not None and item.xi <= 1.0
    probability = item.probability * (item.pi or 0.0) if estimated else 0.0
    if queue.task == "spans":
        return _marked(queue, item, item.label["kinds"], item.label.get("clean"), probability)
    score, judge, votes = item.label["overall"], item.judge or {}, item.label["votes"]
    return Evaluation(
        name=f"judge.{queue.rubric.name}",
        request_id=item.request_id,
        model=item.model,
        time=item.time,
        score=score,
        passed=score >= queue.rubric.pass_mark,
        evaluator=HUMAN,
        version=str(judge.get("version", "")),
        probability=probability,
        dimensions=item.label["scores"],
        votes=_several(votes),
        judge_score=judge.get("score"),
    )


def _marked(
    queue: Queue,
    item: Item,
    kinds: Mapping[str, float],
    clean: Sequence[float] | None,
    probability: float,
) -> Evaluation | None:
    """Return the label of a `spans` item. clean: 1 for each annotator who marked no error, else 0.

    The response passes if most annotators marked none.
    """
    if clean is None:  # a label of an earlier version
        return None
    score = _mean(clean)
    names = [each.name for each in queue.rubric.dimensions]
    return Evaluation(
        name=f"spans.{queue.rubric.name}",
        request_id=item.request_id,
        model=item.model,
        time=item.time,
        score=score,
        passed=score > 0.5,
        evaluator=HUMAN,
        version=queue.rubric.digest,
        probability=probability,
        dimensions={name: 1.0 - kinds.get(name, 0.0) for name in names},
        votes=_several(clean),
    )


def _compared(queue: Queue, item: Item, candidates: Sequence[Candidate]) -> tuple[Evaluation, ...]:
    """Return the label of a comparison."""
    if item.label is None or item.state not in SENT:
        return ()
    found = []
    for position, candidate in enumerate(candidates):
        votes = _votes(queue, item.label, position)
        if not votes:  # a label of an earlier version
            return ()
        preferences: Mapping[str, Sequence[int]] = item.label.get("preferences", {})
        dimensions = {
            name: _mean([preferred(vote, position) for vote in given])
            for name, given in preferences.items()
        }
        evaluation = Evaluation(
            name=f"{queue.task}.{queue.rubric.name}",
            request_id=candidate.request_id,
            model=candidate.model,
            time=item.time,
            score=_mean(votes),
            evaluator=HUMAN,
            version=queue.rubric.digest,
            dimensions=dimensions,
            votes=_several(votes),
            comparison=item.id,
        )
        found.append(evaluation)
    return tuple(found)


def _votes(queue: Queue, label: Mapping[str, Any], position: int) -> list[float]:
    """Return the scores that annotators gave to a response by comparing it."""
    if queue.task == "pairwise":
        return [preferred(vote, position) for vote in label["votes"]]
    return list(label.get("wins", {}).get(str(position), ()))


def preferred(vote: int, position: int) -> float:
    """Return 1 if a vote prefers the response at a position, 0.5 for a tie, else 0."""
    if vote == TIE:
        return 0.5
    return float(vote == position)


def shares_below(ranking: Sequence[Sequence[int]]) -> dict[int, float]:
    """Return the share of the other responses that rank below each response; ties are halves.

    ranking: groups of positions, best first; at least two positions.
    """
    number = sum(map(len, ranking))
    found, above = {}, 0
    for group in ranking:
        below = number - above - len(group)
        for position in group:
            found[position] = (below + 0.5 * (len(group) - 1)) / (number - 1)
        above += len(group)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _several(votes: Sequence[float]) -> tuple[float, ...]:
    """Return the votes of several annotators; one alone is the score itself."""
    return tuple(votes) if len(votes) > 1 else ()
