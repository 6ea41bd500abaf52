"""A `plumbline run` process, observed from outside: its log, `/metrics`, `/readyz` and /proc."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from monitor.config.schema import Config
from monitor.roles.detect import STATE_BYTES_PER_SECOND

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
"""Longest start, join of a consumer group, or read of `/metrics` that is not a failure."""
STALLED_SECONDS = 120.0
"""A daemon without progress for this long has failed."""


class DaemonError(Exception):
    """The daemon did not start, stopped, or did not process all records."""


class Daemon:
    """A running `plumbline run`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.port = 0

    def wait(
        self, state: str, condition: Callable[[], bool], seconds: float, pause: float = 0.1
    ) -> None:
        """Wait until a condition holds.

        state: name of the condition in the error message. pause: seconds between two checks.
        Raises DaemonError after `seconds`, or when the process ends.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise DaemonError(f"the daemon is not {state} after {seconds:g} s:\n{self.tail()}")
            time.sleep(pause)

    def wait_for_progress(self, progress: Callable[[], int], goal: int) -> None:
        """Wait until a count reaches its goal.

        Raises DaemonError when the count does not grow for STALLED_SECONDS.
        """
        last, changed = -1, time.monotonic()
        while (count := progress()) < goal:
            self.check()
            if count > last:
                last, changed = count, time.monotonic()
            elif time.monotonic() - changed > STALLED_SECONDS:
                raise DaemonError(f"stalled at {count} of {goal} records:\n{self.tail()}")
            time.sleep(0.05)

    def wait_for_checkpoint(self) -> None:
        """Wait until a checkpoint contains all references and the pause after it is over.

        References are written once, at the start. Later checkpoints have the usual size and
        interval.
        """
        written, changed = self.checkpoint_bytes(), time.monotonic()
        pause = 0.0
        while time.monotonic() - changed < pause + 1:
            self.check()
            time.sleep(0.1)
            if (now := self.checkpoint_bytes()) != written:
                written, changed = now, time.monotonic()
            pause = max(Config().state.checkpoint_seconds, written / STATE_BYTES_PER_SECOND)

    def check(self) -> None:
        """Raise DaemonError if the process has ended."""
        if self.process.poll() is not None:
            raise DaemonError(f"the daemon ended unexpectedly:\n{self.tail()}")

    def tail(self) -> str:
        """Return the end of the daemon's log."""
        return self.log.read_text(errors="replace")[-2000:]

    def log_entries(self, event: str) -> list[dict[str, Any]]:
        """Return the complete log entries of one event."""
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        marked = (line for line in lines if f'"event": "{event}"' in line and line.endswith("\n"))
        return [json.loads(line) for line in marked]

    def ready(self) -> bool:
        """Return whether all roles have joined their groups; find the HTTP port first."""
        if not self.port:
            self.port = next((int(entry["port"]) for entry in self.log_entries("started")), 0)
        return bool(self.port) and self._get("/readyz") is not None

    def watched(self) -> int:
        """Return the number of records that detect has processed."""
        return int(sum(self._values("plumbline_records_watched_total")))

    def checkpoint_bytes(self) -> int:
        """Return the bytes of all checkpoints written."""
        return int(sum(self._values("plumbline_checkpoint_bytes_total")))

    def evaluates_all_models(self) -> bool:
        """Return whether every model has a reference and a full window."""
        references = self._values("plumbline_reference_records")
        windows = self._values("plumbline_window_records")
        full = Config().windows.records
        return 0 < len(references) == len(windows) and min(references) > 0 and min(windows) >= full

    def totals(self) -> defaultdict[str, float]:
        """Return every metric, summed over its labels."""
        sums: defaultdict[str, float] = defaultdict(float)
        for line in self._lines():
            series, value = line.rsplit(" ", 1)
            sums[series.split("{", 1)[0]] += float(value)
        return sums

    def _values(self, name: str) -> list[float]:
        found = (line for line in self._lines() if line.startswith((f"{name}{{", f"{name} ")))
        return [float(line.rsplit(" ", 1)[1]) for line in found]

    def _lines(self) -> list[str]:
        lines = (self._get("/metrics") or "").splitlines()
        return [line for line in lines if not line.startswith("#")]

    def _get(self, path: str) -> str | None:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=START_SECONDS) as page:
                return str(page.read().decode())
        except urllib.error.HTTPError:
            return None

    def cpu_seconds(self) -> float:
        """Return user and system time of all threads, of a process for ingest too."""
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _pids(self) -> list[int]:
        """Return the ids of the process and of its children."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task").glob("*/children")
        return [own, *(int(pid) for file in children for pid in file.read_text().split())]

    def rss_mb(self) -> float:
        """Return the current resident memory in MB."""
        return self._memory_mb("VmRSS")

    def peak_rss_mb(self) -> float:
        """Return the peak resident memory in MB."""
        return self._memory_mb("VmHWM")

    def _memory_mb(self, field: str) -> float:
        """Return a field of the memory of the process and its children, added, in MB."""
        found = [
            int(line.split()[1]) / 1000
            for pid in self._pids()
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith(f"{field}:")
        ]
        if not found:
            raise DaemonError(f"no {field} in /proc/{self.process.pid}/status")
        return sum(found)

    def stop(self) -> None:
        """Stop the process by SIGTERM, after 60 seconds by SIGKILL."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _command(root: Path) -> list[str]:
    """Return the command `plumbline` of a checkout, run by the interpreter of this process."""
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = str(scripts["plumbline"]).partition(":")
    code = f"import sys; from {module} import {function}; sys.exit({function}())"
    return [sys.executable, "-c", code]


@contextmanager
def running(
    settings: Mapping[str, Any],
    directory: Path,
    roles: str = "ingest,detect",
    root: Path = ROOT,
    flags: Sequence[str] = (),
) -> Iterator[Daemon]:
    """Start a daemon with these settings and stop it at the end; it may not be ready yet.

    directory: receives the configuration file and the log. root: checkout of the daemon.
    flags: further ones of `plumbline run`.
    """
    name = uuid.uuid4().hex[:8]
    file, log = directory / f"{name}.yaml", directory / f"{name}.log"
    file.write_text(yaml.safe_dump(dict(settings)))
    # Settings of the shell must not change the measurement.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE__")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_command(root), "run", "-c", str(file), "--roles", roles, *flags],
            cwd=root,
            env=environment,
            stdout=out,
            stderr=out,
        )
    daemon = Daemon(process, log)
    try:
        yield daemon
    finally:
        daemon.stop()


def run_module(arguments: Sequence[str]) -> Any:
    """Run a module of the benchmarks in a new process and return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise DaemonError(f"{arguments[0]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
