"""What the benchmark measures on the same topic: loops, the daemon, and two stream processors."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness.daemon import ROOT, DaemonError, run_module
from benchmarks.throughput.consumers import FETCH
from benchmarks.throughput.measure import INGEST_ONLY, Job, Measurement, measure

PEER_PYTHON = ROOT / ".venv-streaming" / "bin" / "python"
"""Interpreter of `make streaming-peers`."""

BASE = "json_loads"
"""The contender that the others are compared with."""

DAEMON = "daemon"
PEER_SECONDS = 1200

Measure = Callable[[Job, Path], Measurement]


@dataclasses.dataclass(frozen=True, slots=True)
class Contender:
    """One program that reads the whole topic.

    title: what it does. state: what it keeps durably. peer: whether it runs in the environment of
    the peers.
    """

    name: str
    title: str
    state: str
    measure: Measure
    peer: bool = False


def loop(mode: str) -> Measure:
    """Return a contender that runs a loop around consume(): see `consumers`."""

    def run(job: Job, _: Path) -> Measurement:
        arguments = [mode, job.bootstrap, job.topic, str(job.messages)]
        found = run_module(["benchmarks.throughput.consumers", *arguments])
        return Measurement(*(each / job.per_message for each in found))

    return run


def _ingest(job: Job, directory: Path) -> Measurement:
    return measure(dataclasses.replace(job, roles=INGEST_ONLY), directory)


def _processes(job: Job, directory: Path) -> Measurement:
    return measure(dataclasses.replace(job, flags=("--processes",)), directory)


def _peer(module: str, *flags: str) -> Measure:
    def run(job: Job, directory: Path) -> Measurement:
        state = directory / f"state-{uuid.uuid4().hex[:8]}"
        state.mkdir()
        arguments = [job.bootstrap, job.topic, str(job.records), json.dumps(FETCH), str(state)]
        done = subprocess.run(
            [str(PEER_PYTHON), "-m", f"benchmarks.throughput.peers.{module}", *arguments, *flags],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=PEER_SECONDS,
        )
        if done.returncode:
            raise DaemonError(f"{module} failed:\n{done.stderr[-2000:]}")
        return Measurement(*json.loads(done.stdout.splitlines()[-1]))

    return run


CONTENDERS = (
    Contender("consume", "`consume()`, records ignored", "nothing", loop("consume")),
    Contender(BASE, "`consume()` and `json.loads`", "nothing", loop(BASE)),
    Contender("orjson", "`consume()` and `orjson.loads`", "nothing", loop("orjson")),
    Contender(
        "river_adwin",
        "`consume()`, `orjson.loads` and river's ADWIN on one feature",
        "nothing",
        loop("river_adwin"),
    ),
    Contender(
        "json_loads_plain",
        "`consume()` and `json.loads`, the client's default settings",
        "nothing",
        loop("json_loads_plain"),
    ),
    Contender(
        "ingest",
        "Plumbline, ingest: all features to a topic",
        "offsets and chunks, exactly once",
        _ingest,
    ),
    Contender(
        DAEMON,
        "Plumbline, ingest and detect: all features and detectors",
        "offsets, chunks, windows and detectors, exactly once",
        measure,
    ),
    Contender(
        "processes",
        "The same with `--processes`: ingest in a process of its own",
        "offsets, chunks, windows and detectors, exactly once",
        _processes,
    ),
    Contender(
        "quix", "Quix Streams: mean of one feature by window", "offsets", _peer("quix"), True
    ),
    Contender(
        "quix_durable",
        "Quix Streams: the same",
        "offsets and windows, at least once",
        _peer("quix", "--durable"),
        True,
    ),
    Contender(
        "bytewax",
        "Bytewax: mean of one feature by window",
        "nothing",
        _peer("bytewax_flow"),
        True,
    ),
    Contender(
        "bytewax_durable",
        "Bytewax: the same",
        "offsets and windows, at least once",
        _peer("bytewax_flow", "--durable"),
        True,
    ),
)


def available() -> list[Contender]:
    """Return the contenders whose environment exists."""
    return [c for c in CONTENDERS if not c.peer or PEER_PYTHON.exists()]


def rotated(contenders: Sequence[Contender], number: int, rounds: int) -> list[Contender]:
    """Return the order of one round: each begins with another contender.

    number: the round, from 0.
    """
    first = number * len(contenders) // rounds % len(contenders)
    return [*contenders[first:], *contenders[:first]]
