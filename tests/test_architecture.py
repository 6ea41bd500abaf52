"""The import arrows of ARCHITECTURE.md, read from the source without importing it.

`RULES` says who may not import what; two walks over the import graph say that Kafka stays behind
its door and that no modules import each other in a circle. Every rule is shown to bite on small
trees that break it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("benchmarks", "detectors", "grafana", "helm", "judges", "monitor", "replay")
OPTIONAL = (
    "anthropic",
    "ragas",
    "lm_eval",
    "grafana_foundation_sdk",
)  # extras: heavy, and absent from a plain install

KAFKA_CODE = ("monitor.kafka", "monitor.roles", "monitor.demo", "benchmarks")
WIRING = (*KAFKA_CODE, "monitor.app", "monitor.cli", "monitor.__main__", "monitor.backtest")
PYDANTIC_CODE = ("monitor.config*", "monitor.web", "judges")

Graph = Mapping[str, frozenset[str]]


# --- what is imported -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: by whom, what (`package.module.name`), and when it takes effect."""

    importer: str
    target: str
    line: int
    runtime: bool  # not for type checkers only
    at_start: bool  # while the importing module itself is imported

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


@dataclass(frozen=True, slots=True)
class Imports(ast.NodeVisitor):
    """Collects the imports of one module."""

    module: str
    package: str
    found: list[Import]
    runtime: bool = True
    at_start: bool = True

    def visit_Import(self, node: ast.Import) -> None:
        """`import a.b, c`."""
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a import b`, `from . import b`."""
        base = node.module or ""
        if node.level:
            around = self.package.split(".")
            kept = around[: len(around) - node.level + 1]
            base = ".".join([*kept, *([node.module] if node.module else [])])
        for alias in node.names:
            self._add(base if alias.name == "*" else f"{base}.{alias.name}", node)

    def visit_Call(self, node: ast.Call) -> None:
        """`import_module("a")` and `__import__("a")`, where the name can be read."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        match node.args:
            case [ast.Constant(value=str(name)), *_] if called in {"import_module", "__import__"}:
                self._add(name, node)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        """`if TYPE_CHECKING:` holds what type checkers alone read."""
        inner = self._within(runtime=False) if _is_type_checking(node.test) else self
        for statement in node.body:
            inner.visit(statement)
        for part in (node.test, *node.orelse):
            self.visit(part)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A function's body runs later; its decorators and defaults run at once."""
        for part in (*node.decorator_list, node.args):
            self.visit(part)
        inner = self._within(at_start=False)
        for statement in node.body:
            inner.visit(statement)

    visit_AsyncFunctionDef = visit_FunctionDef  # the name is ast's

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """A lambda's body runs later as well."""
        self._within(at_start=False).visit(node.body)

    def _within(self, runtime: bool = True, at_start: bool = True) -> Imports:
        return Imports(
            self.module,
            self.package,
            self.found,
            self.runtime and runtime,
            self.at_start and at_start,
        )

    def _add(self, target: str, node: ast.stmt | ast.expr) -> None:
        self.found.append(Import(self.module, target, node.lineno, self.runtime, self.at_start))


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


@dataclass(frozen=True, slots=True)
class Tree:
    """The modules of a source tree and everything they import."""

    modules: frozenset[str]
    imports: Sequence[Import]

    @classmethod
    def read(cls, root: Path) -> Tree:
        """Parse every module of ours under `root`; of one in C, its stub."""
        found: list[Import] = []
        modules = set()
        files = (path for name in OURS for path in (root / name).rglob("*.py*"))
        for path in sorted(path for path in files if path.suffix in {".py", ".pyi"}):
            parts = path.relative_to(root).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            package = module if is_package else ".".join(parts[:-1])
            modules.add(module)
            Imports(module, package, found).visit(ast.parse(path.read_bytes(), str(path)))
        return cls(frozenset(modules), found)

    def graph(self, *, packages: bool = False) -> Graph:
        """Module -> the modules of ours that it imports at run time, in whatever way.

        With `packages` also those that Python runs on the way there: importing a.b runs a.
        """
        edges: dict[str, set[str]] = {module: set() for module in self.modules}
        for item in self.imports:
            if not item.runtime:
                continue
            outwards = [name for name in _outwards(item.target) if name in self.modules]
            edges[item.importer].update(outwards if packages else outwards[:1])
        return {module: frozenset(targets - {module}) for module, targets in edges.items()}


def _outwards(name: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while name:
        yield name
        name = name.rpartition(".")[0]


# --- what is forbidden ------------------------------------------------------------------------


def within(name: str, *areas: str) -> bool:
    """Whether `name` is one of the areas or inside one; `a.b*` stands for what begins so."""
    return any(
        name.startswith(area[:-1]) if area.endswith("*") else f"{name}.".startswith(f"{area}.")
        for area in areas
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """What no module may import, and why; `broken_by` recognises such an import."""

    text: str
    broken_by: Callable[[Import], bool]


RULES = (
    Rule(
        "detectors import nothing of ours",
        lambda i: (
            within(i.importer, "detectors")
            and within(i.target, *OURS)
            and not within(i.target, "detectors")
        ),
    ),
    Rule(
        "judges import nothing of ours but monitor.records and monitor.events",
        lambda i: (
            within(i.importer, "judges")
            and within(i.target, *OURS)
            and not within(i.target, "judges", "monitor.records", "monitor.events")
        ),
    ),
    Rule(
        "replay imports nothing of ours but monitor.records and monitor.events",
        lambda i: (
            within(i.importer, "replay")
            and within(i.target, *OURS)
            and not within(i.target, "replay", "monitor.records", "monitor.events")
        ),
    ),
    Rule(
        "judges and replay meet the daemon only where it is wired",
        lambda i: (
            within(i.importer, "monitor")
            and within(i.target, "judges", "replay")
            and not within(i.importer, *WIRING)
        ),
    ),
    Rule(
        "the daemon does not know what measures it",
        lambda i: within(i.importer, "monitor") and within(i.target, "benchmarks", "tests"),
    ),
    Rule(
        "of the daemon, the command line alone knows what draws it",
        lambda i: (
            within(i.importer, "monitor")
            and within(i.target, "grafana")
            and not within(i.importer, "monitor.cli")
        ),
    ),
    Rule(
        "grafana knows the daemon by its metrics, and imports of it its errors alone",
        lambda i: (
            within(i.importer, "grafana")
            and within(i.target, *OURS)
            and not within(i.target, "grafana", "monitor.errors")
        ),
    ),
    Rule(
        "confluent_kafka is spoken to only in monitor.kafka, the roles and the demo",
        lambda i: within(i.target, "confluent_kafka") and not within(i.importer, *KAFKA_CODE),
    ),
    Rule(
        "optional packages are imported late, where they are needed",
        lambda i: (
            within(i.target, *OPTIONAL)
            and within(i.importer, "monitor", "detectors")
            and i.runtime
            and i.at_start
        ),
    ),
    Rule(
        "pydantic is for configuration, HTTP and the results of judges",
        lambda i: (
            within(i.target, "pydantic", "pydantic_core", "pydantic_settings")
            and not within(i.importer, *PYDANTIC_CODE)
        ),
    ),
)


def violations(tree: Tree) -> list[str]:
    """Everything in the tree that breaks the architecture, one line each."""
    return [
        *(f"{i}: {rule.text}" for i in tree.imports for rule in RULES if rule.broken_by(i)),
        *leaks(tree),
        *(f"import cycle: {' > '.join(cycle)}" for cycle in cycles(tree.graph())),
    ]


def leaks(tree: Tree) -> Iterator[str]:
    """The ways by which Kafka reaches modules that must be usable, and testable, without it."""
    direct = {i.importer for i in tree.imports if i.runtime and within(i.target, "confluent_kafka")}
    graph = tree.graph(packages=True)
    for module in sorted(tree.modules):
        way = None if within(module, *WIRING) else path_to(graph, module, direct)
        if way and len(way) > 1:  # a direct import breaks a rule already
            yield f"{' > '.join(way)} > confluent_kafka: only the wiring may reach Kafka"


def path_to(graph: Graph, start: str, goals: Iterable[str]) -> list[str] | None:
    """A shortest way from `start` to one of `goals`, None if there is none."""
    goals = set(goals)
    ways, seen = [[start]], {start}
    for way in ways:  # grows while it is walked: breadth first
        if way[-1] in goals:
            return way
        fresh = sorted(graph[way[-1]] - seen)
        seen.update(fresh)
        ways += [[*way, module] for module in fresh]
    return None


def cycles(graph: Graph) -> Iterator[list[str]]:
    """Import cycles, each found once: a shortest one through each module not yet in one."""
    reported: set[str] = set()
    for module in sorted(graph):
        if module in reported:
            continue
        ways = (path_to(graph, target, [module]) for target in sorted(graph[module]))
        shortest = min((way for way in ways if way), key=len, default=None)
        if shortest:
            reported.update(shortest)
            yield [module, *shortest]


# --- the tests --------------------------------------------------------------------------------


def planted(root: Path, files: Mapping[str, str]) -> list[str]:
    """The violations of a tree made of these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return violations(Tree.read(root))


def test_source_keeps_the_arrows() -> None:
    """Nothing in this repository breaks the architecture."""
    assert violations(Tree.read(ROOT)) == []


def test_source_is_read() -> None:
    """The check above has something to check: known modules and a known import are seen."""
    tree = Tree.read(ROOT)
    assert {"monitor", "monitor.config_file", "detectors.psi"} <= tree.modules
    assert "monitor.config" in tree.graph()["monitor.config_file"]


def test_every_package_is_watched() -> None:
    """A new top-level package must be put under the rules."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests"} <= set(OURS)


PLANTED = [  # file, source, what is said of it
    ("detectors/psi.py", "import monitor.records", "detectors import nothing of ours"),
    ("detectors/psi.py", "def f():\n    from judges import panel", "detectors import nothing"),
    ("detectors/psi.py", "from . import base\nfrom .window import Window", None),
    ("judges/panel.py", "from monitor.config import Config", "judges import nothing of ours"),
    ("judges/panel.py", "from monitor import kafka", "judges import nothing of ours"),
    ("judges/panel.py", "import replay", "judges import nothing of ours"),
    ("replay/gate.py", "import detectors.psi", "replay imports nothing of ours"),
    ("monitor/alarms.py", "from judges.panel import ask", "only where it is wired"),
    ("monitor/alarms.py", "import benchmarks.throughput", "what measures it"),
    ("monitor/web/server.py", "from grafana.dashboards import build", "what draws it"),
    ("monitor/cli.py", "def f():\n    from grafana.dashboards import build", None),
    ("monitor/cli.py", "import benchmarks.throughput", "what measures it"),
    ("grafana/dashboards/drift.py", "from monitor.metrics import MAX_SERIES", "its errors alone"),
    ("grafana/dashboards/build.py", "from monitor.errors import UserError", None),
    ("grafana/dashboards/drift.py", "import grafana_foundation_sdk.cog", None),
    ("monitor/cli.py", "import grafana_foundation_sdk.cog", "imported late"),
    ("monitor/alarms.py", "from confluent_kafka import Producer", "spoken to only in"),
    ("monitor/app.py", "import confluent_kafka.admin", "spoken to only in"),
    ("monitor/kafkaesque.py", "import confluent_kafka", "spoken to only in"),
    ("monitor/app.py", "importlib.import_module('confluent_kafka')", "spoken to only in"),
    (
        "monitor/alarms.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import confluent_kafka",
        "spoken to only in",
    ),
    ("monitor/roles/judge.py", "import anthropic", "imported late"),
    ("monitor/roles/judge.py", "try:\n    import ragas\nexcept ImportError: pass", "imported late"),
    ("monitor/roles/judge.py", "class A:\n    from ragas import evaluate", "imported late"),
    ("detectors/psi.py", "import lm_eval.api", "imported late"),
    ("monitor/alarms.py", "from pydantic import BaseModel", "pydantic is for"),
    ("monitor/alarms.py", "async def f():\n    import pydantic_core", "pydantic is for"),
    ("monitor/records.py", "from monitor.events import E", None),
    ("judges/panel.py", "from monitor.records import Record\nimport monitor.events", None),
    ("judges/panel.py", "from judges import budget\nimport pydantic", None),
    ("judges/panel.py", "from monitor import records, events", None),
    ("monitor/roles/judge.py", "def f():\n    import anthropic", None),
    ("monitor/roles/judge.py", "f = lambda: __import__('anthropic')", None),
    ("monitor/roles/judge.py", "import confluent_kafka\nfrom judges import panel", None),
    ("monitor/kafka/client.py", "from confluent_kafka import Consumer", None),
    ("monitor/config_client.py", "import pydantic_core", None),
    ("monitor/web/api.py", "import pydantic", None),
    ("monitor/alarms.py", "import numpy\nfrom detectors import base", None),
]


@pytest.mark.parametrize(("file", "source", "expected"), PLANTED)
def test_planted_import_is_judged(
    tmp_path: Path, file: str, source: str, expected: str | None
) -> None:
    """One import in one file is refused for the reason expected, or not at all."""
    found = planted(tmp_path, {file: source})
    assert len(found) == (expected is not None)
    assert not found or (expected or "") in found[0]


def test_violation_names_its_place(tmp_path: Path) -> None:
    """A violation says the module, the line and what is imported."""
    [found] = planted(tmp_path, {"detectors/psi.py": "import math\n\nimport monitor.records\n"})
    assert found.startswith("detectors.psi:3 imports monitor.records: ")


def test_kafka_that_leaks_through_others_is_found(tmp_path: Path) -> None:
    """A module that reaches Kafka only through others is found, with the way."""
    files = {
        "monitor/kafka.py": "import confluent_kafka",
        "monitor/state.py": "def f():\n    from monitor import kafka",
        "monitor/alarms.py": "from .state import State",
        "monitor/cli.py": "import monitor.kafka",
        "monitor/app.py": "import monitor.state",
    }
    assert [line.partition(":")[0] for line in planted(tmp_path, files)] == [
        "monitor.alarms > monitor.state > monitor.kafka > confluent_kafka",
        "monitor.state > monitor.kafka > confluent_kafka",
    ]


def test_kafka_that_leaks_through_a_package_is_found(tmp_path: Path) -> None:
    """Importing a.b runs a, so what a imports counts as well."""
    files = {
        "monitor/roles/__init__.py": "import confluent_kafka",
        "monitor/roles/names.py": "",
        "monitor/alarms.py": "from monitor.roles.names import ROLES",
    }
    [found] = planted(tmp_path, files)
    assert found.startswith("monitor.alarms > monitor.roles > confluent_kafka")


def test_kafka_for_type_checkers_alone_does_not_leak(tmp_path: Path) -> None:
    """A module may name a type of the Kafka door, since that imports nothing."""
    files = {
        "monitor/kafka.py": "import confluent_kafka",
        "monitor/state.py": "import typing\nif typing.TYPE_CHECKING:\n    import monitor.kafka",
    }
    assert planted(tmp_path, files) == []


@pytest.mark.parametrize(
    ("files", "cycle"),
    [
        (
            {"monitor/a.py": "from monitor import b", "monitor/b.py": "from .a import x"},
            "monitor.a > monitor.b > monitor.a",
        ),
        (
            {
                "monitor/a.py": "import monitor.b",
                "monitor/b.py": "def f():\n    import monitor.c",
                "monitor/c.py": "from monitor import a",
            },
            "monitor.a > monitor.b > monitor.c > monitor.a",
        ),
        (
            {
                "monitor/a/__init__.py": "from monitor.a.b import x",
                "monitor/a/b.py": "from monitor.a import y",
            },
            "monitor.a > monitor.a.b > monitor.a",
        ),
        (
            {
                "monitor/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
                "    from monitor import b\nelse:\n    import monitor.c",
                "monitor/b.py": "import monitor.a",
                "monitor/c.py": "",
            },
            None,
        ),
        ({"monitor/a/__init__.py": "from . import b", "monitor/a/b.py": "import math"}, None),
    ],
)
def test_cycles_are_found(tmp_path: Path, files: Mapping[str, str], cycle: str | None) -> None:
    """A circle of run-time imports is reported once; imports for types alone close none."""
    assert planted(tmp_path, files) == ([f"import cycle: {cycle}"] if cycle else [])
