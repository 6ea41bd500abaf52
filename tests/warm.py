"""Run commands in processes that begin with the imported modules of the command line.

Importing takes longer than most commands. One process imports, and forks for each command, which
so has its own working directory, environment, standard streams and exit status. The start of a
new interpreter is tested in `tests/monitor/cli/test_entry_point.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[1]
MODULES = (
    *("monitor.cli.main", "monitor.cli.console.tables", "monitor.roles.judge_setup"),
    *("monitor.detect.audit.forecast", "monitor.ingest.files", "monitor.detect.monitor"),
    *("scipy.stats", "sqlalchemy", "monitor.cli.html.page", "monitor.cli.backtest"),
    *("monitor.ingest.files.sniff.sniff", "monitor.config.load", "monitor.kafka.clients"),
    *("monitor.cli.commands.replay.evalset.generation", "monitor.experiments.report.summary"),
)
TIMEOUT_S = 120
Request = tuple[list[str], str, str, str]
"""Words of a command, its folder, and the files for its output and its errors."""


class Done(NamedTuple):
    """The exit status of a command, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class WarmCommands:
    """Runs `plumbline` commands. As a context manager, it ends with the block."""

    def __enter__(self) -> Self:
        """Start the process that imports."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, words: Sequence[str], folder: Path) -> Done:
        """Run a command in a folder, and return its result when it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        files = output, errors = folder / ".stdout", folder / ".stderr"
        request: Request = (list(words), str(folder), str(output), str(errors))
        print(json.dumps(request), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        done = Done(status, output.read_text(), errors.read_text())
        for file in files:
            file.unlink()
        return done


def serve() -> None:
    """Import, and fork for each request on standard input; write each exit status."""
    for module in MODULES:
        import_module(module)
    from monitor.detect.audit import forecast, page_costs
    from monitor.redaction.redactor import redact

    redact("")  # compiles the patterns
    # a tenth of the values in audits: most of the time of a small backtest
    page_costs.VALUES //= 10
    forecast.VALUES //= 10
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _command(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _command(request: Request) -> None:
    """Run a command, and end the process with its exit status."""
    words, folder, *files = request
    signal.alarm(TIMEOUT_S)
    os.chdir(folder)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["plumbline", *words]
    from monitor.cli.main import main

    status = 1
    try:
        status = main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
