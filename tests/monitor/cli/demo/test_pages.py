"""Tests of the pages of the demo, which stay until a key is pressed at a terminal."""

from __future__ import annotations

import http.client
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.cli.demo import pages
from monitor.cli.demo.experiment import EFFECT
from monitor.cli.demo.traffic import INJECTED
from monitor.roles import web_setup

SIGN_IN = """
import os, sys
os.login_tty(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Makes a terminal that of this process, and runs Python in it."""
DEMO = [
    "-c",
    "import sys; from monitor.cli.main import main; sys.exit(main(sys.argv[1:]))",
    *("demo", "--seconds", "5", "--rate", "4000"),
]
WAIT = """
import os, sys, threading
from monitor.cli.demo import pages
stopping = threading.Event()
threading.Timer(float(sys.argv[1]), stopping.set).start()
print("at terminal" if pages.at_terminal() else "elsewhere", flush=True)
pages.wait_for_key(stopping)
print("ended by", "the daemon" if stopping.is_set() else "a key", flush=True)
os._exit(0)
"""
ADDRESS = re.compile(r"pages.{1,40}?http://(127\.0\.0\.1:\d+)/")
LIMIT = 120.0
"""Seconds, on a machine under load."""


class Terminal:
    """A terminal with a program in its foreground."""

    def __init__(self, screen: int, process: subprocess.Popen[bytes]) -> None:
        self._screen = screen
        self.process = process
        self.text = ""

    def read(self, seconds: float) -> None:
        """Read what the program has printed, for at most `seconds`."""
        if select.select([self._screen], [], [], seconds)[0]:
            try:
                self.text += os.read(self._screen, 65_536).decode("utf-8", "replace")
            except OSError:  # the program has ended
                time.sleep(0.05)

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Return the first match in the output."""
        deadline = time.monotonic() + LIMIT
        while (found := pattern.search(self.text)) is None:
            assert self.process.poll() is None, self.text[-2_000:]
            assert time.monotonic() < deadline, self.text[-2_000:]
            self.read(1.0)
        return found

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._screen, key)

    def status(self) -> int:
        """Return the exit status of the program when it ends."""
        deadline = time.monotonic() + LIMIT
        while (status := self.process.poll()) is None:
            assert time.monotonic() < deadline, self.text[-2_000:]
            self.read(0.1)
        self.read(0.5)
        return status


@contextmanager
def terminal(*arguments: str, folder: Path | None = None) -> Iterator[Terminal]:
    """Run Python in a new terminal. folder: for its temporary files."""
    screen, side = pty.openpty()
    environment = os.environ | ({} if folder is None else {"TMPDIR": str(folder)})
    command = [sys.executable, "-c", SIGN_IN, str(side), *arguments]
    process = subprocess.Popen(command, pass_fds=[side], env=environment)
    os.close(side)
    try:
        yield Terminal(screen, process)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def page(address: str, path: str) -> str:
    """Return a page, read without sign-in, as the local admin."""
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    text = response.read().decode()
    assert response.status == 200, text
    return text


def test_pages_stay_until_a_key_is_pressed(tmp_path: Path) -> None:
    """At a terminal the demo serves alarms, an experiment, quality and tasks until a key."""
    with terminal(*DEMO, folder=tmp_path) as demo:
        address = demo.wait_for(ADDRESS)[1]
        assert f"latency_ms of {INJECTED.model} has drifted" in page(address, "/")
        assert "Bins that changed most" in page(address, f"/models/{INJECTED.model}")
        assert "answer_quality" in page(address, f"/models/{INJECTED.model}")
        card = page(address, f"/experiments/{EFFECT.experiment}")
        assert f"score.{EFFECT.score}" in card
        assert "Next task" in page(address, "/review")
        assert re.search(r"[1-9]\d* open items", page(address, "/review"))
        assert list(tmp_path.glob("plumbline-demo-*/demo.db"))
        assert demo.process.poll() is None
        demo.press(b" ")
        assert demo.status() == 0
        assert not list(tmp_path.iterdir())  # the database is removed
        with pytest.raises(ConnectionRefusedError):
            page(address, "/")


@pytest.mark.parametrize("key", [b"q", b"\r", b"\x1b[A", b"\x03"])
def test_every_key_ends_the_wait(key: bytes) -> None:
    """A letter, Enter, an arrow and Ctrl+C end the wait; what was typed before does not."""
    with terminal("-c", WAIT, "60") as waiting:
        waiting.press(b"early")
        waiting.wait_for(re.compile("at terminal"))
        time.sleep(0.5)
        assert waiting.process.poll() is None
        waiting.press(key)
        assert waiting.status() == 0
        assert "ended by a key" in waiting.text


def test_the_end_of_the_daemon_ends_the_wait() -> None:
    """If a role fails, the demo does not wait for a key."""
    with terminal("-c", WAIT, "0.2") as waiting:
        assert waiting.status() == 0
        assert "ended by the daemon" in waiting.text


def test_without_a_terminal_the_demo_does_not_wait() -> None:
    """In a pipe, a file or a scheduler there is no terminal."""
    command = [
        sys.executable,
        "-c",
        "from monitor.cli.demo import pages; print(pages.at_terminal())",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_without_the_packages_there_are_no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """An install without the extra runs the demo, without the role web."""
    monkeypatch.setattr(web_setup, "_PACKAGES", ("package_that_does_not_exist",))
    assert not pages.installed()
    assert not pages.section().enabled


def test_a_terminal_that_does_not_control_the_process_is_none() -> None:
    """Its keys may be for others, and asking for its foreground is an error."""
    main, side = pty.openpty()
    code = "from monitor.cli.demo import pages; print(pages.at_terminal())"
    with os.fdopen(main, "rb"), os.fdopen(side, "rb+", buffering=0) as terminal:
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.stdout = open(0, 'w', closefd=False); {code}"],
            stdin=terminal,
            start_new_session=True,
            check=False,
        )
        found = os.read(main, 100)
    assert (done.returncode, found.strip()) == (0, b"False")
