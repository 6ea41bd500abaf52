"""`plumbline replay run`: replay a model by hand, or run its baseline."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.commands.replay.runs.store import opened
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.config.schema import Config
    from replay.store import Store
    from replay.store.queue import Run, Trigger

EXIT: Final = {"not_regressed": 0, "regressed": 1, "error": 2, "cancelled": 2, "inconclusive": 3}
"""Exit status by verdict."""
PRIORITY: Final = 100
"""A run by hand comes before those that wait."""
POLL_SECONDS: Final = 0.5


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        _run,
        "replay a model now: exit status 0 not regressed, 1 regressed, 2 error, 3 inconclusive",
        "plumbline replay run llama-3.3 -c plumbline.yaml",
    )
    parser.add_argument("model", metavar="MODEL", help="name of the model, as in the log")
    parser.add_argument(
        "--set",
        type=_set_version,
        metavar="DIR/NAME[@VERSION]",
        help="frozen evaluation set (default: the items of the model's baseline)",
    )
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="make the results the baseline that later replays are compared with",
    )
    parser.add_argument(
        "--queue", action="store_true", help="only queue the run, for the workers of the role"
    )
    add_config(parser)
    add_json(parser)


def _set_version(text: str) -> tuple[Path, str, int | None]:
    """Return directory, name and number of a version of an evaluation set."""
    path, _, version = text.partition("@")
    folder = Path(path)
    if not folder.name or (version and not version.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not DIR/NAME or DIR/NAME@VERSION")
    return folder.parent, folder.name, int(version) if version else None


def _run(arguments: argparse.Namespace) -> int:
    config = load_config(arguments)
    with opened(config) as store:
        identity = _enqueue(store, config, arguments)
        if arguments.queue:
            print(identity)
            return 0
        found = _work(store, config, identity)
        if arguments.json:
            import msgspec

            print_json(msgspec.to_builtins(found))
        else:
            _print(store, found)
    if found.trigger == "baseline" and found.verdict == "inconclusive":
        return 0
    return EXIT[found.verdict or "error"]


def _enqueue(store: Store, config: Config, arguments: argparse.Namespace) -> str:
    """Insert the run; return its id. Raises UserError if the model has no items or no baseline."""
    import msgspec

    from monitor.roles.replay_plan import replay_plan, run_request
    from replay.store import baselines, queue, sets

    plan = replay_plan(config.replay, arguments.model)
    if plan is None:
        raise UserError("replay.model is missing: describe how the model is reached")
    trigger: Trigger = "baseline" if arguments.baseline else "manual"
    with store.write() as connection:
        now = time.time()
        if arguments.set is not None:
            from replay.sets.versions import read_version

            item_set = read_version(*arguments.set)
            sets.save(connection, item_set, now)
            digest = item_set.digest
        else:
            baseline = baselines.find(connection, arguments.model)
            digest = "" if baseline is None else baseline.set_digest
        if not arguments.baseline and baselines.find(connection, arguments.model, digest) is None:
            raise UserError(
                f"model {arguments.model!r} has no baseline to compare with; accept a reference"
                " while samples are written, or run: plumbline replay run --baseline --set DIR/NAME"
            )
        if not digest and not plan.tasks:
            raise UserError("there are no items: give --set DIR/NAME, or name replay.tasks")
        key = f"{trigger} {uuid.uuid4().hex}"
        request = run_request(plan, arguments.model, digest, key, trigger)
        request = msgspec.structs.replace(request, priority=PRIORITY)
        queue.enqueue(connection, request, now)
    return request.id


def _work(store: Store, config: Config, identity: str) -> Run:
    """Do runs until that one has ended, here or in another worker; return it."""
    from monitor.roles.replay_setup import worker_name, workplace
    from monitor.roles.replay_worker import ReplayWorker
    from monitor.telemetry.counters.metrics import Metrics
    from replay.store import queue

    stopping = threading.Event()
    with stopped_by_signals(stopping):
        place = workplace(config, store, Metrics(), stopping.wait)
        worker = ReplayWorker(place, worker_name(0))
        while True:
            with store.read() as connection:
                found = queue.find(connection, identity)
            if found is None:
                raise UserError(f"run {identity} is not in the store any more")
            if found.state == "finished":
                return found
            if stopping.is_set():
                raise KeyboardInterrupt
            if not worker.work_once():
                stopping.wait(POLL_SECONDS)


@contextmanager
def stopped_by_signals(stopping: threading.Event) -> Iterator[None]:
    """Set the event at SIGTERM and SIGINT: the run is given back, not left to its lease."""

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(store: Store, found: Run) -> None:
    from monitor.cli.commands.replay.runs.show import run_report
    from replay.report.sentence import sentence

    if found.trigger == "baseline" and found.verdict == "inconclusive":
        print(f"baseline of {found.model}: {found.done} items; run {found.id}")
        return
    report = run_report(store, found.id)
    print(f"{sentence(report.run, report.decision)}; run {found.id}")
    if found.detail:
        print(found.detail, file=sys.stderr)
