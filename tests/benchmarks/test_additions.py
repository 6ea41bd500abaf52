"""The benchmark of what judging, an experiment and feedback add to the daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import additions
from benchmarks.throughput.measure import Measurement
from monitor.config.schema import Config


@pytest.mark.parametrize("name", additions.CONFIGURATIONS)
def test_configurations_are_valid(name: str) -> None:
    """Each switches on what its name says."""
    config = Config.model_validate(additions.CONFIGURATIONS[name])
    every = name == "all three"
    assert config.sampled == (name == "judging" or every)
    assert bool(config.experiments) == (name == "experiment" or every)
    assert (config.feedback is not None) == (name == "feedback" or every)


def test_ratios_are_those_of_a_round() -> None:
    """A slow round slows down both sides."""
    nothing = [Measurement(10.0, 10.0), Measurement(20.0, 20.0)]
    row = [Measurement(11.0, 12.0), Measurement(24.0, 22.0)]
    found = additions._summary(row, {additions.NOTHING: nothing})
    assert found["wall_ratio"] == pytest.approx(1.15)
    assert found["wall_range"] == [1.1, 1.2]
    assert found["cpu_ratio"] == pytest.approx(1.15)


def test_the_document_has_the_committed_result() -> None:
    """Medians of time, and the ratios, rounded."""
    result = json.loads(additions.OUT.read_text())
    text = (Path(additions.__file__).parent / "README.md").read_text()
    for name, row in result["configurations"].items():
        start = f"| {name} | {row['wall_us']:.2f} | "
        (line,) = (line for line in text.splitlines() if line.startswith(start))
        assert f" {row['wall_ratio']:.2f}".removesuffix(".00") in line
