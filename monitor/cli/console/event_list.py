"""List the events of the events topic in words or as JSON lines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec

from monitor.cli.console.tables import new_console, print_event
from monitor.cli.options import print_error
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.codec import event_fields
from monitor.events.history import EventHistory
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from monitor.roles.event_log import add_message, event_values

READ_SECONDS = 30.0
"""Maximum time to read the topic to its end."""


def list_events(config: KafkaConfig, arguments: argparse.Namespace) -> int:
    """Print the open alarms or the newest events, then new ones with --follow.

    Raises UserError if the topic cannot be read.
    """
    history, listed = EventHistory(), False
    for value in event_values(config, READ_SECONDS):
        if value is not None:
            event = add_message(history, value)
            if listed and event is not None and arguments.model in {None, event.model}:
                _print([event], as_json=arguments.json)
            continue
        listed = True
        _print(_chosen(history, arguments), as_json=arguments.json)
        if history.unreadable:
            print_error(f"{history.unreadable} messages are no events")
        if not arguments.follow:
            break
    return 0


def _chosen(history: EventHistory, arguments: argparse.Namespace) -> list[DriftEvent]:
    if not arguments.open:
        return history.newest(arguments.last, model=arguments.model)
    events = [alarm.event for alarm in reversed(history.open_alarms())]
    return [e for e in events if arguments.model in {None, e.model}][-arguments.last :]


def _print(events: Sequence[DriftEvent], *, as_json: bool) -> None:
    console = new_console()
    for event in events:
        if as_json:
            line = msgspec.json.encode({"summary": sentence(event), **event_fields(event)})
            print(line.decode(), flush=True)
        else:
            print_event(console, event)
    if not events and not as_json:
        console.print("no events")
