"""Freeze the items of a model, and request the baseline on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from monitor.config.schema import Config
from monitor.events.commands import Answer
from monitor.roles.replay_plan import replay_plan, run_request, set_name
from monitor.roles.replay_samples import SampleReader, Span, accepted_items
from replay.sets.item import Item
from replay.sets.item_set import make_set
from replay.store import Store, baselines, queue, sets

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 3600.0
"""Time after which a first baseline that has failed is tried again, with new items."""


def reference_items(reader: SampleReader, config: Config, answer: Answer) -> tuple[Item, ...]:
    """Return the items of the traffic that was accepted as a reference."""
    span = Span(answer.first_time or None, answer.last_time or None)
    found = accepted_items(reader, span, config.replay.items, answer.model)
    return found.get(answer.model, ())


def unfrozen_items(
    reader: SampleReader, config: Config, store: Store, at: float, skipped: Collection[str] = ()
) -> Mapping[str, tuple[Item, ...]]:
    """Return enough items of each model that can be replayed and has no baseline.

    skipped: models to leave out, such as those with an open alarm. at: epoch seconds; a model whose
    baseline has failed within RETRY_SECONDS, or is queued, is left out as well.
    """
    found = accepted_items(reader, Span(), config.replay.items)
    wanted = {
        model: items
        for model, items in found.items()
        if len(items) >= config.replay.items.least
        and model not in skipped
        and config.replay.model_for(model) is not None
    }
    if not wanted:
        return {}
    with store.read() as connection:
        return {
            model: items
            for model, items in wanted.items()
            if baselines.find(connection, model) is None
            and queue.latest(connection, model, at - RETRY_SECONDS, "baseline") is None
        }


def freeze(
    connection: Connection, config: Config, items: tuple[str, Sequence[Item]], key: str, at: float
) -> str:
    """Store a new version of the items of a model, and request its baseline.

    items: the model and its items. key: id of what caused it, which makes the baseline unique.
    Returns the outcome: `baseline`, `duplicate` or `too_few_items`.
    """
    model, found = items
    plan = replay_plan(config.replay, model)
    if plan is None:
        return "filtered"
    if len(found) < config.replay.items.least:
        log.warning(
            "too few accepted samples to freeze items, the baseline stays as it is",
            model=model,
            items=len(found),
            least=config.replay.items.least,
        )
        return "too_few_items"
    name = set_name(model)
    latest = sets.find(connection, name)
    item_set = make_set(name, 1 if latest is None else latest.version + 1, found, at)
    digest = item_set.digest
    if sets.get(connection, digest) is None:
        sets.save(connection, item_set, at)
    request = run_request(plan, model, digest, f"baseline {key}", "baseline")
    if not queue.enqueue(connection, request, at):
        return "duplicate"
    log.info("items frozen", model=model, items=len(found), set=name, version=item_set.version)
    return "baseline"
