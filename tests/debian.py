"""Provide programs from Debian packages: Prometheus, Alertmanager, PostgreSQL, Chromium, nginx.

A package is downloaded and unpacked to a cache, not installed: this starts no service and requires
no root, except for Alertmanager's templates. Programs on the PATH take precedence.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from tests.caches import apt_locked, cache_folder, locked

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "nginx": "nginx",
}
DEBIAN_NAMES = {"alertmanager": "prometheus-alertmanager"}
"""Program -> its name in Debian, if different."""
TEMPLATES = Path("/usr/share/prometheus/alertmanager")
"""Debian's Alertmanager does not start without its templates in this folder."""
DOWNLOAD_TIMEOUT_S = 300

Packages = Callable[[Path], list[str]]


class ProgramUnavailable(RuntimeError):
    """A program is not available on this machine."""


@cache
def needed(name: str) -> str:
    """Return the path of a program. If it is unavailable, skip the test, or fail it in CI."""
    try:
        return program(name)
    except ProgramUnavailable as error:
        _unavailable(error)


def _unavailable(error: ProgramUnavailable) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
        pytest.fail(str(error))
    pytest.skip(str(error))


def program(name: str) -> str:
    """Return the path of a program; unpack its package on first use.

    Raises ProgramUnavailable.
    """
    file = DEBIAN_NAMES.get(name, name)
    installed = shutil.which(name) or shutil.which(file)
    if installed:
        return installed
    folder = _unpacked(PACKAGES[name])
    if name == "alertmanager":
        _link_templates(folder / TEMPLATES.relative_to("/"), TEMPLATES)
    places = (folder / "usr" / "bin" / file, folder / "usr" / "sbin" / file)
    return str(next(path for path in places if path.exists()))


def _link_templates(source: Path, target: Path) -> None:
    """Create `target` as a link to `source`, unless it exists."""
    if target.exists():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # a link to a deleted cache
        target.symlink_to(source)
    except FileExistsError:
        pass  # another process has created it
    except PermissionError:
        raise ProgramUnavailable(
            f"Alertmanager requires templates in {target}, which only root can create:"
            " install the Debian package prometheus-alertmanager."
        ) from None


def _unpacked(package: str, packages: Packages | None = None) -> Path:
    """Return the folder of the unpacked package; a lock lets one process at a time fetch it.

    packages: returns what to download into a folder, if it is not this package alone.
    """
    folder = cache_folder() / f"debian-{package}"
    with locked(folder):
        if not folder.exists():
            _fetch(package, folder, packages)
    return folder


def unpacked_server() -> Path:
    """Return the folder of PostgreSQL's server programs; unpack them on first use.

    Raises ProgramUnavailable.
    """
    folder = _unpacked("postgresql", _server_packages)
    (server,) = folder.glob("usr/lib/postgresql/*/bin")
    return server


def _server_packages(folder: Path) -> list[str]:
    """Return the server's package and those of shared libraries that are not installed.

    The package `postgresql` names the version. Without the compiler of queries, libllvm, the server
    works as well.
    """
    _download(["postgresql"], folder)
    (archive,) = folder.glob("*.deb")
    depends = _run(["dpkg-deb", "-f", archive.name, "Depends"], folder)
    archive.unlink()
    (server,) = re.findall(r"\bpostgresql-\d+\b", depends)
    libraries = _missing_libraries(server, folder)
    return [server, *(name for name in libraries if not name.startswith("libllvm"))]


@cache
def needed_browser() -> tuple[str, dict[str, str]]:
    """Return the path of Chromium and the variables that it needs.

    If it is unavailable, skip the test, or fail it in CI.
    """
    try:
        return browser()
    except ProgramUnavailable as error:
        _unavailable(error)


def browser() -> tuple[str, dict[str, str]]:
    """Return the path of Chromium and the variables that it needs; unpack it on first use.

    Raises ProgramUnavailable.
    """
    installed = shutil.which("chromium")
    if installed:
        return installed, {}
    folder = _unpacked("chromium", _browser_packages)
    libraries = [str(path) for path in folder.glob("usr/lib/*-linux-gnu*")]
    libraries += [f"{path}/pulseaudio" for path in libraries]
    return str(folder / "usr/lib/chromium/chromium"), {"LD_LIBRARY_PATH": ":".join(libraries)}


def _browser_packages(folder: Path) -> list[str]:
    """Return the browser's packages and those of shared libraries that are not installed."""
    return ["chromium", "chromium-common", *_missing_libraries("chromium", folder)]


def _missing_libraries(package: str, folder: Path) -> list[str]:
    """Return the packages of shared libraries that a package needs and that are not installed."""
    options = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks")]
    options += ["--no-replaces", "--no-enhances", "--recurse"]
    closure = _run(["apt-cache", "depends", *options, package], folder)
    names = set(re.findall(r"^lib[a-z0-9.+-]+$", closure, re.MULTILINE))
    installed = _run(["dpkg-query", "-W", "-f", "${binary:Package}\n"], folder)
    present = {name.partition(":")[0] for name in installed.split()}
    skipped = {name for name in names if name.startswith(("libc6", "libcrypt"))}
    return sorted(names - present - skipped)


def _fetch(package: str, folder: Path, packages: Packages | None) -> None:
    """Unpack to a temporary folder, then rename it, so that the folder is always complete."""
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise ProgramUnavailable(
                f"This test requires a program of the Debian package {package}: add it to the PATH."
            )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    _download(packages(partial) if packages else [package], partial)
    for archive in partial.glob("*.deb"):
        _run(["dpkg-deb", "-x", archive.name, "."], partial)
        archive.unlink()
    partial.rename(folder)


def _download(packages: list[str], into: Path) -> None:
    command = ["apt-get", "download", "-q", *packages]
    with apt_locked():
        try:
            _run(command, into)
        except ProgramUnavailable:
            if os.geteuid() != 0:
                raise
            _run(["apt-get", "update", "-q"], into)  # a fresh image has no package lists
            _run(command, into)


def _run(command: list[str], folder: Path) -> str:
    text = " ".join(command)
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
    except subprocess.TimeoutExpired as error:
        raise ProgramUnavailable(f"{text} did not finish in {DOWNLOAD_TIMEOUT_S} s.") from error
    if done.returncode != 0:
        raise ProgramUnavailable(f"{text} failed:\n{done.stdout[-2000:]}")
    return done.stdout
