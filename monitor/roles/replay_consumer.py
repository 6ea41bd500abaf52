"""Apply events and answers of commands to the store, inside the caller's transaction."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from monitor.config.schema import Config
from monitor.events.codec import UnknownEventType, decode_event, encode_event
from monitor.events.commands import AcceptReference, Answer, CommandError, decode_command
from monitor.events.replay import TYPE as OWN
from monitor.events.replay import ReplayEvent, decode_replay
from monitor.events.types import DriftEvent
from monitor.roles.replay_baselines import freeze
from monitor.roles.replay_events import replay_event
from monitor.roles.replay_lease import Workplace
from monitor.roles.replay_plan import drift_details, replay_plan, run_request
from monitor.roles.replay_trigger import starts_replay
from monitor.roles.replay_worker import add_event
from replay.sets.item import Item
from replay.store import baselines, queue
from replay.store.queries import waiting

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger(__name__)

MAX_ALARMS: Final = 10_000
"""Open alarms that are remembered."""

Decoded = DriftEvent | ReplayEvent | Answer | str
"""An event, the answer to a command, or why a message is neither: an outcome."""


def decode(value: bytes | None, *, command: bool) -> Decoded:
    """Return what a message means. Whatever its bytes are, nothing is raised."""
    content = value or b""
    try:
        if not command:
            return _event(content)
        found = decode_command(content)
    except UnknownEventType:
        return "other_type"
    except (CommandError, ValueError, ArithmeticError, RecursionError):
        return "unreadable"
    if isinstance(found, AcceptReference) or found.outcome != "applied":
        return "other_type"
    return found


def _event(content: bytes) -> DriftEvent | ReplayEvent:
    """Return an event of a type that the role reads. Raises UnknownEventType and ValueError."""
    try:
        return decode_event(content)
    except UnknownEventType as unknown:
        if unknown.type != OWN:
            raise
    return decode_replay(content)


class OpenAlarms:
    """The open alarms of the models whose events this process reads.

    Those that opened before it started are not known.
    """

    def __init__(self) -> None:
        self._by_alarm: OrderedDict[str, str] = OrderedDict()

    def add(self, event: DriftEvent) -> None:
        """Remember an alarm until it resolves."""
        if event.change != "resolved":
            self._by_alarm[event.alarm] = event.model
            if len(self._by_alarm) > MAX_ALARMS:
                self._by_alarm.popitem(last=False)
        else:
            self._by_alarm.pop(event.alarm, None)

    def models(self) -> set[str]:
        """Return the models with an open alarm."""
        return set(self._by_alarm.values())


class Trigger:
    """Inserts and cancels runs. Its methods are part of the transaction of their caller."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.config: Config = place.config
        self.alarms = OpenAlarms()

    def apply(
        self,
        connection: Connection,
        message: Decoded,
        items: Mapping[str, tuple[Item, ...]],
        at: float,
    ) -> str:
        """Apply a message; return its outcome. items: of references, by the id of the command."""
        if isinstance(message, str):
            return message
        if isinstance(message, ReplayEvent):
            return "own"
        if isinstance(message, Answer):
            if self.config.replay.model_for(message.model) is None:
                return "filtered"
            found = (message.model, items.get(message.command, ()))
            return freeze(connection, self.config, found, message.command, at)
        self.alarms.add(message)
        if message.change == "resolved":
            waiting.remove(connection, message.alarm)
            return self._cancel(connection, message, at)
        return self._start(connection, message, at)

    def schedule(self, connection: Connection, at: float) -> Counter[str]:
        """Insert the runs that are due by the schedule; return their outcomes."""
        hours = self.config.replay.schedule.every_hours
        outcomes = Counter[str]()
        if hours is None:
            return outcomes
        seconds = 3600.0 * hours
        for model in baselines.models(connection):
            plan = replay_plan(self.config.replay, model)
            baseline = baselines.find(connection, model)
            if plan is None or baseline is None or at - baseline.created_at < seconds:
                continue
            if queue.latest(connection, model, at - seconds) is None:
                key = f"schedule {int(at // seconds)}"
                request = run_request(plan, model, baseline.set_digest, key, "schedule")
                outcomes["queued" if queue.enqueue(connection, request, at) else "duplicate"] += 1
        return outcomes

    def _start(self, connection: Connection, event: DriftEvent, at: float) -> str:
        plan = replay_plan(self.config.replay, event.model)
        if plan is None or not starts_replay(event, self.config.replay):
            return "filtered"
        baseline = baselines.find(connection, event.model)
        digest = "" if baseline is None else baseline.set_digest
        details = drift_details(event)
        request = run_request(plan, event.model, digest, event.alarm, "drift", details)
        if queue.find(connection, request.id) is not None:
            return "duplicate"
        since = at - 60.0 * self.config.replay.cooldown_minutes
        if queue.latest(connection, event.model, since, "drift", failed=False) is not None:
            # it starts a run later if the one that caused the cooldown is cancelled
            encoded = encode_event(event)
            waiting.add(connection, event.alarm, event.model, encoded, event.time)
            return "cooldown"
        waiting.remove(connection, event.alarm)
        return "queued" if queue.enqueue(connection, request, at) else "duplicate"

    def _cancel(self, connection: Connection, event: DriftEvent, at: float) -> str:
        """Cancel the runs of an alarm that has resolved; another alarm may then start one."""
        latest = queue.latest(connection, event.model, 0.0, "drift")
        mine = latest is not None and latest.alarm == event.alarm and latest.state != "finished"
        for run in queue.cancel(connection, event.alarm, at):
            add_event(connection, self.place, replay_event(run), at)
        if not mine:
            return "filtered"
        for content in waiting.of_model(connection, event.model):
            if self._start(connection, decode_event(content), at) == "queued":
                break
        return "cancelled"
