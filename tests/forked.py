"""Start daemons as forks of a process that has imported their modules.

Importing takes two seconds of CPU time, more than most tests let a daemon work. What depends on the
start of a new interpreter has its own tests: `tests/monitor/cli/test_entry_point.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

HIDDEN = ("sklearn", "sqlalchemy", "pandas")
"""What river imports where it is installed. It takes a second, and detect does not need it."""
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.imports", "tests.replay.store.workers"])


class Forked:
    """A `plumbline` command in a process and a session of its own, as `subprocess.Popen` has it.

    Its output goes to a file.
    """

    def __init__(self, words: Sequence[str], folder: Path, output: Path) -> None:
        output.write_bytes(b"")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE__")}
        arguments = (list(words), folder, output, environment)
        self._process = CONTEXT.Process(target=_command, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        while self.poll() is None and os.getpgid(self.pid) != self.pid:
            time.sleep(0.001)  # the group must exist before it can be killed

    def poll(self) -> int | None:
        """Return the exit status; None while the process runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status. Raises TimeoutExpired."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal if the process still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _command(
    words: Sequence[str], folder: Path, output: Path, environment: Mapping[str, str]
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    sys.argv = ["plumbline", *words]
    from monitor.cli.main import main

    sys.exit(main())
