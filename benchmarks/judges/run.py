"""Measure the rate of concurrent calls of judges, against the client of the anthropic package.

    .venv/bin/python -m benchmarks.judges.run

A local endpoint in a process of its own answers each request after 200 ms. With 64 calls at a time
the ideal rate is 320 calls per second; what is missing is CPU time of the client. Each round runs
every contender once, in alternating order. docs/judge-clients.md shows the result.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.judges.contenders import CONTENDERS, Ask

RESULTS: Final = Path(__file__).parents[1] / "results"
SECONDS: Final = 0.2
CONCURRENCY: Final = 64
CALLS_PER_WORKER: Final = 25


@contextmanager
def endpoint(seconds: float) -> Iterator[str]:
    """Run the endpoint in its own process and yield its URL."""
    command = [sys.executable, "-m", "benchmarks.judges.endpoint", str(seconds)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


async def measure(name: str, url: str, calls: int) -> dict[str, float]:
    """Return the rate of one contender as a share of the ideal one, and its CPU time per call."""
    async with CONTENDERS[name](url, CONCURRENCY) as ask:
        await _work(ask, 1)  # connect
        started, used = time.perf_counter(), time.process_time()
        await _work(ask, calls)
        seconds = time.perf_counter() - started
        cpu = time.process_time() - used
    total = CONCURRENCY * calls
    return {
        "calls_per_second": total / seconds,
        "share_of_ideal": total / seconds * SECONDS / CONCURRENCY,
        "cpu_us_per_call": 1e6 * cpu / total,
    }


async def _work(ask: Ask, calls: int) -> None:
    async def worker() -> None:
        for _ in range(calls):
            await ask()

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


def run(rounds: int, calls: int) -> dict[str, Any]:
    """Return the result of all rounds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    loads = []
    with endpoint(SECONDS) as url:
        for number in range(rounds):
            loads.append(os.getloadavg()[0])
            names = list(CONTENDERS)
            for name in names if number % 2 == 0 else reversed(names):
                found[name].append(asyncio.run(measure(name, url, calls)))
    return {
        "concurrency": CONCURRENCY,
        "seconds_per_call": SECONDS,
        "calls_per_round": CONCURRENCY * calls,
        "cpus": os.cpu_count(),
        "load_by_round": loads,
        "contenders": {name: _summary(each) for name, each in found.items()},
    }


def _summary(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    summary = {}
    for key in rounds[0]:
        values = [each[key] for each in rounds]
        summary[key] = {"median": median(values), "lowest": min(values), "highest": max(values)}
    return summary


def table(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = [
        "# Rate of judge calls",
        "",
        f"{result['concurrency']} concurrent calls of {result['seconds_per_call'] * 1000:g} ms,"
        f" {len(result['load_by_round'])} rounds of {result['calls_per_round']} calls: the median"
        f" with the lowest and the highest round. {result['cpus']} CPUs, load average"
        f" {min(result['load_by_round']):.1f} to {max(result['load_by_round']):.1f}.",
        "",
        "| client | calls/s | share of the ideal rate | CPU per call |",
        "|---|---|---|---|",
    ]
    for name, each in result["contenders"].items():
        rate, share, cpu = (
            each[key] for key in ("calls_per_second", "share_of_ideal", "cpu_us_per_call")
        )
        lines.append(
            f"| `{name}` | {rate['median']:.0f} | {share['median']:.1%}"
            f" ({share['lowest']:.1%} to {share['highest']:.1%}) | {cpu['median']:.0f} us |"
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark, write the result as JSON and Markdown, and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.judges.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument(
        "--calls",
        type=int,
        default=CALLS_PER_WORKER,
        help=f"calls of each of the {CONCURRENCY} workers (default: {CALLS_PER_WORKER})",
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "judges.json", help="output file (JSON)"
    )
    arguments = parser.parse_args(argv)
    result = run(arguments.rounds, arguments.calls)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    text = table(result)
    arguments.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
