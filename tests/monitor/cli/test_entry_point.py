"""The entry point handles signals and closed streams before anything else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.long_form import long_only

CODE = "import sys; from monitor.cli import entry_point; sys.exit(entry_point())"
SIGNALS = [
    signal.SIGTERM,
    *(pytest.param(each, marks=long_only) for each in (signal.SIGINT, signal.SIGHUP)),
]
CAN_UNSHARE = not subprocess.run(
    ["unshare", "--pid", "--fork", "true"], capture_output=True, check=False
).returncode


@pytest.mark.skipif(not CAN_UNSHARE, reason="needs the right to make a PID namespace")
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("words", [["run"], ["backtest", "-"]])
@pytest.mark.parametrize("after", [0.0, 0.3, 2.0])
def test_signals_end_the_first_process(
    tmp_path: Path, number: signal.Signals, words: list[str], after: float
) -> None:
    """As PID 1 every command ends on a signal, at whatever time it comes."""
    environment = os.environ | {
        "PLUMBLINE__KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PLUMBLINE__HTTP__PORT": "0",
    }
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    # the tests may run in the background of a shell or under nohup, which ignore some signals
    unshare += ["env", "--default-signal=INT,HUP"]
    process = subprocess.Popen(
        [*unshare, sys.executable, "-c", CODE, *words],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env=environment,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        while not children.read_text():
            time.sleep(0.01)
        child = int(children.read_text())
        while not _caught(child) >> (number - 1) & 1:
            time.sleep(0.01)
        time.sleep(after)
        os.kill(child, number)
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def _caught(process: int) -> int:
    """Return the signals that a process handles, as bits; the interpreter itself starts first."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)


@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams_do_not_change_the_status(redirection: str) -> None:
    """An error has status 2 even if it cannot be printed."""
    command = f"'{sys.executable}' -c '{CODE}' backtest none.jsonl {redirection}"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 2
