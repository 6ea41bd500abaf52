"""What judges and people said about responses: which targets are accepted, which are disliked."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Final

from monitor.events.evaluations import HUMAN, Evaluation
from monitor.records import Sample

MAX_RESPONSES: Final = 1_000_000
"""Responses whose evaluations are kept; those of later ones are dropped, and counted."""


@dataclass(slots=True)
class Opinions:
    """Evaluations with a pass mark, by request id and name; a later one replaces an earlier one.

    names: evaluations that count, such as "judge.answer_quality"; empty: all.
    wanted: request ids; None: all. dropped: evaluations beyond `MAX_RESPONSES`.
    """

    names: frozenset[str] = frozenset()
    wanted: Container[str] | None = None
    dropped: int = 0
    _by_request: dict[str, dict[tuple[str, bool], Evaluation]] = field(default_factory=dict)

    def add_all(self, evaluations: Iterable[Evaluation]) -> None:
        """Add evaluations in the order in which they were written.

        Those without a verdict, or with a flag (the response may address the judge), are left out.
        """
        for each in evaluations:
            counts = not self.names or each.name in self.names
            if each.passed is None or each.flags or not counts:
                continue
            if self.wanted is not None and each.request_id not in self.wanted:
                continue
            found = self._by_request.get(each.request_id)
            if found is None:
                if len(self._by_request) >= MAX_RESPONSES:
                    self.dropped += 1
                    continue
                found = self._by_request[each.request_id] = {}
            found[each.name, each.evaluator == HUMAN] = each

    def accepted_by(self, sample: Sample) -> str:
        """Return who accepted the response of a sample, or "".

        People decide before judges. Of several judges all must have accepted it; the one with the
        lowest score is named.
        """
        people, judges = self._of(sample)
        if people:
            return "human" if all(each.passed for each in people) else ""
        if not judges or not all(each.passed for each in judges):
            return ""
        worst = min(judges, key=lambda each: (each.score or 0.0, each.name))
        return f"{worst.name} {worst.score or 0.0:g}"

    def disliked_by(self, sample: Sample, feedback_below: float = 0.0) -> str:
        """Return who disliked the response of a sample: "human", "feedback", a judge, or "".

        feedback_below: feedback of a user below it is negative. A person who accepted the response
        decides before the user and the judges.
        """
        people, judges = self._of(sample)
        if people:
            return "" if all(each.passed for each in people) else "human"
        if sample.feedback is not None and sample.feedback < feedback_below:
            return "feedback"
        failed = [each for each in judges if not each.passed]
        if not failed:
            return ""
        worst = min(failed, key=lambda each: (each.score or 0.0, each.name))
        return f"{worst.name} {worst.score or 0.0:g}"

    def _of(self, sample: Sample) -> tuple[list[Evaluation], list[Evaluation]]:
        """Return the evaluations of people and of judges for a sample."""
        found = self._by_request.get(sample.request_id, {})
        people = [each for (_, human), each in found.items() if human]
        judges = [each for (_, human), each in found.items() if not human]
        return people, judges
