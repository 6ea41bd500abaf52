"""The import rules of pyproject.toml hold and can be broken, and files stay small.

`make lint` runs the contracts of [tool.importlinter] as well.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = tuple(sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))
PRODUCT = ("detectors", "grafana", "helm", "judges", "monitor", "replay")
MOST_LINES = 400
MOST_FUNCTION_LINES = 50
MOST_ENTRIES = 10
LARGE_PACKAGES = {
    "detectors": None,
    "grafana/dashboards": None,
    "monitor/roles": None,
    "monitor/ingest/decode": None,
}
"""Packages with an entry for each detector, dashboard, role or format: without a limit."""
MOST_ENTRIES_OF_MONITOR = 19


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the tree at `root`."""
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_contracts_are_kept() -> None:
    """No import of this tree breaks a contract."""
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


def test_every_package_is_linted() -> None:
    """A new top-level package must be named in pyproject.toml."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {*config["tool"]["importlinter"]["root_packages"], "tests"} == set(PACKAGES)


PLANTED = [  # file, line added to it, contract that it breaks
    ("monitor/events/types.py", "import monitor.detect.watch", "import downwards"),
    ("monitor/detect/watch.py", "def f():\n    import monitor.roles.detect", "import downwards"),
    ("monitor/newcomer/__init__.py", "import math", "import downwards"),
    (
        "detectors/kinds.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import detectors.baseline",
        "import cycle",
    ),
    ("monitor/detect/tracks/strides.py", "import monitor.detect.monitor", "import cycle"),
    ("detectors/psi.py", "import monitor.records", "Detectors import nothing"),
    (
        "judges/calls.py",
        "import monitor.ingest.chunks.columns",
        "Judges and replay import the leaves",
    ),
    ("replay/results.py", "import monitor.config.schema", "Judges and replay import the leaves"),
    ("replay/results.py", "import judges.calls", "Judges and replay are independent"),
    ("monitor/detect/watch.py", "import judges.calls", "Only roles, the app and the command line"),
    (
        "monitor/ingest/chunks/columns.py",
        "import replay.results",
        "Only roles, the app and the command",
    ),
    ("monitor/app.py", "import benchmarks.windows", "does not import its benchmarks"),
    ("monitor/notify/queue.py", "import confluent_kafka", "Kafka is reached"),
    ("monitor/cli/main.py", "import confluent_kafka", "is called in monitor.kafka"),
    ("monitor/web/context.py", "import monitor.kafka.topics", "leaves Kafka to its role"),
    ("monitor/web/context.py", "import replay.results", "Only roles, the app and the command"),
    ("monitor/detect/monitor.py", "import pydantic", "Pydantic is for configuration"),
    ("grafana/links.py", "import monitor.records", "import the daemon's errors only"),
    ("monitor/telemetry/http/server.py", "import grafana.links", "Only the command line imports"),
]


@pytest.mark.parametrize(("file", "line", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(
    tmp_path: Path, file: str, line: str, contract: str
) -> None:
    """Every contract is broken by an import that it forbids, and named."""
    skipped = shutil.ignore_patterns("__pycache__", "*.so", "*.json", "results")
    for package in (name for name in PACKAGES if name != "tests"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    broken = [found for found in done.stdout.splitlines() if found.endswith("BROKEN")]
    assert done.returncode == 1, done.stdout
    assert any(contract in found for found in broken), done.stdout


def modules() -> Iterator[Path]:
    """The Python files of the product."""
    for package in PRODUCT:
        yield from sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    """No file has more than 400 lines, no function more than 50."""
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES
    functions = (
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= MOST_FUNCTION_LINES]
    assert long == []


def test_packages_are_small() -> None:
    """No package has more than ten entries, `monitor` no more than its layers."""
    sizes = {}
    for marker in (found for package in PRODUCT for found in (ROOT / package).rglob("__init__.py")):
        folder = marker.parent
        entries = [
            entry
            for entry in folder.iterdir()
            if entry.suffix == ".py" or (entry / "__init__.py").exists()
        ]
        sizes[str(folder.relative_to(ROOT))] = len(entries)
    limits = LARGE_PACKAGES | {"monitor": MOST_ENTRIES_OF_MONITOR}
    large = {
        name: size
        for name, size in sizes.items()
        if (most := limits.get(name, MOST_ENTRIES)) is not None and size > most
    }
    assert large == {}
