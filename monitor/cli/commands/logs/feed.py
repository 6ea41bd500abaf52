"""`plumbline feed`: put the messages of files on a topic."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import input_file, positive_number
from monitor.cli.commands.logs.decode import add_envelope
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError

if TYPE_CHECKING:
    from monitor.ingest.files.splitting.framing import Pieces
    from monitor.kafka.output.feeder import Feeder

_LONGEST_WAIT = 0.2
_DRAIN_SECONDS = 5.0
"""Time for the messages in the queue after an interruption."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "feed",
        _feed,
        "put the messages of files on a topic as they are, for trials, load tests and backfill",
        "plumbline feed messages.jsonl --topic inference-logs --rate 100",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=input_file,
        metavar="FILE",
        help="files with one message per line, or with one that is binary or pretty-printed; gzip"
        " and zstd are decompressed; - is standard input",
    )
    parser.add_argument("--topic", required=True, metavar="TOPIC", help="an existing topic")
    parser.add_argument(
        "--rate",
        type=positive_number,
        metavar="R",
        help="messages per second (default: as fast as the broker accepts them)",
    )
    parser.add_argument("--loop", action="store_true", help="repeat the files until interrupted")
    add_envelope(parser)
    add_config(parser)
    add_json(parser)


def _feed(arguments: argparse.Namespace) -> int:
    from monitor.kafka.output.feeder import Feeder

    config = load_config(arguments)
    if arguments.loop and any(str(path) == "-" for path in arguments.files):
        raise UserError("--loop: standard input cannot be repeated")
    feeder = Feeder(config.kafka, arguments.topic)
    feeder.check_topic()
    started = time.monotonic()
    status = 0
    try:
        with _progress(feeder) as show:
            _send_all(feeder, arguments, show)
            feeder.finish()
    except KeyboardInterrupt:
        status = 130
        feeder.drain(_DRAIN_SECONDS)
    seconds = time.monotonic() - started
    if arguments.json:
        print_json({"sent": feeder.sent, "bytes": feeder.sent_bytes, "seconds": round(seconds, 3)})
    else:
        print(
            f"{feeder.sent:,} messages ({feeder.sent_bytes:,} bytes) sent to {arguments.topic}"
            f" in {seconds:.1f} s"
        )
    return status


def _send_all(feeder: Feeder, arguments: argparse.Namespace, show: Callable[[], None]) -> None:
    """Send the messages of the files, at the rate, once or until interrupted."""
    from monitor.ingest.files.messages import read_messages

    started, queued = time.monotonic(), 0
    while True:
        before = queued
        for path in arguments.files:
            for pieces in read_messages(path, enveloped=arguments.envelope):
                for index in range(len(pieces.payloads)):
                    if pieces.is_blank(index):
                        continue
                    if index in pieces.invalid:
                        reason = pieces.invalid[index].detail
                        raise UserError(f"{path} line {pieces.lines[index]}: no envelope: {reason}")
                    if arguments.rate is not None:
                        _wait(feeder, started + queued / arguments.rate, show)
                    feeder.send(*_message(pieces, index), show)
                    queued += 1
        if queued == before:
            raise UserError(f"no messages in {', '.join(map(str, arguments.files[:3]))}")
        if not arguments.loop:
            return


def _message(pieces: Pieces, index: int) -> tuple[bytes, bytes | None, dict[str, bytes]]:
    """Return value, key and headers of a message. The end of a line is no part of its message."""
    value = pieces.payloads[index]
    if pieces.headers is not None and pieces.keys is not None:
        return value, pieces.keys[index], dict(pieces.headers[index])
    return (value.rstrip(b"\r\n") if pieces.numbers is None else value), None, {}


def _wait(feeder: Feeder, due: float, show: Callable[[], None]) -> None:
    """Wait until a time of the monotonic clock."""
    while (left := due - time.monotonic()) > 0:
        feeder.wait(min(left, _LONGEST_WAIT))
        show()


@contextmanager
def _progress(feeder: Feeder) -> Iterator[Callable[[], None]]:
    """Show the number of messages on standard error, if that is a terminal.

    Yields a function that shows the current number.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from monitor.cli.console.tables import new_console

    console = new_console(stderr=True)
    if not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} messages sent"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("sending", total=None)
        yield lambda: progress.update(task, completed=feeder.sent)
