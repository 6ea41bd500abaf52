"""Tests of `tests.debian`: programs are found or unpacked, or the error has the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import debian
from tests.debian import ProgramUnavailable, needed, program


def script(folder: Path, name: str, text: str = "exit 0") -> Path:
    """Create a shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set PATH to an empty folder and the cache to another one; return the former."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PLUMBLINE_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CI", "")
    needed.cache_clear()
    return folder


def test_programs_on_the_path_take_precedence(bare: Path) -> None:
    """A program is found by its own name or by its name in Debian."""
    for name, file in (("promtool", "promtool"), ("alertmanager", "prometheus-alertmanager")):
        installed = script(bare, file)
        assert program(name) == str(installed)


def test_without_debian_a_test_is_skipped(bare: Path) -> None:
    """The reason contains the package."""
    with pytest.raises(pytest.skip.Exception, match="Debian package prometheus:"):
        needed("promtool")


def test_in_ci_a_test_fails_instead(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a missing program is a failure, so that no test is skipped unnoticed."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Debian package prometheus:"):
        needed("promtool")


def test_a_failed_download_is_reported_and_leaves_no_folder(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next test tries the download again."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    script(bare, "dpkg-deb")
    script(bare, "apt-get", "echo no such package; exit 100")
    for _ in range(2):
        with pytest.raises(
            ProgramUnavailable, match="apt-get download -q prometheus failed:\nno such"
        ):
            program("promtool")
    assert not (bare.parent / "cache" / "debian-prometheus").exists()


def test_root_updates_missing_package_lists(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh image has no package lists; after an update the download succeeds."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    lists = bare.parent / "lists"
    script(bare, "dpkg-deb", "/bin/mkdir -p usr/bin; echo > usr/bin/promtool")
    script(
        bare,
        "apt-get",
        f'if [ "$1" = update ]; then echo > {lists}; exit 0; fi\n[ -e {lists} ] && echo > x.deb',
    )
    assert Path(program("promtool")).exists()


def test_templates_are_linked(tmp_path: Path) -> None:
    """An existing folder stays; a link to a deleted cache is replaced."""
    source, target = tmp_path / "source", tmp_path / "share" / "alertmanager"
    source.mkdir()
    for _ in range(2):
        debian._link_templates(source, target)
        assert target.resolve() == source
    target.unlink()
    target.symlink_to(tmp_path / "gone")
    debian._link_templates(source, target)
    assert target.resolve() == source


def test_templates_that_require_root_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without root the error names the package to install."""

    def deny(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "symlink_to", deny)
    with pytest.raises(ProgramUnavailable, match="install the Debian package"):
        debian._link_templates(tmp_path, tmp_path / "target")


def test_the_server_of_postgresql_comes_with_missing_libraries(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its package has the version of Debian; installed libraries and LLVM are not fetched."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    fetched = bare.parent / "fetched"
    script(
        bare,
        "apt-get",
        f'shift 2; echo "$@" >> {fetched}; for name in "$@"; do echo > "$name.deb"; done',
    )
    script(bare, "apt-cache", "printf 'postgresql-17\\nlibpq5\\nlibldap2\\nlibllvm19\\n  libx\\n'")
    script(bare, "dpkg-query", "printf 'libldap2:amd64\\nlibc6:amd64\\n'")
    script(
        bare,
        "dpkg-deb",
        'if [ "$1" = -f ]; then echo "postgresql-17 (>= 17), tzdata"; exit; fi\n'
        "/bin/mkdir -p usr/lib/postgresql/17/bin",
    )
    folder = debian.unpacked_server()
    assert folder.is_dir()
    assert folder.parts[-4:] == ("lib", "postgresql", "17", "bin")
    assert fetched.read_text().splitlines() == ["postgresql", "postgresql-17 libpq5"]
