"""A plugin of pytest: tests that assert the criteria of a gate (entry point `pytest11`).

    pytest --plumbline-criteria criteria.yaml -m smoke

The fixture `plumbline` asserts single answers, scores of one's own, and whole stages. A regression
fails a test, an inconclusive result skips it, and a broken run raises RuntimeError.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:  # slow to import: pytest loads this module for every project
    from judges.checks.build import Check
    from monitor.config.schema import Config
    from replay.gate.criteria.model import StageName

TIERS: Final[dict[str, StageName]] = {"smoke": "L0", "regression": "L1", "benchmark": "L2"}
"""Marker of a test -> the last stage that `assert_gate` runs in it."""
_OPTIONS: Final = {
    "criteria": "file of the criteria",
    "config": "configuration whose checks the criteria measure (default: plumbline.yaml)",
    "work": "folder of kept scores (default: plumbline-gate)",
}
_MAX_SHOWN: Final = 500


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, on the command line and in the configuration of pytest."""
    group = parser.getgroup("plumbline", "criteria for answers of language models")
    for name, text in _OPTIONS.items():
        group.addoption(f"--plumbline-{name}", metavar="PATH", help=text)
        parser.addini(f"plumbline_{name}", text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker, stage in TIERS.items():
        config.addinivalue_line("markers", f"{marker}: plumbline runs the gate to stage {stage}")


class Plumbline:
    """Asserts criteria in tests. until: the last stage that `assert_gate` runs."""

    def __init__(
        self, criteria: Path, config: Path | None, work: Path, until: StageName | None
    ) -> None:
        from monitor.cli.commands.replay.gate.loading import load_criteria

        self.criteria, self._sha256 = load_criteria(criteria)
        self._config_path = config
        self._work = work
        self._until = until

    def assert_answer(
        self,
        response: str,
        *,
        prompt: str = "",
        latency_ms: float | None = None,
        checks: Sequence[str] | None = None,
    ) -> None:
        """Assert that one answer passes the checks, and its time the limits of latency_ms.

        checks: names of configured checks, such as of format, keywords and traps; by default
        those that the criteria measure. A check that does not apply passes.
        """
        __tracebackhide__ = True
        from monitor.records import Inclusion, Sample

        measured = [d.measure or "" for d in self.criteria.dimensions.values()]
        names = [m.removeprefix("check.") for m in measured if m.startswith("check.")]
        sample = Sample(
            request_id="",
            timestamp=0.0,
            model="",
            inclusion=Inclusion(uniform=False, probability=0.0),
            prompt=prompt or None,
            response=response,
        )
        known = self._checks()
        for name in names if checks is None else checks:
            if name not in known:
                raise pytest.UsageError(f"no check {name!r} is configured; there is {[*known]}")
            value = known[name](sample)
            if value is not None and value < 1:
                shown = repr(response[:_MAX_SHOWN])
                pytest.fail(f"check {name} does not hold for {shown}", pytrace=False)
        for dimension in self.criteria.dimensions.values():
            limit = dimension.at_most if dimension.measure == "latency_ms" else None
            if limit is not None and latency_ms is not None and latency_ms > limit:
                text = f"the answer took {latency_ms:g} ms; at most {limit:g} ms are allowed"
                pytest.fail(text, pytrace=False)

    def assert_not_worse(
        self, candidate: Sequence[float], baseline: Sequence[float], margin: float
    ) -> None:
        """Assert that paired scores, 0 or 1 or graded, are not worse by the margin or more.

        The test is skipped if the scores do not decide, and the reason says how many would.
        """
        __tracebackhide__ = True
        from replay.gate.criteria.dimension import Dimension
        from replay.gate.decision.rules import levels
        from replay.gate.decision.tasks import Limits, compare, margin_check, paired
        from replay.gate.reports.texts import finding

        task = "scores"
        limits = Limits(self.criteria.min_items, self.criteria.max_failed)
        level = levels(self.criteria.alpha, 1)
        found = compare(paired(task, candidate, baseline), {task: margin}, level, limits)
        check = margin_check(task, Dimension(tasks=(task,), margin=margin), found[task])
        if check.outcome == "inconclusive":
            pytest.skip(f"inconclusive: {finding(check)}")
        if check.outcome == "regressed":
            pytest.fail(f"regressed: {finding(check)}", pytrace=False)

    def assert_gate(self) -> None:
        """Assert the criteria: run the stages, to that of the test's marker or to the last one.

        The test is skipped if the result is inconclusive. Raises RuntimeError for a broken run.
        """
        __tracebackhide__ = True
        import os

        from monitor.cli.commands.replay.gate.inputs import gate_inputs, user
        from monitor.cli.commands.replay.gate.outputs import text_report
        from replay.gate.audit import origin
        from replay.gate.stages.sequence import run_gate

        inputs = gate_inputs(self.criteria, self._config(), self._work, None)
        who = origin(os.environ, user())
        result = run_gate(self.criteria, self._sha256, inputs, who, self._last_stage())
        if result.outcome == "error":
            raise RuntimeError(text_report(result))
        if result.outcome == "inconclusive":
            pytest.skip(text_report(result))
        if result.outcome == "regressed":
            pytest.fail(text_report(result), pytrace=False)

    def _last_stage(self) -> StageName | None:
        """Return the last stage of the criteria up to that of the marker; None for all."""
        from replay.gate.criteria.model import STAGES

        if self._until is None:
            return None
        allowed = STAGES[: STAGES.index(self._until) + 1]
        found = [stage for stage in self.criteria.stages if stage in allowed]
        if not found:
            raise pytest.UsageError(f"the criteria have no stage up to {self._until}")
        return found[-1]

    def _checks(self) -> dict[str, Check]:
        from monitor.roles.judge_setup import configured_checks

        return configured_checks(self._config().judges)

    def _config(self) -> Config:
        import argparse

        from monitor.cli.commands.replay.gate.inputs import needs_store
        from monitor.cli.options import load_config

        arguments = argparse.Namespace(config=self._config_path)
        return load_config(arguments, secrets=needs_store(self.criteria))


@pytest.fixture
def plumbline(request: pytest.FixtureRequest) -> Plumbline:
    """Return the assertions of the criteria that an option or an ini value names."""
    criteria = _path(request.config, "criteria")
    if criteria is None:
        raise pytest.UsageError("name the criteria: --plumbline-criteria, or plumbline_criteria")
    marked = [stage for marker, stage in TIERS.items() if request.node.get_closest_marker(marker)]
    work = _path(request.config, "work") or request.config.rootpath / "plumbline-gate"
    return Plumbline(criteria, _path(request.config, "config"), work, max(marked, default=None))


def _path(config: pytest.Config, name: str) -> Path | None:
    """Return a path of an option, or of an ini value relative to the root of the project."""
    if given := config.getoption(f"plumbline_{name}"):
        return Path(given)
    ini = config.getini(f"plumbline_{name}")
    return config.rootpath / ini if ini else None
