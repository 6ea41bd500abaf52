"""Measure how fast pages answer while annotators work at once on a long queue.

    .venv/bin/python -m benchmarks.web [--items N] [--done N] [--annotators N] [--seconds S]
        [--databases NAME,NAME] [--out FILE]

Each annotator receives a task, reads its page, submits, and so on, without a pause beyond
THINK_SECONDS. An admin opens the other pages meanwhile. Writes the result as JSON and as a table in
Markdown. benchmarks/README.md describes it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from benchmarks.web.clients import use
from benchmarks.web.site import Size, served
from tests.replay.store import postgresql

RESULT: Final = Path(__file__).parents[1] / "results" / "web.json"
DATABASES: Final = ("sqlite", "postgresql")
DURABLE: Final = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB"}
"""Settings of PostgreSQL: tests use faster ones, which would lose data in a power failure."""


def measure(database: str, size: Size, seconds: float) -> list[dict[str, Any]]:
    """Return the times of all kinds of requests, in milliseconds."""
    with (
        _empty(database) as (url, password),
        served(url, password, size, time.time()) as (port, tokens),
        ProcessPoolExecutor(1, get_context("spawn")) as apart,
    ):
        return _rows(apart.submit(use, port, tokens, seconds).result())


@contextmanager
def _empty(database: str) -> Iterator[tuple[str, str | None]]:
    """Yield the URL and the password of an empty database."""
    if database == "sqlite":
        with TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'web.db'}", None
    else:
        with postgresql.running(DURABLE) as server:
            yield server.create_database(), postgresql.PASSWORD


def _rows(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {
            "request": name,
            "number": len(found),
            "median_ms": round(1_000 * float(np.median(found)), 1),
            "p95_ms": round(1_000 * float(np.quantile(found, 0.95)), 1),
        }
        for name, found in sorted(times.items())
    ]


def table(result: dict[str, Any]) -> str:
    """Return the result as a table in Markdown: a row for each kind of request."""
    found = result["databases"]
    heads = [f"{name}, median ms | 95 %" for name in found]
    lines = [
        f"{result['items']:,} items, {result['done']:,} of them done; {result['annotators']}"
        f" annotators at once, {result['seconds']:g} s. Clients, server and database share"
        f" {result['cores']} cores; load average {result['load']:.1f} at the start.\n",
        f"| request | {' | '.join(heads)} |",
        "|---" * (1 + 2 * len(found)) + "|",
    ]
    by_request: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, rows in found.items():
        for row in rows:
            by_request[row["request"]][name] = row
    for request, rows in sorted(by_request.items()):
        known = [rows.get(name, {"median_ms": "", "p95_ms": ""}) for name in found]
        cells = [f"{each['median_ms']} | {each['p95_ms']}" for each in known]
        lines.append(f"| `{request}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--done", type=int, default=20_000)
    parser.add_argument("--annotators", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--databases", default=",".join(DATABASES))
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args(arguments)
    size = Size(chosen.items, chosen.done, chosen.annotators)
    result: dict[str, Any] = {
        **asdict(size),
        "seconds": chosen.seconds,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "databases": {
            name: measure(name, size, chosen.seconds) for name in chosen.databases.split(",")
        },
    }
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    chosen.out.with_suffix(".md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
