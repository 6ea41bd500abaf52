"""Programs of Debian's packages: found, unpacked, or told why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import debian
from tests.debian import ProgramUnavailable, needed, program


def script(folder: Path, name: str, text: str = "exit 0") -> Path:
    """A program that does as little as a test needs."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose PATH is one empty folder, with an empty cache beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PLUMBLINE_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CI", "")
    needed.cache_clear()
    return folder


def test_what_is_on_the_path_is_taken(bare: Path) -> None:
    """Under its own name, or Debian's."""
    for name, file in (("promtool", "promtool"), ("alertmanager", "prometheus-alertmanager")):
        there = script(bare, file)
        assert program(name) == str(there)


def test_without_debian_a_test_is_skipped(bare: Path) -> None:
    """The reason names the package."""
    with pytest.raises(pytest.skip.Exception, match="Debian package prometheus:"):
        needed("promtool")


def test_in_ci_nothing_is_skipped(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it fails, so that no claim goes unchecked."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Debian package prometheus:"):
        needed("promtool")


def test_a_failed_download_says_why_and_leaves_nothing(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next test tries again instead of taking half a package for a whole one."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    script(bare, "dpkg-deb")
    script(bare, "apt-get", "echo no such package; exit 100")
    for _ in range(2):
        with pytest.raises(
            ProgramUnavailable, match="apt-get download -q prometheus failed:\nno such"
        ):
            program("promtool")
    assert not (bare.parent / "cache" / "debian-prometheus").exists()


def test_root_fetches_the_lists_where_there_are_none(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh image has no package lists; with them the download succeeds."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    there = bare.parent / "lists"
    script(bare, "dpkg-deb", "/bin/mkdir -p usr/bin; echo > usr/bin/promtool")
    script(
        bare,
        "apt-get",
        f'if [ "$1" = update ]; then echo > {there}; exit 0; fi\n[ -e {there} ] && echo > x.deb',
    )
    assert Path(program("promtool")).exists()


def test_templates_are_put_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there stays; a link into a cache that is no more is made anew."""
    ours, place = tmp_path / "ours", tmp_path / "share" / "alertmanager"
    ours.mkdir()
    for _ in range(2):
        debian._put_templates(ours, place)
        assert place.resolve() == ours
    place.unlink()
    place.symlink_to(tmp_path / "gone")
    debian._put_templates(ours, place)
    assert place.resolve() == ours


def test_templates_that_only_root_may_put_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else is told which package to install."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(ProgramUnavailable, match="install the Debian package"):
        debian._put_templates(tmp_path, tmp_path / "place")
