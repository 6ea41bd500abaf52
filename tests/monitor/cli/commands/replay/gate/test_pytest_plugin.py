"""The plugin of pytest, in runs of pytest of its own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.monitor.cli.command_line import ROOT
from tests.replay.gate.criteria.data import content
from tests.replay.gate.scores import draws, scores, write

pytest_plugins = ["pytester"]
PLUGIN = "monitor.cli.commands.replay.gate.pytest_plugin"

CONFIGURATION = """
judges:
  checks:
    order: {kind: json_schema, matches: {type: object, required: [id]}}
    legal: {kind: keywords, forbidden: [guaranteed]}
    products: {kind: trap, terms: [Frobnicator]}
"""
TESTS = """
import pytest

@pytest.mark.smoke
def test_smoke(plumbline):
    plumbline.assert_gate()

@pytest.mark.regression
def test_regression(plumbline):
    plumbline.assert_gate()

@pytest.mark.benchmark
def test_benchmark(plumbline):
    plumbline.assert_gate()
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with criteria that measure checks and a latency, and with its scores."""
    dimensions = {
        "quality": {"tasks": ["support"], "margin": 0.05},
        "format": {"measure": "check.order", "at_least": 0.001},
        "legal": {"measure": "check.legal", "at_least": 0.9},
        "traps": {"measure": "check.products", "at_least": 0.9},
        "latency": {"measure": "latency_ms", "at_most": 800.0},
    }
    sides(pytester.path, drop=0.07)
    write_criteria(pytester, dimensions=dimensions)
    (pytester.path / "plumbline.yaml").write_text(CONFIGURATION)
    return pytester


def sides(folder: Path, drop: float, n: int = 400) -> None:
    """Write scores of both sides."""
    candidate, baseline = draws(n, 0.8, drop)
    write(folder / "new.jsonl", scores(candidate))
    write(folder / "old.jsonl", scores(baseline))


def write_criteria(project: pytest.Pytester, **changes: object) -> None:
    """Write criteria on the scores of the project."""
    results = {
        "candidate": {"results": "new.jsonl"},
        "baseline": {"results": "old.jsonl"},
        "tiers": {"L0": 40, "L1": 400},
    }
    text = yaml.safe_dump(content(**results, **changes))
    (project.path / "criteria.yaml").write_text(text)


def outcomes(project: pytest.Pytester, source: str, *words: str) -> dict[str, int]:
    """Run the tests and return how many ended how."""
    project.makepyfile(source)
    options = ("-p", "no:plumbline", "-p", PLUGIN, "--plumbline-criteria", "criteria.yaml")
    result = project.runpytest_inprocess(
        *options, "--strict-markers", "-p", "no:cacheprovider", *words
    )
    found: dict[str, int] = result.parseoutcomes()
    found.pop("warnings", None)  # the plugin's module may have been imported before
    found["status"] = int(result.ret)
    return found


def test_markers_select_the_tier(project: pytest.Pytester) -> None:
    """smoke ends with L0, which does not decide; regression and benchmark with L1, which does."""
    write_criteria(project)
    assert outcomes(project, TESTS) == {"skipped": 1, "failed": 2, "status": 1}
    assert outcomes(project, TESTS, "-m", "smoke") == {"skipped": 1, "deselected": 2, "status": 0}


def test_outcomes_of_stages(project: pytest.Pytester) -> None:
    """The same model passes; a broken comparison names its reason and neither passes nor skips."""
    write_criteria(project)
    for name in ("new", "old"):
        (project.path / f"{name}.jsonl").unlink()
    sides(project.path, drop=0.0)
    assert outcomes(project, TESTS, "-m", "regression")["passed"] == 1
    (project.path / "old.jsonl").unlink()
    write(project.path / "old.jsonl", scores([1.0] * 10))
    assert outcomes(project, TESTS, "-m", "regression")["failed"] == 1


ANSWERS = """
import pytest

@pytest.mark.parametrize(("answer", "prompt", "latency"), [
    ('{"id": 1}', "", 100.0),
    ('not json', "", 100.0),
    ('{"id": "guaranteed"}', "", 100.0),
    ('{"id": "It is blue."}', "What colour is the Frobnicator?", 100.0),
    ('{"id": "I do not know."}', "What colour is the Frobnicator?", 100.0),
    ('{"id": 1}', "", 900.0),
])
def test_answer(plumbline, answer, prompt, latency):
    plumbline.assert_answer(answer, prompt=prompt, latency_ms=latency)

def test_chosen(plumbline):
    plumbline.assert_answer("no json", checks=["legal"])

def test_unknown(plumbline):
    plumbline.assert_answer("no json", checks=["other"])
"""


def test_single_answers(project: pytest.Pytester) -> None:
    """Format, keywords, traps and latency: each of four answers breaks one; three are fine."""
    assert outcomes(project, ANSWERS) == {"passed": 3, "failed": 5, "status": 1}


SCORES = """
def test_same(plumbline):
    plumbline.assert_not_worse([1.0] * 200, [1.0] * 200, margin=0.05)

def test_worse(plumbline):
    plumbline.assert_not_worse([0.5] * 100 + [1.0] * 100, [1.0] * 200, margin=0.05)

def test_few(plumbline):
    plumbline.assert_not_worse([1.0] * 10, [1.0] * 10, margin=0.05)

def test_unequal(plumbline):
    plumbline.assert_not_worse([1.0] * 10, [1.0] * 11, margin=0.05)
"""


def test_own_scores(project: pytest.Pytester) -> None:
    """Equal scores pass, worse ones fail, few are skipped, unequal numbers are an error."""
    assert outcomes(project, SCORES) == {"passed": 1, "failed": 2, "skipped": 1, "status": 1}


def test_the_fixture_needs_criteria(pytester: pytest.Pytester) -> None:
    """Without criteria a test that uses the fixture is an error, and others run."""
    pytester.makepyfile("def test_a(plumbline): pass\ndef test_b(): pass")
    result = pytester.runpytest_inprocess("-p", "no:plumbline", "-p", PLUGIN)
    assert {"passed": 1, "errors": 1}.items() <= result.parseoutcomes().items()
    result.stdout.fnmatch_lines(["*name the criteria: --plumbline-criteria*"])


def test_the_entry_point_is_light() -> None:
    """pytest loads the plugin in every project: it imports no numerics and no validation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"plumbline": PLUGIN}
    heavy = {"numpy", "scipy", "pydantic", "yaml", "lm_eval", "aiohttp"}
    program = f"import sys, {PLUGIN}; print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
