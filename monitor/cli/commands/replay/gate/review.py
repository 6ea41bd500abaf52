"""The comparison by people as a review queue of the web application, instead of a file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from judges.rubrics import loading
from monitor.cli.commands.replay.evalset.sources import redact_function
from monitor.cli.commands.setup.db import password, schemas_module
from monitor.config.schema import Config
from monitor.errors import UserError
from replay.gate.criteria.model import Criteria, People
from replay.gate.stages.people import Label, Pair, Review

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from monitor.web.review.model import Candidate, Item, NewItem, Queue
    from replay.sets.building.candidates import Redact

CANDIDATE: Final = 0
BASELINE: Final = 1
"""Positions of the answers in an item; annotators see them in a random order."""
BY: Final = "gate"
"""Who created the queue, in the audit trail."""


def review(criteria: Criteria, config: Config) -> Review | None:
    """Return where people compare the pairs of a gate; None if the criteria name no queue."""
    name = criteria.people.queue
    if name is None or "L3" not in criteria.stages:
        return None
    return Review(
        place=f"the review queue {name}", compare=partial(compare, criteria, config, name)
    )


def compare(
    criteria: Criteria, config: Config, name: str, pairs: Sequence[Pair]
) -> Sequence[Label]:
    """Add the pairs that are new to the queue, and return the labels of those that are done.

    The queue is created if it is absent. Texts are redacted as samples are. Raises UserError.
    """
    with (
        schemas_module().open_database(config.store.url, password(config.store)) as store,
        store.write() as connection,
    ):
        from monitor.web.review import items

        at = time.time()
        queue = _queue(connection, criteria.people, name, at)
        models = _models(criteria)
        redact = redact_function(config)
        items.add(connection, queue, [_item(pair, models, redact, at) for pair in pairs], at)
        found = []
        for pair in pairs:
            identity = items.item_id(queue.name, _candidates(pair, models))
            found += _labels(pair, items.find(connection, identity))
        return found


def _queue(connection: Connection, people: People, name: str, at: float) -> Queue:
    from monitor.roles.web_setup import rubric_of
    from monitor.web.review import queues
    from monitor.web.review.model import QueueSettings

    known = next((each for each in queues.listed(connection) if each.name == name), None)
    if known is None:
        rubric = rubric_of(loading.load(people.rubric))
        queues.add_rubrics(connection, [rubric], at)
        settings = QueueSettings(overlap=people.overlap, gold_share=0.0)
        new = queues.NewQueue(name, "pairwise", rubric, settings)
        return queues.create(connection, new, at, person=BY)
    if known.task != "pairwise":
        raise UserError(f"people.queue: the queue {name} has tasks of type {known.task}")
    return known


def _models(criteria: Criteria) -> tuple[str, str]:
    """Return the names of candidate and baseline, which annotators do not see."""
    assert criteria.baseline is not None  # criteria with L3 have one
    return criteria.candidate.label[:200], criteria.baseline.label[:200]


def _item(pair: Pair, models: tuple[str, str], redact: Redact, at: float) -> NewItem:
    from monitor.web.review.model import Message, NewItem, Texts

    answers = (pair.first, pair.second) if pair.candidate_first else (pair.second, pair.first)
    counts: Counter[str] = Counter()
    prompt, *responses = (_clean(text, redact, counts) for text in (pair.prompt, *answers))
    return NewItem(
        candidates=_candidates(pair, models),
        texts=Texts((Message("user", prompt),) if prompt else (), tuple(responses)),
        time=at,
        reason="gate",
        estimated=False,
    )


def _clean(text: str, redact: Redact, counts: Counter[str]) -> str:
    cleaned, found = redact(text)
    counts.update(found)
    return cleaned


def _candidates(pair: Pair, models: tuple[str, str]) -> tuple[Candidate, ...]:
    """Return the two sides, the candidate first. Their ids name answers, not requests."""
    from monitor.web.review.model import Candidate

    sides = zip(("candidate", "baseline"), models, strict=True)
    return tuple(Candidate(f"gate/{pair.pair}/{side}", model) for side, model in sides)


def _labels(pair: Pair, item: Item) -> list[Label]:
    """Return a label for each vote; none until the item is rated, and decided if it is contested.

    After a verdict there is one vote, that of the admin.
    """
    if item.state not in {"finished", "settled"} or item.label is None:
        return []
    return [
        Label(pair=pair.pair, better=_better(pair, vote), by=str(number))
        for number, vote in enumerate(item.label["votes"])
    ]


def _better(pair: Pair, vote: int) -> Literal["first", "second", "tie"]:
    """Return which answer of the exported pair a vote for a side of the item prefers."""
    if vote not in {CANDIDATE, BASELINE}:
        return "tie"
    return "first" if (vote == CANDIDATE) == pair.candidate_first else "second"
