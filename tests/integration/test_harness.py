"""Tests of the harness: scripts outside of the tests use it, too."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.broker import KafkaBroker
from tests.integration.harness import ROOT, TIMEOUT_S, Daemon

SCRIPT = """\
import sys
from pathlib import Path
from tests.integration.harness import Daemon

folder, bootstrap, prefix, logs = sys.argv[1:]
with Daemon(Path(folder), bootstrap, prefix=prefix, logs=[logs]) as daemon:
    daemon.wait_ready()
    print(daemon.stop())
"""


def test_a_script_starts_a_daemon(
    broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """The script needs no guard around its main part, and its daemon is not another script."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, script, tmp_path, broker.bootstrap, uuid.uuid4().hex, topic(1)],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


@pytest.mark.parametrize(("roles", "hidden"), [("ingest,detect", True), ("web", False)])
def test_only_roles_without_a_store_start_without_its_library(
    tmp_path: Path, roles: str, hidden: bool
) -> None:
    """A new interpreter hides what river imports, unless the role needs it."""
    daemon = Daemon(tmp_path, "127.0.0.1:9", prefix="p", logs=["l"], roles=roles)
    assert ("sqlalchemy" in daemon.command[2]) == hidden
