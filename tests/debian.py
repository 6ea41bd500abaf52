"""Gets programs out of Debian's packages, so that tests run the real Prometheus and Alertmanager.

A package is downloaded and unpacked into a cache, not installed: that starts no service and, but
for Alertmanager's templates, takes no root. A program on the PATH is preferred.
"""

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
DEBIAN_NAMES = {"alertmanager": "prometheus-alertmanager"}
"""What Debian calls a program, where that is not its own name."""
TEMPLATES = Path("/usr/share/prometheus/alertmanager")
"""Debian's Alertmanager does not start without the templates that it looks for here alone."""
DOWNLOAD_TIMEOUT_S = 300


class ProgramUnavailable(RuntimeError):
    """A program cannot be had on this machine."""


@cache
def needed(name: str) -> str:
    """The path of a program. Without it the test is skipped, and fails where CI is set."""
    try:
        return program(name)
    except ProgramUnavailable as reason:
        if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
            pytest.fail(str(reason))
        pytest.skip(str(reason))


def program(name: str) -> str:
    """The path of a program, unpacking its package on first use. Raises ProgramUnavailable."""
    file = DEBIAN_NAMES.get(name, name)
    installed = shutil.which(name) or shutil.which(file)
    if installed:
        return installed
    folder = _unpacked(PACKAGES[name])
    if name == "alertmanager":
        _put_templates(folder / TEMPLATES.relative_to("/"), TEMPLATES)
    return str(folder / "usr" / "bin" / file)


def _put_templates(ours: Path, place: Path) -> None:
    """Let the place lead to our templates, unless there are some."""
    if place.exists():
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # a link into a cache that is no more
        place.symlink_to(ours)
    except FileExistsError:
        pass  # another process was quicker
    except PermissionError:
        raise ProgramUnavailable(
            f"Alertmanager looks for templates in {place} and only root can put them there:"
            " install the Debian package prometheus-alertmanager."
        ) from None


def _unpacked(package: str) -> Path:
    """Where the package's files lie; one process at a time fetches them."""
    base = Path(os.environ.get("PLUMBLINE_TEST_CACHE") or "~/.cache/plumbline").expanduser()
    base.mkdir(parents=True, exist_ok=True)
    folder = base / f"debian-{package}"
    with (base / f"debian-{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(package, folder)
    return folder


def _fetch(package: str, folder: Path) -> None:
    """Unpack beside the folder, then rename: half a package is never taken for a whole one."""
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise ProgramUnavailable(
                f"This test needs a program of the Debian package {package}: put it on the PATH."
            )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    _download(package, partial)
    (archive,) = partial.glob("*.deb")
    _run(["dpkg-deb", "-x", archive.name, "."], partial)
    archive.unlink()
    partial.rename(folder)


def _download(package: str, into: Path) -> None:
    command = ["apt-get", "download", "-q", package]
    try:
        _run(command, into)
    except ProgramUnavailable:
        if os.geteuid() != 0:
            raise
        _run(["apt-get", "update", "-q"], into)  # an image without package lists
        _run(command, into)


def _run(command: list[str], folder: Path) -> None:
    what = " ".join(command)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as late:
        raise ProgramUnavailable(f"{what} did not finish in {DOWNLOAD_TIMEOUT_S} s.") from late
    if done.returncode != 0:
        raise ProgramUnavailable(f"{what} failed:\n{done.stdout[-2000:]}")
