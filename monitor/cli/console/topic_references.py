"""References from the feature topic: accept one in a running detect, or build one to keep."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Sequence
from dataclasses import replace

import msgspec
from msgspec import structs
from rich.markup import escape

from monitor.cli.console.tables import new_console
from monitor.cli.options import print_json
from monitor.config.schema import Config
from monitor.detect.checkpoint.acceptance import build, text_of_period, too_few
from monitor.detect.reference import sources
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.sources import SourceSettings
from monitor.errors import UserError
from monitor.events.commands import (
    MAX_REFERENCE_RECORDS,
    AcceptReference,
    AcceptSourceReference,
    Answer,
    command_id,
)
from monitor.events.history import EventHistory, OpenAlarm
from monitor.events.wording.drift import printable, records_of, sentence
from monitor.kafka.topics import Topics
from monitor.records import Source
from monitor.roles.command_sender import CommandSender
from monitor.roles.event_log import add_message, event_values
from monitor.roles.traffic_selection import Selection, Selector, Traffic

EVENT_SECONDS = 30.0
"""Maximum time to read the events topic to its end."""
MAX_ALARMS = 10
"""Open alarms that are printed."""


def accept(config: Config, arguments: argparse.Namespace) -> int:
    """Send the command, unless --dry-run is given, and print the answer.

    Raises UserError if the command cannot be sent, is refused or is not answered in time.
    """
    sender = CommandSender(config.kafka)
    sender.check_partitions()
    settings = sources.settings(config)[Source(arguments.source)]
    alarms = _open_alarms(config, arguments)
    traffic, origin = _traffic(settings, arguments, alarms)
    selection = Selector(config).select(traffic)
    if selection.newest.records < settings.required_records:
        raise UserError(f"{arguments.model}: {too_few(settings, selection.newest.records)}")
    if not arguments.json:
        _print_plan(config, selection, origin, alarms)
    if arguments.dry_run:
        return 0
    command = _command(arguments, selection)
    partition = selection.range.partition
    offset = sender.send(command, partition)
    answer = sender.answer(command, (partition, offset), arguments.timeout)
    if answer.outcome == "refused":
        raise UserError(f"{arguments.model}: refused: {answer.reason}")
    if arguments.json:
        return print_json(msgspec.to_builtins(answer))
    _print_line(_result(answer))
    return 0


def profiles_from_topic(config: Config, arguments: argparse.Namespace) -> tuple[list[Profile], str]:
    """Return the profiles of models and their segments in the feature topic, and their origin.

    Raises UserError if the topic cannot be read, or has too few records of a model.
    """
    settings = sources.settings(config)[Source.LOG]
    records = min(arguments.records or settings.warmup_records, MAX_REFERENCE_RECORDS)
    profiles: list[Profile] = []
    for model in dict.fromkeys(arguments.from_topic):
        traffic = Traffic(model, records, arguments.since, arguments.until)
        newest = Selector(config).select(traffic).newest
        if newest.records < settings.required_records:
            raise UserError(f"{model}: {too_few(settings, newest.records)}")
        profiles += build(settings, newest.pieces()).values()
    return profiles, Topics(config.kafka.prefix).features


def _open_alarms(config: Config, arguments: argparse.Namespace) -> list[OpenAlarm]:
    """Return the open alarms that the command ends, the oldest first."""
    chosen, segment = (arguments.model, arguments.source), arguments.segment
    history = EventHistory()
    for value in event_values(config.kafka, EVENT_SECONDS):
        if value is None:
            break
        add_message(history, value)
    return [
        alarm
        for alarm in reversed(history.open_alarms())
        if (alarm.event.model, alarm.event.source) == chosen
        and segment in {None, alarm.event.segment}
    ]


def _traffic(
    settings: SourceSettings, arguments: argparse.Namespace, alarms: Sequence[OpenAlarm]
) -> tuple[Traffic, str]:
    """Return the traffic to accept, and its description."""
    records = min(arguments.records or settings.warmup_records, MAX_REFERENCE_RECORDS)
    period = arguments.since, arguments.until
    chosen = Traffic(arguments.model, records, *period, settings.source)
    if arguments.since is not None or arguments.until is not None:
        return chosen, "of the time range"
    onsets = [_onset(alarm) for alarm in alarms]
    if onsets:
        return replace(chosen, since=min(onsets)), "since the oldest open alarm began"
    return chosen, "the newest ones"


def _onset(alarm: OpenAlarm) -> float:
    """Return the event time at which the change of an alarm began, as far as it is known."""
    since = alarm.event.explanation.since
    return alarm.opened if since is None or since.time is None else since.time


def _command(arguments: argparse.Namespace, selection: Selection) -> AcceptReference:
    chosen, newest = selection.range, selection.newest
    command = AcceptReference(
        id=command_id(chosen.model, chosen.first, chosen.last, uuid.uuid4().hex),
        model=chosen.model,
        segment=arguments.segment,
        first=chosen.first,
        last=chosen.last,
        records=min(newest.records, newest.limit),
        at=chosen.last,
    )
    if chosen.source is Source.LOG:
        return command
    return AcceptSourceReference(**structs.asdict(command), source=chosen.source)


def _print_plan(
    config: Config, selection: Selection, origin: str, alarms: Sequence[OpenAlarm]
) -> None:
    chosen, newest = selection.range, selection.newest
    records = min(newest.records, newest.limit)
    left_out = f", the newest of {newest.seen:,}" if newest.seen > records else ""
    topic = f"{Topics(config.kafka.prefix).features}, partition {chosen.partition}"
    _print_line(
        f"new reference of {chosen.model}: {records:,} {records_of(chosen.source)}"
        f"{text_of_period(*newest.times())}, {origin}{left_out}"
        f" ({topic}, offsets {chosen.first} to {chosen.last - 1})"
    )
    _print_line(f"open alarms that end: {len(alarms)}")
    for alarm in alarms[:MAX_ALARMS]:
        _print_line(f"  {sentence(alarm.event)}")
    if len(alarms) > MAX_ALARMS:
        _print_line(f"  and {len(alarms) - MAX_ALARMS} more")


def _result(answer: Answer) -> str:
    segments = ""
    if answer.segments or answer.kept:
        segments = f"; segments with a new reference: {answer.segments}"
    if answer.kept:
        segments += f", with too few records, which keep theirs: {answer.kept}"
    return (
        f"accepted: reference {answer.reference} of {answer.model} with {answer.records:,} records;"
        f" alarms ended: {answer.alarms}{segments}"
    )


def _print_line(text: str) -> None:
    new_console().print(escape(printable(text)), soft_wrap=True, highlight=False)
