"""Run the benchmark of detectors: tune, measure, write the result, its tables and its plots.

Every task goes to a worker process of the environment that its contestant needs. What it answers is
kept in a journal under a key of all that the answer depends on, the contestant's version included:
an interrupted run goes on where it was, and after a change of our own detectors only our own tasks
are done again.
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

from benchmarks.detectors import streams, tables
from benchmarks.detectors.peers import CONTESTANTS, OURS, THEIRS
from benchmarks.detectors.plan import PLANS, RATES, TRIAL, Plan, Task, is_slow, pieces
from benchmarks.detectors.protocol import REVISION, STRIDE, WINDOW
from benchmarks.detectors.rows import Head, Row, change_rows, null_rows
from benchmarks.detectors.workers import (
    ROOT,
    THEIR_PYTHON,
    Answer,
    BenchmarkError,
    Journal,
    Workers,
)

OUT = ROOT / "benchmarks" / "results" / "detectors.json"
JOURNAL = ROOT / "build" / "detectors.jsonl"
FALLBACK = "normal"
"""What a contestant is tuned on for null streams on which nobody is tuned."""

Jobs = Iterator[tuple[Head, Task]]


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

    def say(self, text: str) -> None:
        """Progress, for whoever waits."""
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", file=sys.stderr, flush=True)

    def run(self) -> dict[str, Any]:
        """Everything, in an order in which each step knows what it needs."""
        try:
            self.peers = self._hello()
            for head, answer in self._answers(self._tunings()):
                self.knobs.setdefault(head.peer, {})[head.subject] = answer["knobs"]
            return self._result(
                nulls=list(null_rows(self._answers(self._nulls()))),
                changes=list(change_rows(self._answers(self._changes()))),
                costs=self._costs(),
            )
        finally:
            self.workers.end()

    def _hello(self) -> dict[str, Any]:
        """What the contestants say of themselves; both environments must draw the same streams."""
        found: dict[str, Any] = {}
        fingerprints = set()
        for environment in (OURS, THEIRS):
            names = [n for n in self.names if CONTESTANTS[n].environment == environment]
            if names:
                answer = self.workers.ask(environment, {"do": "hello", "peers": names})
                fingerprints.add(answer["fingerprint"])
                found |= answer["peers"]
                self.libraries[environment] = answer["libraries"]
        if len(fingerprints) > 1:
            raise BenchmarkError("the two environments draw different streams from the same seeds")
        return found

    def _answers(self, jobs: Jobs) -> Iterator[tuple[Head, Answer]]:
        """The answers to all tasks in their order, from the journal or from the workers."""
        heads, tasks = zip(*jobs, strict=True)
        self.say(f"{tasks[0]['do']}: {len(tasks)} tasks")
        with ThreadPoolExecutor(self.jobs) as pool:
            yield from zip(heads, pool.map(self._answer, tasks), strict=True)

    def _answer(self, task: Task) -> Answer:
        name = task["peer"]
        # where the data lies does not matter, what it is does not change
        context = {"version": self.peers[name]["version"], "revision": REVISION}
        key = json.dumps(task | {"data": None} | context)
        known = self.journal.get(key)
        if known is None:
            known = self.workers.ask(CONTESTANTS[name].environment, task)
            self.journal.put(key, known)
            what = " ".join(str(task[k]) for k in ("stream", "change", "after") if k in task)
            self.say(f"{task['do']} {name} {what}: {known['seconds']:.0f} s")
        return known

    def _tunings(self) -> Jobs:
        for name in self.names:
            for base in streams.BASES:
                if CONTESTANTS[name].role != "baseline" and self._reads(name, base):
                    count, records = self.plan.tuning_trials(name)
                    task = {"do": "tune", "peer": name, "stream": base, "rates": RATES}
                    yield (
                        Head(name, base, (), ()),
                        task | {"records": records, "trials": [0, count]},
                    )

    def _nulls(self) -> Jobs:
        """False alarms; on streams on which nobody is tuned, with the knobs of N(0, 1)."""
        for name in self.names:
            for stream in self.streams.values():
                if not self._reads(name, stream.name) or _too_wide(name, stream.features):
                    continue
                base = stream.name if stream.name in streams.BASES else FALLBACK
                settings = self._settings(name, base)
                head = Head(name, stream.name, (base, stream.features), tuple(settings.items()))
                count, records = self.plan.null_trials(name, stream.features)
                task = {"do": "null", "peer": name, "stream": stream.name, "records": records}
                task["knobs"] = list(settings.values())
                if stream.name in streams.TRACES:
                    task["data"] = self.data
                for piece in pieces(name, count, records * stream.features):
                    yield head, task | {"trials": piece}

    def _changes(self) -> Jobs:
        """Delays. What forgets all within its window cannot tell 5,000 from 100,000."""
        for name in self.names:
            memory = self.peers[name]["memory"]
            forgets = memory is not None and memory <= min(self.plan.afters)
            for change in streams.CHANGES.values():
                if not self._reads(name, change.base):
                    continue
                settings = self._settings(name, change.base)
                for after in self.plan.afters[:1] if forgets else self.plan.afters:
                    head = Head(name, change.name, (after,), tuple(settings.items()))
                    task = {"do": "change", "peer": name, "change": change.name, "after": after}
                    task["knobs"] = list(settings.values())
                    records = after + change.horizon
                    for piece in pieces(name, self.plan.seeds_of(name, records), records):
                        yield head, task | {"trials": piece}

    def _reads(self, name: str, stream: str) -> bool:
        kind = "normal" if stream in streams.TRACES else stream
        return kind in self.peers[name]["reads"]

    def _settings(self, name: str, base: str) -> dict[str, float]:
        """The knobs with which a contestant is measured; tuned ones are those of `base`.

        Ours also at what it promises, untuned: one and ten false pages in a million records.
        """
        found: dict[str, float] = {"default": self.peers[name]["knob"]["default"]}
        if CONTESTANTS[name].role == "ours":
            found |= {f"promise_{rate:g}": rate for rate in RATES}
        for rate, tuned in self.knobs.get(name, {}).get(base, {}).items():
            if tuned["value"] is not None:
                found[f"at_{rate}"] = tuned["value"]
        return found

    def _costs(self) -> list[Row]:
        """Time and memory, one contestant after the other; anew in every run, to be compared."""
        rows = []
        for name in self.names:
            records = int(min(60_000, max(6000, 1e6 / CONTESTANTS[name].cost))) // 300 * 300
            task = {"do": "cost", "peer": name, "records": records}
            rows.append({"peer": name} | self.workers.ask(CONTESTANTS[name].environment, task))
            self.say(f"cost {name}: {rows[-1]['us']:.3f} us")
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
            "peers": {name: titles[name] | self.peers[name] for name in self.names},
            "knobs": self.knobs,
            "nulls": nulls,
            "changes": changes,
            "costs": costs,
        }


def _too_wide(name: str, features: int) -> bool:
    """Forty features cost a contestant that reads one at a time forty times as much."""
    return features > 1 and is_slow(CONTESTANTS[name])


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detectors.run", description=__doc__)
    parser.add_argument(
        "--form", choices=PLANS, default="quick", help="quick: minutes, full: hours"
    )
    parser.add_argument(
        "--data", type=Path, help="folder of azure_llm_2023_*.csv.gz; without it no real traffic"
    )
    parser.add_argument(
        "--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="contestants"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--seconds", type=float, help="what slow contestants may take, see README")
    parser.add_argument("--journal", type=Path, default=JOURNAL, help="what has been done already")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0 when there is a result."""
    args = arguments(argv)
    if not THEIR_PYTHON.exists() and any(CONTESTANTS[n].environment == THEIRS for n in args.only):
        print("benchmark: the peers have no environment yet: make peers", file=sys.stderr)
        return 2
    plan = PLANS[args.form]
    plan = replace(plan, seconds=args.seconds) if args.seconds else plan
    try:
        result = Benchmark(plan, args.only, args.data, args.jobs, args.journal).run()
    except (BenchmarkError, FileNotFoundError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    write(result, args.out)
    return 0


def write(result: dict[str, Any], out: Path) -> None:
    """The result, its tables beside it and, where the peers' environment is, its plots."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = tables.markdown(result)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    if THEIR_PYTHON.exists():
        plots = [str(THEIR_PYTHON), "-m", "benchmarks.detectors.plots", str(out.resolve())]
        subprocess.run(plots, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
