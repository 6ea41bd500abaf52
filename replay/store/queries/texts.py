"""The texts of a decision's items: prompts and responses, where they were not erased.

The ledger keeps a decision without them, so that they can be erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, select

from replay.store.database.tables import ITEM_TEXTS, RESPONSES
from replay.verdict.decision import Decision, Flip, TaskDecision
from replay.verdict.detail import MAX_TEXT

Responses = Mapping[int, str]
"""Responses to the items of a task, by doc id."""


def with_responses(
    connection: Connection, decision: Decision, candidate: str, baseline: str
) -> Decision:
    """Return a decision with the responses to the items that changed.

    candidate, baseline: ids of the runs that it compares. Responses that the store does not have
    are empty.
    """
    tasks = (
        _with_responses(
            task,
            _responses(connection, candidate, task),
            _responses(connection, baseline, task),
        )
        for task in decision.tasks
    )
    return replace(decision, tasks=tuple(tasks))


def _with_responses(task: TaskDecision, now: Responses, then: Responses) -> TaskDecision:
    def filled(flip: Flip) -> Flip:
        return replace(
            flip,
            baseline_response=then.get(flip.doc_id, "")[:MAX_TEXT],
            candidate_response=now.get(flip.doc_id, "")[:MAX_TEXT],
        )

    return replace(task, flips=tuple(map(filled, task.flips)))


def _responses(connection: Connection, run: str, task: TaskDecision) -> Responses:
    query = select(RESPONSES.c.doc_id, RESPONSES.c.response).where(
        RESPONSES.c.run == run,
        RESPONSES.c.task == task.task,
        RESPONSES.c.doc_id.in_([flip.doc_id for flip in task.flips]),
    )
    return {row.doc_id: row.response for row in connection.execute(query)}


def prompts(connection: Connection, decision: Decision) -> dict[str, str]:
    """Return the prompts of the items that changed, by item."""
    wanted = {flip.item for task in decision.tasks for flip in task.flips}
    query = select(ITEM_TEXTS).where(ITEM_TEXTS.c.item.in_(wanted))
    return {row.item: _prompt(row.content)[:MAX_TEXT] for row in connection.execute(query)}


def _prompt(content: Mapping[str, Any]) -> str:
    """Return a prompt, its contexts and its target as one text."""
    prompt = content.get("prompt", "")
    if not isinstance(prompt, str):
        prompt = "\n".join(f"{each['role']}: {each['content']}" for each in prompt)
    expected = content.get("target")
    lines = [*content.get("contexts", ()), prompt]
    return "\n".join(lines if expected is None else [*lines, f"Expected: {expected}"])
