"""Does the benchmark's tasks, one at a time, in the environment that it is started in.

A line of JSON in, a line of JSON out. What a library prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.detectors import measure, streams, tune
from benchmarks.detectors.peers import CONTESTANTS
from benchmarks.detectors.protocol import Peer

Task = dict[str, Any]


@cache
def peer_of(name: str) -> Peer:
    """The contestant, made once."""
    return CONTESTANTS[name].load()


def _stream(task: Task) -> streams.Stream:
    data = task.get("data")
    return streams.with_traces(Path(data) if data else None)[task["stream"]]


def do_hello(task: Task) -> Task:
    """Whether it draws the same streams, and what it can load, by name."""
    found: dict[str, Any] = {}
    for name in task["peers"]:
        peer = peer_of(name)
        kinds = [s.name for s in streams.STREAMS.values() if measure.readable(peer, s.kind)]
        knob = {"name": peer.knob.name, "default": peer.knob.default}
        found[name] = {
            "version": peer.version(),
            "reads": kinds,
            "memory": peer.memory,
            "knob": knob,
        }
    libraries = {name: version(name) for name in ("numpy", "scipy")}
    return {"fingerprint": measure.fingerprint(), "peers": found, "libraries": libraries}


def do_null(task: Task) -> Task:
    """False alarms on a quiet stream, by knob."""
    first, count = task["trials"]
    trials = (
        streams.null_trial(_stream(task), "null", number, task["records"])
        for number in range(first, first + count)
    )
    records, counts = measure.false_alarms(peer_of(task["peer"]), trials, task["knobs"])
    return {"records": records, "counts": counts}


def do_change(task: Task) -> Task:
    """Delays after a change, by knob."""
    first, count = task["trials"]
    change = streams.CHANGES[task["change"]]
    trials = (
        streams.change_trial(change, streams.STREAMS, number, task["after"])
        for number in range(first, first + count)
    )
    return {"delays": measure.delays(peer_of(task["peer"]), trials, task["knobs"])}


def do_tune(task: Task) -> Task:
    """The knobs for the rates asked for."""
    peer, stream = peer_of(task["peer"]), _stream(task)
    numbers = range(task["trials"][1])
    trials = (streams.null_trial(stream, "tune", i, task["records"]) for i in numbers)
    records = task["records"] * len(numbers)
    enough = tune.enough(max(task["rates"]), records)
    count = cache(measure.counter(peer, trials, enough))
    found = {rate: tune.tuned(peer.knob, count, records, rate) for rate in task["rates"]}
    return {"knobs": tune.as_json(found)}


def do_cost(task: Task) -> Task:
    """Time and memory."""
    return measure.cost(peer_of(task["peer"]), streams.STREAMS, task["records"])


DO: dict[str, Callable[[Task], Task]] = {
    "hello": do_hello,
    "null": do_null,
    "change": do_change,
    "tune": do_tune,
    "cost": do_cost,
}


def main() -> None:
    """Answer until there is nothing more to do."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # the libraries' own; they are not ours to mend
    for line in sys.stdin:
        task = json.loads(line)
        started = time.perf_counter()
        try:
            answer = DO[task["do"]](task)
        except Exception as error:  # whatever a library raises is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["seconds"] = round(time.perf_counter() - started, 3)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
