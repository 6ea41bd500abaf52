"""`plumbline replay work`: do queued runs, without Kafka consumers."""

from __future__ import annotations

import argparse
import threading
from typing import Any

from monitor.cli.commands.replay.runs.run import stopped_by_signals
from monitor.cli.commands.replay.runs.store import opened
from monitor.cli.options import add_command, add_config, load_config


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "work",
        _work,
        "do the runs that the role has queued, such as on a machine with a GPU; the role sends the"
        " verdicts",
        "plumbline replay work --once -c plumbline.yaml",
    )
    parser.add_argument(
        "--once", action="store_true", help="do one run, if one is due, and end: for a job a run"
    )
    add_config(parser)


def _work(arguments: argparse.Namespace) -> int:
    from monitor.roles import replay_setup
    from monitor.telemetry import logging
    from monitor.telemetry.counters.metrics import Metrics

    config = load_config(arguments)
    logging.configure(config.log)
    replay_setup.check(config)
    from monitor.roles.replay_worker import ReplayWorker

    stopping = threading.Event()
    with opened(config) as store, stopped_by_signals(stopping):
        place = replay_setup.workplace(config, store, Metrics(), stopping.wait)
        number = 1 if arguments.once else max(1, config.replay.workers)
        workers = [ReplayWorker(place, replay_setup.worker_name(each)) for each in range(number)]
        if arguments.once:
            workers[0].work_once()
            return 0
        for worker in workers:
            worker.start()
        stopping.wait()
        for worker in workers:
            worker.join()
    return 0
