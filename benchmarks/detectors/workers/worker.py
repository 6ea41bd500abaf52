"""Run tasks of the benchmark, one at a time, in the environment of this process.

Each line of JSON on stdin is a task, each line on stdout its answer. Output of libraries goes to
stderr.
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
from benchmarks.detectors.contestants import CONTESTANTS
from benchmarks.detectors.protocol import Contestant

Task = dict[str, Any]


@cache
def contestant_of(name: str) -> Contestant:
    """Return a contestant; it is created once."""
    return CONTESTANTS[name].load()


def _stream(task: Task) -> streams.Stream:
    data = task.get("data")
    return streams.with_traces(Path(data) if data else None)[task["stream"]]


def describe(task: Task) -> Task:
    """Return the fingerprint of the streams, and version, streams and knob of each contestant."""
    found: dict[str, Any] = {}
    for name in task["peers"]:
        contestant = contestant_of(name)
        kinds = [s.name for s in streams.STREAMS.values() if measure.can_read(contestant, s.kind)]
        knob = {"name": contestant.knob.name, "default": contestant.knob.default}
        found[name] = {
            "version": contestant.version(),
            "reads": kinds,
            "memory": contestant.memory,
            "knob": knob,
        }
    libraries = {name: version(name) for name in ("numpy", "scipy")}
    return {"fingerprint": measure.fingerprint(), "peers": found, "libraries": libraries}


def measure_null(task: Task) -> Task:
    """Return the false alarms on a null stream, by knob."""
    first, count = task["trials"]
    trials = (
        streams.null_trial(_stream(task), "null", number, task["records"])
        for number in range(first, first + count)
    )
    records, counts = measure.false_alarms(contestant_of(task["peer"]), trials, task["knobs"])
    return {"records": records, "counts": counts}


def measure_change(task: Task) -> Task:
    """Return the delays after a change, by knob."""
    first, count = task["trials"]
    change = streams.CHANGES[task["change"]]
    trials = (
        streams.change_trial(change, streams.STREAMS, number, task["after"])
        for number in range(first, first + count)
    )
    return {"delays": measure.delays(contestant_of(task["peer"]), trials, task["knobs"])}


def tune_contestant(task: Task) -> Task:
    """Return the knobs for the requested rates."""
    contestant, stream = contestant_of(task["peer"]), _stream(task)
    numbers = range(task["trials"][1])
    trials = (streams.null_trial(stream, "tune", i, task["records"]) for i in numbers)
    records = task["records"] * len(numbers)
    limit = tune.count_limit(max(task["rates"]), records)
    count = cache(measure.episode_counter(contestant, trials, limit))
    found = {rate: tune.tune_knob(contestant.knob, count, records, rate) for rate in task["rates"]}
    return {"knobs": tune.as_json(found)}


def measure_cost(task: Task) -> Task:
    """Return CPU time and memory."""
    return measure.cost(contestant_of(task["peer"]), streams.STREAMS, task["records"])


OPERATIONS: dict[str, Callable[[Task], Task]] = {
    "describe": describe,
    "null": measure_null,
    "change": measure_change,
    "tune": tune_contestant,
    "cost": measure_cost,
}


def main() -> None:
    """Answer tasks until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # raised inside the libraries
    for line in sys.stdin:
        task = json.loads(line)
        started = time.perf_counter()
        try:
            answer = OPERATIONS[task["do"]](task)
        except Exception as error:  # a failure of a library is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["seconds"] = round(time.perf_counter() - started, 3)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
