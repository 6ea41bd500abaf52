"""Tests of all files of the repository: no local paths, locked dependencies, explained ignores."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import monitor

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "constraints").glob("*.txt"))

# Split, so that this file does not contain the forbidden names.
REGISTRIES = [
    f"{name}.{domain}"
    for name, domain in (
        ("pypi", "org"),
        ("pypi", "python.org"),
        ("pythonhosted", "org"),
        ("download.pytorch", "org"),
        ("pypi.nvidia", "com"),
        ("anaconda", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("repo1.maven", "org"),
        ("repo.maven", "apache.org"),
        ("proxy.golang", "org"),
        ("index.crates", "io"),
    )
]
HOSTS = tuple(name.lower() for name in REGISTRIES)
NEW_LINE = "\n"
# Directories that files may name, even if the checkout is in one of them.
WELL_KNOWN = {Path(p) for p in ("/", "/app", "/home", "/opt", "/root", "/srv", "/tmp", "/var/tmp")}

MARKER = re.compile(
    r"#\s*(type:\s*ignore(\[[^]]*\])?|(ruff:\s*)?noqa(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?)"
)
LOCKED_LINE = re.compile(
    r"\s*#.*"  # a comment
    r"|[a-z0-9-]+(\[[a-z0-9,-]+\])?==\S+( ; [^\\]+)? \\"  # a pinned requirement
    r"|    --hash=sha256:[0-9a-f]{64}( \\)?"
)
PIN = re.compile(r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


@cache
def files() -> tuple[Path, ...]:
    """Return the files in git and the untracked files that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


@cache
def texts() -> dict[str, str]:
    """Return the content of every text file by its path in the repository."""
    contents = {str(path.relative_to(ROOT)): path.read_bytes() for path in files()}
    return {
        name: content.decode("utf-8", "replace")
        for name, content in contents.items()
        if b"\0" not in content  # a binary file
    }


def places(pattern: re.Pattern[str]) -> list[str]:
    """Return the file and line of every match in the text files."""
    return [
        f"{name}:{text.count(NEW_LINE, 0, match.start()) + 1}"
        for name, text in texts().items()
        for match in pattern.finditer(text)
    ]


@cache
def project() -> dict[str, Any]:
    """Return the content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(lock: str) -> dict[str, set[str]]:
    """Return the locked versions by package, one for each kind of environment."""
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall((ROOT / "constraints" / lock).read_text(encoding="utf-8")):
        found.setdefault(name, set()).add(version)
    return found


def machine_path(checkout: Path) -> re.Pattern[str]:
    """Return a pattern that matches paths of this machine: the checkout and its parent."""
    own = [str(path) for path in (checkout.parent, checkout) if path not in WELL_KNOWN]
    return re.compile(rf"(?<![\w.~-])({'|'.join(map(re.escape, own)) or '(?!)'})(?![\w.-])")


def unexplained(source: str) -> list[int]:
    """Return the lines of a Python source that disable a check without a reason."""
    if not MARKER.search(source):  # most sources: they need not be split into tokens
        return []
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT]
    return [
        line
        for line, comment in comments
        if MARKER.search(comment) and not re.search(r"[A-Za-z]{2}", MARKER.sub("", comment))
    ]


def test_no_path_of_this_machine() -> None:
    """No file contains the path of this checkout."""
    assert places(machine_path(ROOT)) == []


@pytest.mark.parametrize(
    ("checkout", "line", "found"),
    [
        ("/sandbox/team/plumbline", "see /sandbox/team/notes.md", True),
        ("/sandbox/team/plumbline", "root = '/sandbox/team/plumbline'", True),
        ("/sandbox/team/plumbline", "/sandbox/teams, ./sandbox/team/x and a/sandbox/team", False),
        ("/tmp/plumbline", "mkdir /tmp/x", False),
        ("/tmp/plumbline", "cd /tmp/plumbline", True),
        ("/app", "WORKDIR /app", False),
    ],
)
def test_machine_paths_are_recognised(checkout: str, line: str, found: bool) -> None:
    """The pattern matches the checkout and its parent, but no directory that all machines have."""
    assert bool(machine_path(Path(checkout)).search(line)) == found


def test_no_package_registry() -> None:
    """No file contains the host of a package registry: each machine configures its own."""
    # in any case of letters: lower-case texts are searched, which is faster
    hosts = [name for name, text in texts().items() if any(map(text.lower().__contains__, HOSTS))]
    assert hosts == []


def test_a_forbidden_text_is_found() -> None:
    """The search notices a path of this machine and an ignore, wherever they stand in a file."""
    own = "tests/test_repository.py"
    [line] = places(re.compile(r"^def test_a_forbidden_text_is_found", re.MULTILINE))
    name, number = line.split(":")
    assert name == own
    assert texts()[own].splitlines()[int(number) - 1].startswith("def test_a_forbidden_text")


def test_every_ignore_has_a_reason() -> None:
    """A comment that disables a check states the reason on the same line."""
    sources = {name: text for name, text in texts().items() if name.endswith(".py")}
    assert sources
    found = [f"{name}:{line}" for name, text in sources.items() for line in unexplained(text)]
    assert found == []


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# type: ignore", False),
        ("# type: ignore[arg-type]", False),
        ("# noqa", False),
        ("# noqa: PLC0415, E501", False),
        ("# ruff: noqa: E501", False),
        ("# type: ignore[arg-type]  # noqa: E501", False),
        ("# type: ignore[arg-type]  # None is gone", True),
        ("# type: ignore[arg-type]  # noqa: E501  # a long name of theirs", True),
        ("# noqa: PLC0415 - heavy, and rarely needed", True),
    ],
)
def test_reasons_are_recognised(comment: str, explained: bool) -> None:
    """A code is not a reason; text is."""
    assert unexplained(f"x = '# noqa'\ny = 1  {comment}\n") == ([] if explained else [2])


def test_versions_agree() -> None:
    """The package and its metadata have the same version."""
    assert project()["project"]["version"] == monitor.__version__


def test_lock_files_exist() -> None:
    """The repository has the files that `make lock` writes, and the one without dependencies."""
    names = ["all.txt", "core.txt", "demo.txt", "dev.txt", "embeddings.txt", "judges.txt"]
    names += ["peers.txt", "replay-gpu.txt", "streaming-peers.txt", "web.txt"]
    assert [path.name for path in LOCKS] == names


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_lock_contains_pins_and_hashes_only(path: Path) -> None:
    """A lock contains no URL, index or path, and every pin has a hash."""
    text = path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if not LOCKED_LINE.fullmatch(line)] == []
    assert re.findall(r"\w+://\S*|(?<!\S)/\S+", text) == []
    assert re.findall(r"==.* \\\n(?!    --hash)", text) == []


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("core", ["samples"]),
        ("demo", ["samples", "judge-client", "web"]),
        ("judges", ["judges"]),
        ("dev", ["dev", "dashboards"]),
        ("all", ["dashboards", "judges", "replay", "web"]),
        ("web", ["web"]),
        ("replay-gpu", ["replay", "replay-gpu"]),
    ],
)
def test_lock_satisfies_the_requirements(lock: str, extras: list[str]) -> None:
    """Each lock pins the requirements of its extras, within their version ranges."""
    metadata, pinned = project()["project"], pins(f"{lock}.txt")
    required = [*metadata["dependencies"], *project()["build-system"]["requires"]]
    required += [text for extra in extras for text in metadata["optional-dependencies"][extra]]
    for requirement in [r for r in map(Requirement, required) if r.name != metadata["name"]]:
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not locked; run make lock"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement}; run make lock"


@pytest.mark.parametrize("lock", ["peers", "streaming-peers"])
def test_benchmark_peers_are_locked_separately(lock: str) -> None:
    """The libraries of the benchmarks are locked, and are not dependencies."""
    source = (ROOT / "constraints" / f"{lock}.in").read_text(encoding="utf-8").splitlines()
    texts = [text for line in source if (text := line.partition("#")[0].strip())]
    names = {canonicalize_name(Requirement(text).name) for text in texts}
    assert names <= pins(f"{lock}.txt").keys()
    assert not names & pins("core.txt").keys()


def test_locks_agree() -> None:
    """A package has the same versions in every lock, so that tests run the deployed versions."""
    everything = pins("all.txt")
    for lock in ("core.txt", "demo.txt", "dev.txt", "judges.txt", "replay-gpu.txt", "web.txt"):
        shared = pins(lock).items()
        assert {n: v for n, v in shared if not v <= everything.get(n, v)} == {}
