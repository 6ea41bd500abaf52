"""The Dockerfile holds together, and its steps work: there is no Docker where tests run.

The stages up to the daemon's environment are built here, in a folder that stands for the image's
root: COPY copies what `.dockerignore` lets through, RUN is run, with the compiler of this machine.
What needs root or Docker itself is only read: the compiler's stage, the final stage's user, and the
base image.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from monitor import __version__
from monitor.decode.shorten import BUILT as BUILT_IN_C
from monitor.health import Health
from monitor.metrics import Metrics, registry
from monitor.web.server import WebServer
from tests.monitor.decode.alike import require_scanner

ROOT = Path(__file__).parents[1]
BUILT = ("core", "wheel", "environment")
KEPT_OUT = re.findall(r"(?m)^\*\*/(.*)$", (ROOT / ".dockerignore").read_text())


@dataclass(slots=True)
class Stage:
    """A FROM and what follows it: its base, and its other instructions with their values."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def values(self, instruction: str) -> list[str]:
        """The values of an instruction, in their order."""
        return [value for name, value in self.steps if name == instruction]

    def value(self, instruction: str) -> str:
        """The value of an instruction that is there once."""
        [value] = self.values(instruction)
        return value


def read() -> dict[str, Stage]:
    """The stages of the Dockerfile, by their names, in their order."""
    stages: dict[str, Stage] = {}
    for step in DockerfileParser(str(ROOT / "Dockerfile")).structure:
        name, value = step["instruction"], step["value"]
        if name == "FROM":
            base, _, stage = value.split()
            current = stages[stage] = Stage(base)
        elif stages:
            current.steps.append((name, value))
    return stages


STAGES = read()
RUNTIME = STAGES["runtime"]


def ancestors(stage: str) -> Iterator[str]:
    """A stage and those that it builds on."""
    while stage in STAGES:
        yield stage
        stage = STAGES[stage].base


def kept(source: str) -> bool:
    """Whether .dockerignore lets a top-level name into the build."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return f"!{source.partition('/')[0]}" in lines


def copy(value: str, root: Path, workdir: Path) -> None:
    """Do what COPY does: files into a folder, a folder's content, or from another stage."""
    *sources, target = [word for word in value.split() if not word.startswith("--from")]
    if "--from" in value:
        return  # stages share one root here
    for source in sources:
        assert kept(source), f"{source} is kept out of the build by .dockerignore"
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, workdir / target, ignore=shutil.ignore_patterns(*KEPT_OUT))
        else:
            place = workdir / target / (source if target.endswith("/") else "")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of an image in which the stages of the daemon's environment were built."""
    root = tmp_path_factory.mktemp("image")
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(sys.executable)
    path = f"{root}/bin:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "PIP_NO_COMPILE": "1",
    }  # bytecode takes half the time
    for stage in BUILT:
        workdir = root / "src"
        workdir.mkdir(exist_ok=True)
        for name, value in STAGES[stage].steps:
            if name == "COPY":
                copy(value, root, workdir)
            if name == "RUN" and (BUILT_IN_C or "_scan" not in value):
                here = re.sub(r"(?<=[\s=])/(?=opt/|wheels)", f"{root}/", f" {value}")
                done = subprocess.run(
                    ["sh", "-ec", here],
                    cwd=workdir,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"RUN {value}\n{done.stdout}{done.stderr}"
    return root


def packages(python: Path) -> set[str]:
    """The names of the packages that an environment holds."""
    code = "from importlib.metadata import distributions as d; print(*{x.name for x in d()})"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.lower().split())


def test_environment_holds_plumbline_and_no_builder(image: Path) -> None:
    """The steps give an environment that runs, with what is locked and without what builds."""
    binaries = image / "opt" / "plumbline" / "bin"
    found = packages(binaries / "python")
    assert {"plumbline", "confluent-kafka", "numpy", "scipy"} <= found
    assert not found & {"pip", "setuptools", "wheel"}
    lock = re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "constraints" / "core.txt").read_text())
    assert {re.sub(r"[_.]", "-", name) for name in found} - {"plumbline"} <= set(lock)
    python = [str(binaries / "python"), "-I"]
    command = [*python, str(binaries / "plumbline"), "version"]
    done = subprocess.run(command, cwd=image, capture_output=True, text=True, check=True)
    assert done.stdout == f"plumbline {__version__}\n"
    produce = [*python, "-m", "monitor.demo.produce", "--help"]
    subprocess.run(produce, cwd=image, capture_output=True, check=True)


def test_what_is_in_c_is_built(image: Path) -> None:
    """The image decodes as fast as it can, and what built it stays behind."""
    require_scanner()
    python = image / "opt" / "plumbline" / "bin" / "python"
    code = "from monitor.decode._scan import shorten; print(shorten([], b'', 0, 0))"
    done = subprocess.run(
        [python, "-I", "-c", code], cwd=image, capture_output=True, text=True, check=True
    )
    assert done.stdout == "(b'[]', b'')\n"
    assert "compiler" in ancestors("wheel")
    for stage in ("environment", "environment-replay", "plumbline", "replay"):
        assert "compiler" not in ancestors(stage)


def test_every_package_is_copied() -> None:
    """What the project installs is in the build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {word for value in STAGES["wheel"].values("COPY") for word in value.split()}
    assert {name.rstrip("*") for name in included} <= copied


def test_stages_resolve() -> None:
    """Each stage builds on one before it or on the pinned base; the daemon's image is the last."""
    names = list(STAGES)
    for number, (name, stage) in enumerate(STAGES.items()):
        assert stage.base == "${BASE}" or stage.base in names[:number], name
        for value in stage.values("COPY"):
            if source := re.match(r"--from=(\S+)", value):
                assert source[1] in names[:number], value
    assert names[-2:] == ["replay", "plumbline"]
    assert all("runtime" in ancestors(name) for name in names[-2:])
    arguments = re.findall(r"(?m)^ARG (.*)$", (ROOT / "Dockerfile").read_text())
    assert len(arguments) == 1
    assert re.fullmatch(r"BASE=python:3\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", arguments[0])


def test_dependencies_are_pinned_by_hash() -> None:
    """Whatever is installed from an index is locked; only our own wheel is not."""
    for stage in STAGES.values():
        for run in stage.values("RUN"):
            for install in re.findall(r"pip [^&]*\binstall\b[^&]*", run):
                assert "--require-hashes" in install or "--no-deps" in install, install
    runs = " ".join(STAGES["environment-replay"].values("RUN"))
    assert "--require-hashes --no-build-isolation --requirement constraints/all.txt" in runs


def test_image_is_confined() -> None:
    """It runs as the chart's user, by number, and without a shell that would keep signals."""
    user, group = map(int, RUNTIME.value("USER").split(":"))
    values = (ROOT / "helm" / "plumbline" / "values.yaml").read_text()
    assert user == group == int(re.findall(r"runAsUser: (\d+)", values)[0]) > 0
    assert RUNTIME.value("STOPSIGNAL") == "SIGTERM"
    assert json.loads(RUNTIME.value("ENTRYPOINT")) == ["plumbline"]
    assert json.loads(RUNTIME.value("CMD")) == ["run"]
    for stage in ("plumbline", "replay"):
        assert {name for name, _ in STAGES[stage].steps} == {"COPY"}  # no root after the user
    after = [name for name, _ in RUNTIME.steps][[n for n, _ in RUNTIME.steps].index("USER") :]
    assert "RUN" not in after


@pytest.mark.parametrize(("age", "status"), [(0.0, 0), (120.0, 1)], ids=["turns", "stalled"])
def test_healthcheck_asks_the_daemon(age: float, status: int) -> None:
    """The very command of HEALTHCHECK tells a loop that turns from one that is stuck."""
    command = json.loads(RUNTIME.value("HEALTHCHECK").partition("CMD")[2])
    assert command[0] == "python"
    now = [0.0]
    health = Health(clock=lambda: now[0])
    health.beat("ingest")
    now[0] = age
    with WebServer("127.0.0.1", 0, registry(Metrics()), health) as web:
        done = subprocess.run(
            [sys.executable, *command[1:]],
            env={**os.environ, "PLUMBLINE__HTTP__PORT": str(web.port)},
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == status


def test_healthcheck_fails_without_a_daemon() -> None:
    """Nobody there is not healthy."""
    command = json.loads(RUNTIME.value("HEALTHCHECK").partition("CMD")[2])
    environment = {**os.environ, "PLUMBLINE__HTTP__PORT": "1"}
    done = subprocess.run(
        [sys.executable, *command[1:]], env=environment, capture_output=True, check=False
    )
    assert done.returncode != 0


def test_build_context_is_small() -> None:
    """What is let into a build is what is copied, all of it."""
    copied = {
        word.partition("/")[0]
        for stage in STAGES.values()
        for value in stage.values("COPY")
        if "--from" not in value
        for word in shlex.split(value)[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied
