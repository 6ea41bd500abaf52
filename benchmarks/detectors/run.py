"""Run the benchmark of detectors: tune, measure, and write result, tables and plots.

Every task runs in a worker process of the environment of its contestant. A journal keeps the
answers under keys that contain all inputs, including the contestant's version. An interrupted run
continues from it, and after a change of Plumbline's detectors only Plumbline's tasks run again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.detectors import streams
from benchmarks.detectors.contestants import CONTESTANTS, PEER_ENVIRONMENT, PROJECT_ENVIRONMENT
from benchmarks.detectors.plan import PLANS, RATES, TRIAL, Plan, Task, is_slow, split_trials
from benchmarks.detectors.protocol import REVISION, STRIDE, WINDOW
from benchmarks.detectors.report import tables
from benchmarks.detectors.report.rows import Row, TaskKey, change_rows, null_rows
from benchmarks.detectors.workers.pool import (
    PEER_PYTHON,
    ROOT,
    Answer,
    BenchmarkError,
    Journal,
    Workers,
)

OUT = ROOT / "benchmarks" / "results" / "detectors.json"
PROMISE_OUT = OUT.with_name("promise.json")
JOURNAL = ROOT / "build" / "detectors.jsonl"
FALLBACK = "normal"
"""The stream whose knobs are used on null streams without tuning."""

Jobs = Iterator[tuple[TaskKey, Task]]


class Benchmark:
    """One run of a plan."""

    def __init__(
        self, plan: Plan, names: Sequence[str], data: Path | None, jobs: int, journal: Path
    ) -> None:
        self.plan = plan
        self.names = names
        self.data = str(data.resolve()) if data else None
        self.streams = streams.with_traces(data)
        self.jobs = jobs
        self.journal = Journal(journal)
        self.workers = Workers()
        self.started = time.monotonic()
        self.knobs: dict[str, dict[str, dict[str, Any]]] = {}
        self.libraries: dict[str, dict[str, str]] = {}

    def report(self, text: str) -> None:
        """Print progress to stderr."""
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", file=sys.stderr, flush=True)

    def run(self) -> dict[str, Any]:
        """Run all tasks and return the result; measurements need the tuned knobs."""
        return self._run(tune=True)

    def run_promise(self) -> dict[str, Any]:
        """Measure the budgets of Plumbline, without tuning: minutes instead of hours."""
        return self._run(tune=False)

    def _run(self, *, tune: bool) -> dict[str, Any]:
        try:
            self.contestants = self._describe()
            if tune:
                for key, answer in self._answers(self._tunings()):
                    self.knobs.setdefault(key.contestant, {})[key.subject] = answer["knobs"]
            return self._result(
                nulls=list(null_rows(self._answers(self._nulls()))),
                changes=list(change_rows(self._answers(self._changes()))),
                costs=self._costs() if tune else [],
            )
        finally:
            self.workers.stop()

    def _describe(self) -> dict[str, Any]:
        """Return version, streams and knob of each contestant.

        Raises BenchmarkError if the environments draw different streams.
        """
        found: dict[str, Any] = {}
        fingerprints = set()
        for environment in (PROJECT_ENVIRONMENT, PEER_ENVIRONMENT):
            names = [n for n in self.names if CONTESTANTS[n].environment == environment]
            if names:
                answer = self.workers.call(environment, {"do": "describe", "peers": names})
                fingerprints.add(answer["fingerprint"])
                found |= answer["peers"]
                self.libraries[environment] = answer["libraries"]
        if len(fingerprints) > 1:
            raise BenchmarkError("the two environments draw different streams from the same seeds")
        return found

    def _answers(self, jobs: Jobs) -> Iterator[tuple[TaskKey, Answer]]:
        """Yield the answers to all tasks in order, from the journal or from the workers."""
        keys, tasks = zip(*jobs, strict=True)
        self.report(f"{tasks[0]['do']}: {len(tasks)} tasks")
        with ThreadPoolExecutor(self.jobs) as pool:
            yield from zip(keys, pool.map(self._answer, tasks), strict=True)

    def _answer(self, task: Task) -> Answer:
        name = task["peer"]
        # The key excludes the folder of the data: its location has no effect.
        context = {"version": self.contestants[name]["version"], "revision": REVISION}
        key = json.dumps(task | {"data": None} | context)
        known = self.journal.get(key)
        if known is None:
            known = self.workers.call(CONTESTANTS[name].environment, task)
            self.journal.put(key, known)
            subject = " ".join(str(task[k]) for k in ("stream", "change", "after") if k in task)
            self.report(f"{task['do']} {name} {subject}: {known['seconds']:.0f} s")
        return known

    def _tunings(self) -> Jobs:
        for name in self.names:
            for base in streams.BASES:
                if CONTESTANTS[name].role != "baseline" and self._reads(name, base):
                    count, records = self.plan.tuning_trials(name)
                    task = {"do": "tune", "peer": name, "stream": base, "rates": RATES}
                    yield (
                        TaskKey(name, base, (), ()),
                        task | {"records": records, "trials": [0, count]},
                    )

    def _nulls(self) -> Jobs:
        """Yield the tasks for false alarms; streams without tuning use the knobs of N(0, 1)."""
        for name in self.names:
            for stream in self.streams.values():
                if not self._reads(name, stream.name) or _too_wide(name, stream.features):
                    continue
                base = stream.name if stream.name in streams.BASES else FALLBACK
                settings = self._settings(name, base)
                key = TaskKey(name, stream.name, (base, stream.features), tuple(settings.items()))
                count, records = self.plan.null_trials(name, stream.features)
                task = {"do": "null", "peer": name, "stream": stream.name, "records": records}
                task["knobs"] = list(settings.values())
                if stream.name in streams.TRACES:
                    task["data"] = self.data
                for trials in split_trials(name, count, records * stream.features):
                    yield key, task | {"trials": trials}

    def _changes(self) -> Jobs:
        """Yield the tasks for delays; a contestant with a short memory is measured once."""
        for name in self.names:
            memory = self.contestants[name]["memory"]
            forgets = memory is not None and memory <= min(self.plan.afters)
            for change in streams.CHANGES.values():
                if not self._reads(name, change.base):
                    continue
                settings = self._settings(name, change.base)
                for after in self.plan.afters[:1] if forgets else self.plan.afters:
                    key = TaskKey(name, change.name, (after,), tuple(settings.items()))
                    task = {"do": "change", "peer": name, "change": change.name, "after": after}
                    task["knobs"] = list(settings.values())
                    records = after + change.horizon
                    count = self.plan.change_trials(name, records)
                    for trials in split_trials(name, count, records):
                        yield key, task | {"trials": trials}

    def _reads(self, name: str, stream: str) -> bool:
        kind = "normal" if stream in streams.TRACES else stream
        return kind in self.contestants[name]["reads"]

    def _settings(self, name: str, base: str) -> dict[str, float]:
        """Return the knobs to measure a contestant with; tuned ones are those of `base`.

        Plumbline is also measured untuned, at budgets of one and ten false pages per million.
        """
        found: dict[str, float] = {"default": self.contestants[name]["knob"]["default"]}
        if CONTESTANTS[name].role == "ours":
            found |= {f"promise_{rate:g}": rate for rate in RATES}
        for rate, tuned in self.knobs.get(name, {}).get(base, {}).items():
            if tuned["value"] is not None:
                found[f"at_{rate}"] = tuned["value"]
        return found

    def _costs(self) -> list[Row]:
        """Measure CPU time and memory one after the other, in every run, on the same machine."""
        rows = []
        for name in self.names:
            records = int(min(60_000, max(6000, 1e6 / CONTESTANTS[name].cost))) // 300 * 300
            task = {"do": "cost", "peer": name, "records": records}
            rows.append({"peer": name} | self.workers.call(CONTESTANTS[name].environment, task))
            self.report(f"cost {name}: {rows[-1]['us']:.3f} us")
        return rows

    def _result(self, nulls: list[Row], changes: list[Row], costs: list[Row]) -> dict[str, Any]:
        titles = {
            n: {"title": CONTESTANTS[n].title, "role": CONTESTANTS[n].role} for n in self.names
        }
        return {
            "plan": asdict(self.plan),
            "protocol": {
                "revision": REVISION,
                "reference": streams.REFERENCE,
                "window": WINDOW,
                "stride": STRIDE,
                "latch": WINDOW,
                "trial": TRIAL,
                "rates": RATES,
                "entropy": streams.ENTROPY,
                "purposes": streams.PURPOSES,
            },
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "libraries": self.libraries,
            "left_out": [] if self.data else [text for *_, text in streams.TRACES.values()],
            "streams": {s.name: s.text for s in self.streams.values()},
            "change_streams": {
                c.name: {"text": c.text, "base": c.base, "shift": c.shift, "horizon": c.horizon}
                for c in streams.CHANGES.values()
            },
            "peers": {name: titles[name] | self.contestants[name] for name in self.names},
            "knobs": self.knobs,
            "nulls": nulls,
            "changes": changes,
            "costs": costs,
        }


def _too_wide(name: str, features: int) -> bool:
    """Return whether a slow contestant would need too long for several features."""
    return features > 1 and is_slow(CONTESTANTS[name])


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detectors.run", description=__doc__)
    parser.add_argument(
        "--form", choices=PLANS, default="quick", help="quick: minutes, full: hours"
    )
    parser.add_argument(
        "--data", type=Path, help="folder with azure_llm_2023_*.csv.gz; without it, no real traffic"
    )
    parser.add_argument(
        "--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="contestants"
    )
    parser.add_argument(
        "--promise",
        action="store_true",
        help="measure only false pages and delays of Plumbline at its budgets, without tuning",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--seconds", type=float, help="time of slow contestants, see README")
    parser.add_argument("--journal", type=Path, default=JOURNAL, help="answers of earlier runs")
    parser.add_argument("--out", type=Path, help=f"{OUT.name}, with --promise {PROMISE_OUT.name}")
    args = parser.parse_args(argv)
    if args.promise:
        args.only = [name for name in args.only if CONTESTANTS[name].role == "ours"]
    args.out = args.out or (PROMISE_OUT if args.promise else OUT)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if there is a result."""
    args = arguments(argv)
    needs_peers = any(CONTESTANTS[name].environment == PEER_ENVIRONMENT for name in args.only)
    if needs_peers and not PEER_PYTHON.exists():
        text = "benchmark: the environment of the peers is missing; create it with: make peers"
        print(text, file=sys.stderr)
        return 2
    plan = PLANS[args.form]
    plan = replace(plan, seconds=args.seconds) if args.seconds else plan
    try:
        benchmark = Benchmark(plan, args.only, args.data, args.jobs, args.journal)
        result = benchmark.run_promise() if args.promise else benchmark.run()
    except (BenchmarkError, FileNotFoundError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    write(result, args.out)
    return 0


def write(result: dict[str, Any], out: Path) -> None:
    """Write result and tables and, if the environment of the peers exists, the plots."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = tables.markdown(result) if result["knobs"] else tables.promise(result)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    if result["knobs"] and PEER_PYTHON.exists():
        plots = [str(PEER_PYTHON), "-m", "benchmarks.detectors.report.plots", str(out.resolve())]
        subprocess.run(plots, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
