"""A PostgreSQL server on a Unix socket, for tests: the installed one, or Debian's package.

It refuses to run as root. Root starts it as `nobody`, from a copy that `nobody` may read.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.debian import ProgramUnavailable, unpacked_server
from tests.integration.broker import lifeline
from tests.integration.harness import until

USER = "plumbline"
PASSWORD = "correct horse"
START_TIMEOUT_S = 60
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "log_min_messages": "error",
}


class Postgresql:
    """A running server. Each test makes a database of its own."""

    def __init__(self, binaries: Path, folder: Path, settings: Mapping[str, str]) -> None:
        self.binaries = binaries
        self.folder = folder
        self.settings = settings
        self.databases = 0

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        settings = [
            part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")
        ]
        command = [
            *(str(self.binaries / "postgres"), "-D", str(self.folder / "data")),
            *("-k", str(self.folder), *settings),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_options(self.binaries)
            )
        self._guard = lifeline(self.process.pid)
        until(self._accepts, f"PostgreSQL, see {self.folder / 'log'}")

    def _accepts(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End the server and all connections at once."""
        self.process.terminate()
        try:
            self.process.wait(START_TIMEOUT_S)
        finally:
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin:
                self._guard.stdin.close()

    def abort(self) -> None:
        """End the server like a crash of it, without a checkpoint."""
        self.process.send_signal(3)  # SIGQUIT: immediate shutdown
        self.stop()

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the owner, who may do anything."""
        return psycopg.connect(
            host=str(self.folder),
            user=USER,
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )

    def create_database(self) -> str:
        """Create an empty database and return its URL, without the password."""
        self.databases += 1
        name = f"store_{self.databases}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def empty(self, url: str) -> None:
        """Delete all rows of a store, in a tenth of the time of a new database."""
        with self.connect(str(make_url(url).database)) as connection:
            query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            names = [name for (name,) in connection.execute(query)]
            kept = [name for name in names if not name.endswith("schema_version")]
            tables = sql.SQL(", ").join(map(sql.Identifier, kept))
            connection.execute("SET session_replication_role = replica")  # triggers refuse it
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))


@cache
def _binaries() -> Path:
    """Return the folder of initdb and postgres. Raises ProgramUnavailable."""
    installed = shutil.which("initdb")
    candidates = [Path(installed).resolve().parent] if installed else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return unpacked_server()


def _options(binaries: Path) -> dict[str, Any]:
    """Return how to start a program of the server: as `nobody`, if this is root."""
    libraries = ":".join(map(str, sorted(binaries.parents[3].glob("lib/*-linux-*"))))
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    if not str(binaries).startswith("/usr/lib/") and libraries:
        env["LD_LIBRARY_PATH"] = libraries
    options: dict[str, Any] = {"env": env, "start_new_session": True, "cwd": "/"}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return options


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[Postgresql]:
    """Yield a new server. Without one the test is skipped; it fails in CI.

    settings: other values than those of SETTINGS.
    """
    folder = Path(tempfile.mkdtemp(prefix="plumbline-postgresql-"))
    try:
        try:
            server = _created(folder, SETTINGS | dict(settings or {}))
        except ProgramUnavailable as error:
            if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
                pytest.fail(str(error))
            pytest.skip(str(error))
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _created(folder: Path, settings: Mapping[str, str]) -> Postgresql:
    """Initialize the files of a server in a folder."""
    binaries = _binaries()
    if os.geteuid() == 0:
        folder.chmod(0o755)
        if not str(binaries).startswith("/usr/"):
            root = binaries.parents[4]
            shutil.copytree(root, folder / "root", symlinks=True)
            binaries = folder / "root" / binaries.relative_to(root)
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    _initdb(binaries, folder, ["--username", USER, "--pwfile", str(password)])
    return Postgresql(binaries, folder, settings)


def _initdb(binaries: Path, folder: Path, options: Sequence[str]) -> None:
    command = [
        *(str(binaries / "initdb"), "-D", str(folder / "data"), *options),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
    ]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_TIMEOUT_S,
        **_options(binaries),
    )
    if done.returncode != 0:
        raise ProgramUnavailable(f"initdb of PostgreSQL failed:\n{done.stdout[-2000:]}")
