"""Responses that people rated, as items of evaluation sets; each addition is audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from monitor.database.store import Store
from monitor.records import ChatMessage, Inclusion, Sample
from monitor.web.review import items, queues
from monitor.web.review.evaluations import evaluation_of
from monitor.web.review.model import Conflict, Item, Queue, ReviewError, Texts
from monitor.web.store.tables import AUDIT, ITEMS, TEXTS
from monitor.web.views.sources import Reviewed, SavedSet, SetTarget

MOST_ITEMS: Final = 10_000
"""Responses of a set that is made at a click, the newest."""
LABELLED: Final = ("finished", "settled")
FROZEN: Final = "evaluation set"
"""Kind of the rows of the audit trail about sets that were made of a queue."""


@dataclass(frozen=True, slots=True)
class Editor:
    """Adds responses to evaluation sets. person, name: who does it. at: epoch seconds.

    target: None if no folder of sets is configured; then all methods raise ReviewError.
    """

    store: Store
    target: SetTarget | None
    person: str
    name: str
    at: float

    def add_failure(self, identity: str, set_name: str) -> bool:
        """Add the response of an item to the known failures of a set; return whether it is new.

        Raises NotFound, and Conflict if people did not find it to be wrong.
        """
        target = self._target()
        with self.store.read() as connection:
            item = items.find(connection, identity)
            found = _reviewed(connection, queues.find(connection, item.queue), item)
        if found is None:
            raise Conflict("only a response with a label and its texts can be added")
        if found.label.passed:
            raise Conflict("this response reaches the pass mark: it is no failure")
        new = target.add_failure(set_name, found, self.name, self.at)
        self._audit("known failure", identity, {"set": set_name})
        return new

    def make_set(self, queue: str, set_name: str) -> SavedSet:
        """Freeze a version of a set with the labelled responses of a queue.

        Raises NotFound, and Conflict without a labelled response.
        """
        target = self._target()
        with self.store.read() as connection:
            found = _all(connection, queues.find(connection, queue))
        if not found:
            raise Conflict("this queue has no response with a label and its texts")
        saved = target.freeze(set_name, found, self.name, self.at)
        content = {"set": saved.name, "version": saved.version, "digest": saved.digest}
        self._audit(FROZEN, queue, content)
        return saved

    def _target(self) -> SetTarget:
        if self.target is None:
            raise ReviewError("there is no folder of evaluation sets: set web.evaluation_sets")
        return self.target

    def _audit(self, kind: str, subject: str, content: dict[str, object]) -> None:
        with self.store.write() as connection:
            AUDIT.append(connection, kind, subject, {**content, "person": self.person}, self.at)


@dataclass(frozen=True, slots=True)
class MadeSet:
    """A version of a set that was made of a queue. at: epoch seconds."""

    name: str
    version: int
    digest: str
    at: float


def last_set(connection: Connection, queue: str) -> MadeSet | None:
    """Return the last set that was made of a queue, by the audit trail."""
    found = None
    for entry in AUDIT.entries(connection, FROZEN, queue):
        value = entry.value
        found = MadeSet(value["set"], value["version"], value["digest"], entry.at)
    return found


def _all(connection: Connection, queue: Queue) -> list[Reviewed]:
    """Return the labelled responses of a queue, without gold items."""
    query = (
        select(ITEMS)
        .join(TEXTS, TEXTS.c.item == ITEMS.c.id)
        .where(ITEMS.c.queue == queue.name, ITEMS.c.state.in_(LABELLED), ITEMS.c.gold.is_(None))
        .order_by(ITEMS.c.created_at.desc(), ITEMS.c.id)
        .limit(MOST_ITEMS)
    )
    found = [items.item_of(row) for row in connection.execute(query).all()]
    reviewed = (_reviewed(connection, queue, item) for item in found)
    return [each for each in reviewed if each is not None]


def _reviewed(connection: Connection, queue: Queue, item: Item) -> Reviewed | None:
    """Return an item as a response with its label; None without a label or without texts."""
    label, texts = evaluation_of(queue, item), items.texts(connection, item.id)
    if label is None or texts is None:
        return None
    return Reviewed(_sample(item, texts), label)


def _sample(item: Item, texts: Texts) -> Sample:
    prompt: str | list[ChatMessage] = [ChatMessage(m.role, m.content) for m in texts.prompt]
    if [message.role for message in texts.prompt] == ["user"]:
        prompt = texts.prompt[0].content
    return Sample(
        request_id=item.request_id,
        timestamp=item.time,
        model=item.model,
        inclusion=Inclusion(uniform=item.uniform, probability=item.probability),
        prompt=prompt or None,
        response=texts.responses[0],
        contexts=list(texts.contexts) or None,
        reference=texts.reference or None,
    )
