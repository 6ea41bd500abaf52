"""Tests of the Dockerfile without a Docker engine.

The stages up to the daemon's environment are built in a folder that represents the image's root:
COPY copies files that `.dockerignore` includes, and RUN executes with the compiler of this machine.
Parts that require root or Docker are only parsed: the compiler stage, the user of the final stage,
and the base image.
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
from monitor.ingest.decode.native.usual import READER_BUILT as BUILT_IN_C
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.exporter import registry
from monitor.telemetry.health import Health
from monitor.telemetry.http.server import WebServer
from tests.monitor.ingest.decode.alike import require_reader

ROOT = Path(__file__).parents[1]
IMAGES = ("replay-gpu", "replay", "web", "judge", "plumbline")
BUILT = ("core", "wheel", "environment")
EXCLUDED = re.findall(r"(?m)^\*\*/(.*)$", (ROOT / ".dockerignore").read_text())


@dataclass(slots=True)
class Stage:
    """A build stage: its base, and its instructions with their values."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def values(self, instruction: str) -> list[str]:
        """Return the values of an instruction in order."""
        return [value for name, value in self.steps if name == instruction]

    def value(self, instruction: str) -> str:
        """Return the value of an instruction that occurs once."""
        [value] = self.values(instruction)
        return value


def read() -> dict[str, Stage]:
    """Return the stages of the Dockerfile by name, in order."""
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
    """Yield a stage and the stages that it is based on."""
    while stage in STAGES:
        yield stage
        stage = STAGES[stage].base


def included(source: str) -> bool:
    """Return whether .dockerignore includes the top-level folder of a path."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return f"!{source.partition('/')[0]}" in lines


def copy(value: str, root: Path, workdir: Path) -> None:
    """Execute COPY: files to a folder, or the content of a folder."""
    *sources, target = [word for word in value.split() if not word.startswith("--from")]
    if "--from" in value:
        return  # all stages share one root in these tests
    for source in sources:
        assert included(source), f".dockerignore excludes {source} from the build"
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, workdir / target, ignore=shutil.ignore_patterns(*EXCLUDED))
        else:
            copied = workdir / target / (source if target.endswith("/") else "")
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copied)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the stages of the daemon's environment and return the root folder."""
    root = tmp_path_factory.mktemp("image")
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(sys.executable)
    path = f"{root}/bin:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "PIP_NO_COMPILE": "1",  # compiling bytecode would double the time
    }
    for stage in BUILT:
        workdir = root / "src"
        workdir.mkdir(exist_ok=True)
        for name, value in STAGES[stage].steps:
            if name == "COPY":
                copy(value, root, workdir)
            if name == "RUN" and (BUILT_IN_C or "_fields" not in value):
                command = re.sub(r"(?<=[\s=])/(?=opt/|wheels)", f"{root}/", f" {value}")
                done = subprocess.run(
                    ["sh", "-ec", command],
                    cwd=workdir,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"RUN {value}\n{done.stdout}{done.stderr}"
    return root


def packages(python: Path) -> set[str]:
    """Return the names of the packages in an environment."""
    code = "from importlib.metadata import distributions as d; print(*{x.name for x in d()})"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.lower().split())


def test_environment_contains_locked_packages_only(image: Path) -> None:
    """The environment runs Plumbline, and contains locked packages and no build tools."""
    binaries = image / "opt" / "plumbline" / "bin"
    found = packages(binaries / "python")
    assert {"plumbline-monitor", "confluent-kafka", "numpy", "scipy"} <= found
    assert not found & {"pip", "setuptools", "wheel"}
    lock = re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "constraints" / "core.txt").read_text())
    assert {re.sub(r"[_.]", "-", name) for name in found} - {"plumbline-monitor"} <= set(lock)
    python = [str(binaries / "python"), "-I"]
    command = [*python, str(binaries / "plumbline"), "version"]
    done = subprocess.run(command, cwd=image, capture_output=True, text=True, check=True)
    assert done.stdout == f"plumbline {__version__}\n"
    produce = [*python, "-m", "monitor.cli.demo.produce", "--help"]
    subprocess.run(produce, cwd=image, capture_output=True, check=True)


def test_the_c_extension_is_built(image: Path) -> None:
    """The image contains the compiled decoder and no compiler."""
    require_reader()
    python = image / "opt" / "plumbline" / "bin" / "python"
    code = (
        "from monitor.ingest.decode.native._fields import read; read([], b'', 0, 0, 0, (), False);"
        "from monitor.ingest.decode.formats.otlp.reading.wire import WIRE_BUILT; assert WIRE_BUILT;"
        "from monitor.ingest.decode.native.plans.plan import PLANS_BUILT; assert PLANS_BUILT"
    )
    subprocess.run([python, "-I", "-c", code], cwd=image, capture_output=True, check=True)
    assert "compiler" in ancestors("wheel")
    for stage in STAGES.keys() - {"compiler", "wheel"}:
        assert "compiler" not in ancestors(stage)


def test_every_package_is_copied() -> None:
    """The build copies every package that the project installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {word for value in STAGES["wheel"].values("COPY") for word in value.split()}
    assert {name.rstrip("*") for name in included} <= copied


def test_stages_resolve() -> None:
    """Each stage is based on an earlier one or the pinned base; the daemon's image is the last."""
    names = list(STAGES)
    for number, (name, stage) in enumerate(STAGES.items()):
        assert stage.base == "${BASE}" or stage.base in names[:number], name
        for value in stage.values("COPY"):
            if source := re.match(r"--from=(\S+)", value):
                assert source[1] in names[:number], value
    assert tuple(names[-len(IMAGES) :]) == IMAGES
    assert all("runtime" in ancestors(name) for name in IMAGES)
    arguments = re.findall(r"(?m)^ARG (.*)$", (ROOT / "Dockerfile").read_text())
    assert len(arguments) == 1
    assert re.fullmatch(r"BASE=python:3\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", arguments[0])


def test_dependencies_are_pinned_by_hash() -> None:
    """All packages are installed with hashes, except Plumbline's own wheel."""
    for stage in STAGES.values():
        for run in stage.values("RUN"):
            for install in re.findall(r"pip [^&]*\binstall\b[^&]*", run):
                assert "--require-hashes" in install or "--no-deps" in install, install
    runs = " ".join(STAGES["environment-judge"].values("RUN"))
    for lock in ("judges", "embeddings"):
        assert re.search(rf"--require-hashes [^&]*--requirement constraints/{lock}.txt", runs)
    assert re.search(r"--no-deps [^&]*constraints/embeddings.txt", runs)  # it depends on torch
    for stage_name, lock in (("replay", "all"), ("replay-gpu", "replay-gpu")):
        runs = " ".join(STAGES[f"environment-{stage_name}"].values("RUN"))
        assert "--require-hashes --no-deps --no-build-isolation" in runs
        assert f"--requirement constraints/{lock}.txt" in runs


def locked(name: str) -> dict[str, str]:
    """Return version by package of a lock file."""
    text = (ROOT / "constraints" / f"{name}.txt").read_text()
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", text))


def test_the_image_of_judges_has_judges_and_no_torch() -> None:
    """It has the versions of the other images, and what judges need beside those of the daemon."""
    judges, core, every = locked("judges"), locked("core"), locked("all")
    assert {"aiohttp", "anthropic", "ragas", "onnxruntime", "tokenizers"} <= judges.keys()
    assert "lm-eval" in every.keys() - judges.keys()
    assert not {"torch", "transformers", "sentence-transformers"} & every.keys()
    assert core.items() <= judges.items() <= every.items()
    assert "hyperscan" in core  # redaction in ingest is several times faster with it


def test_the_image_of_the_pages_has_the_web_server_and_the_store() -> None:
    """It has the versions of the other images, and no more than the pages need."""
    web, core, every = locked("web"), locked("core"), locked("all")
    assert {"fastapi", "uvicorn", "jinja2", "sqlalchemy", "psycopg"} <= web.keys()
    assert not {"ragas", "lm-eval", "torch"} & web.keys()
    assert core.items() <= web.items() <= every.items()
    assert "--require-hashes" in " ".join(STAGES["environment-web"].values("RUN"))


def test_the_image_of_replays_on_gpus_has_torch_and_the_daemon() -> None:
    """It has the versions of the other images, torch, and all that daemon and store need."""
    loading, core, every = locked("replay-gpu"), locked("core"), locked("all")
    assert {"torch", "transformers", "lm-eval", "sqlalchemy", "psycopg"} <= loading.keys()
    assert core.keys() <= loading.keys()
    assert {name: loading[name] for name in loading.keys() & every.keys()}.items() <= every.items()


def test_image_is_confined() -> None:
    """The image runs as the numeric user of the chart, and without a shell that blocks signals."""
    user, group = map(int, RUNTIME.value("USER").split(":"))
    values = (ROOT / "helm" / "plumbline" / "values.yaml").read_text()
    assert user == group == int(re.findall(r"runAsUser: (\d+)", values)[0]) > 0
    assert RUNTIME.value("STOPSIGNAL") == "SIGTERM"
    assert json.loads(RUNTIME.value("ENTRYPOINT")) == ["plumbline"]
    assert json.loads(RUNTIME.value("CMD")) == ["run"]
    for stage in IMAGES:
        steps = {name for name, _ in STAGES[stage].steps}
        assert steps - {"ENV"} == {"COPY"}  # no root after the user
    after = [name for name, _ in RUNTIME.steps][[n for n, _ in RUNTIME.steps].index("USER") :]
    assert "RUN" not in after


@pytest.mark.parametrize(("age", "status"), [(0.0, 0), (120.0, 1)], ids=["running", "stalled"])
def test_healthcheck_queries_the_daemon(age: float, status: int) -> None:
    """The command of HEALTHCHECK distinguishes a running loop from a stalled one."""
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
    """The command of HEALTHCHECK fails if no daemon listens."""
    command = json.loads(RUNTIME.value("HEALTHCHECK").partition("CMD")[2])
    environment = {**os.environ, "PLUMBLINE__HTTP__PORT": "1"}
    done = subprocess.run(
        [sys.executable, *command[1:]], env=environment, capture_output=True, check=False
    )
    assert done.returncode != 0


def test_build_context_is_small() -> None:
    """.dockerignore includes exactly the paths that the Dockerfile copies."""
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
