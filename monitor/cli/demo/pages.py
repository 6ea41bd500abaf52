"""The web pages of the demo, which stay until a key is pressed where there is a terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from pathlib import Path

from monitor.config.sections.process.review import ReviewQueueConfig
from monitor.config.sections.process.web import WebConfig
from monitor.config.sections.replay.store import StoreConfig
from monitor.errors import UserError
from monitor.roles import web_setup

QUEUE = "answers"
RUBRIC = "answer_quality"
SETTLE_MINUTES = 0.1
"""Time for the scores of the judge, which answers within a second or two."""
LOOK_SECONDS = 0.3
"""Maximum delay until the end of the daemon is noticed."""


def installed() -> bool:
    """Return whether the packages of the pages are installed: a plain install lacks them."""
    try:
        web_setup.check_packages()
    except UserError:
        return False
    return True


def section() -> WebConfig:
    """Return the section `web`: pages on a free port, with a review queue."""
    if not installed():
        return WebConfig()
    queue = ReviewQueueConfig(rubric=RUBRIC, settle_minutes=SETTLE_MINUTES)
    return WebConfig(enabled=True, port=0, queues={QUEUE: queue})


def store(folder: Path) -> StoreConfig:
    """Return the section `store`, with a database in a folder."""
    return StoreConfig(url=f"sqlite:///{folder / 'demo.db'}")


def at_terminal() -> bool:
    """Return whether somebody sees the output and can press a key."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()  # a background job may not read
    except OSError:  # not the terminal that controls this process
        return False


def wait_for_key(stopping: threading.Event) -> None:
    """Return when a key is pressed, or when the daemon stops. Keys pressed earlier do not count."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)  # a key arrives without Enter, and Ctrl+C still interrupts
    try:
        termios.tcflush(terminal, termios.TCIFLUSH)
        while not stopping.is_set():
            if select.select([terminal], [], [], LOOK_SECONDS)[0]:
                break
    except KeyboardInterrupt:
        pass
    finally:
        termios.tcflush(terminal, termios.TCIFLUSH)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
