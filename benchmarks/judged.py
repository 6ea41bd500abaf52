"""Measure false pages and the detection delay of judged samples, with the default windows.

The samples have the scores of four dimensions: two of 0 to 5, a share of supported statements and a
similarity, some of them unscored. In a trial without a change, every alarm that pages is a false
page. In a trial with a change, the scores of one dimension fall from 4.2 +- 0.8 to 3.4 +- 1.1.

    python -m benchmarks.judged [--trials N] [--samples N] [--budget PAGES] [--make-records PATH]

With --make-records, the same is measured for the recorded preference of real answers: as if a judge
had said which of two answers is better. The answers of one model are replaced by those of another.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from monitor.config.sections.detection import AlarmsConfig
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import sources
from monitor.events.types import pages
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source
from tests.monitor import judged

RESULT = Path(__file__).parent / "results" / "judged.json"
MODEL, OTHER_MODEL = "gpt4_1106_preview", "vicuna-7b-v1.5"
HORIZON = 2_000
"""Samples after the change within which an alarm must open."""


def measure(trials: int, samples: int, budget: float) -> dict[str, Any]:
    """Return false pages and delays.

    samples: of a trial without a change, in addition to the reference. budget: `false_pages`.
    """
    alarms = AlarmsConfig(false_pages=budget)
    settings = sources.settings(judged.config(alarms=alarms))[Source.JUDGE]
    days = trials * samples / judged.RATE / 86_400
    delays = [delay(seed) for seed in range(trials)]
    return {
        "trials": trials,
        "samples": samples,
        "false_pages": sum(false_pages(alarms, samples, seed) for seed in range(trials)),
        "allowed": round(budget * settings.share / alarms.per_days * days, 2),
        "delay": {"median": median(delays), "largest": max(delays)},
    }


def false_pages(alarms: AlarmsConfig, samples: int, seed: int) -> int:
    """Return the number of alarms that page without a change."""
    monitor = DriftMonitor(judged.config(alarms=alarms), {})
    events = monitor.process(judged.samples(judged.REFERENCE + samples, seed=seed))
    return len({event.alarm for event in events if pages(event.severity)})


def delay(seed: int) -> float:
    """Return the samples from the change to the first page; infinite if there is none."""
    monitor = DriftMonitor(judged.config(), {})
    before = judged.REFERENCE + judged.WINDOW + 7 * seed  # anywhere between two strides
    monitor.process(judged.samples(before, seed=seed))
    after = judged.samples(HORIZON, seed=10_000 + seed, first=before, quality=judged.WORSE)
    paged = [event.record - before for event in monitor.process(after) if pages(event.severity)]
    return min(paged, default=float("inf"))


def recorded(tool: Path, samples: int, trials: int) -> dict[str, Any]:
    """Return false pages and delays with recorded preferences as the scores of a judge."""
    before = judged.REFERENCE + judged.WINDOW
    steady = _events(tool, judged.REFERENCE + samples)
    delays = []
    for seed in range(trials):
        change = before + 37 * seed
        swap = ("--swap", f"{OTHER_MODEL}@{change}", "--seed", str(seed))
        paged = [record - change for record in _events(tool, change + HORIZON, *swap)]
        delays.append(min((each for each in paged if each > 0), default=float("inf")))
    return {
        "samples": samples,
        "false_pages": len(steady),
        "trials": trials,
        "delay": {"median": median(delays), "largest": max(delays)},
    }


def _events(tool: Path, count: int, *options: str) -> list[int]:
    """Return the numbers of the records at which an event pages."""
    command = [sys.executable, str(tool), "-n", str(count), "--model", MODEL, *options]
    lines = subprocess.run(command, check=True, capture_output=True).stdout.splitlines()
    scores = np.array([[json.loads(line)["scores"]["preference"] for line in lines]])
    number = np.arange(count)
    columns = Columns(
        model=MODEL,
        positions=number + 1,
        times=judged.START + number / judged.RATE,
        numeric=("judge.preference",),
        binary=(),
        values=scores,
        categories=(),
        source=Source.JUDGE,
    )
    events = DriftMonitor(judged.config(), {}).process(columns)
    return [event.record for event in events if pages(event.severity)]


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--budget", type=float, default=1.0, help="alarms.false_pages")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--make-records", type=Path, help="tool that makes records of real answers")
    arguments = parser.parse_args()
    result = measure(arguments.trials, arguments.samples, arguments.budget)
    if arguments.make_records is not None:
        result["recorded"] = recorded(arguments.make_records, arguments.samples, arguments.trials)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
