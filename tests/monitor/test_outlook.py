"""What follows from a configuration: shares, levels, delays, warnings, and the words for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors.base import Floats
from detectors.calibration import SECONDS_PER_DAY, SMALLEST_LEVEL
from monitor import console, outlook, outlook_text, reference, references
from monitor.caveats import caveats
from monitor.config import (
    AlarmsConfig,
    Config,
    FeaturesConfig,
    FileReference,
    NamedReference,
    WarmupReference,
    WindowsConfig,
)
from monitor.outlook import ModelOutlook, Outlook
from monitor.reference import Profile
from tests.detectors.test_resampling import autoregressive
from tests.monitor import made
from tests.monitor.test_audit import numbers, profile_of

SMALL = WindowsConfig(records=200, stride=20)


def words(found: Outlook) -> list[str]:
    """Its lines."""
    return list(outlook_text.lines(found))


def named(tmp_path: Path, *profiles: Profile, **settings: object) -> Config:
    """A configuration whose reference is at hand."""
    references.save(tmp_path, "chat", profiles, "logs")
    source = NamedReference(source="named", name="chat", directory=tmp_path)
    return Config.model_validate({"windows": SMALL, "reference": source} | settings)


def built(seed: int = 1, model: str = "m", records: int = 20_000) -> Profile:
    """The reference of quiet traffic."""
    columns = made.stream(records, seed=seed, model=model)
    return reference.build([columns], segment="", window=200, categories=100)


def only(found: Outlook) -> ModelOutlook:
    """Its only model."""
    (model,) = found.models
    return model


def test_levels_and_shares_use_up_the_budget() -> None:
    """Shares sum to one; levels times features times evaluations are the false pages allowed."""
    settings = Config(alarms=AlarmsConfig(false_pages=2, per_days=10, weights={"psi": 3.0}))
    model = only(outlook.of(settings))
    assert sum(part.share for part in model.parts) == pytest.approx(1)
    evaluations = 10 * SECONDS_PER_DAY / model.seconds_per_evaluation
    for part in model.parts:
        if part.share:
            pages = part.level * part.streams * evaluations
            assert pages == pytest.approx(2 * part.share)
    by_name = {part.detector: part.share for part in model.parts}
    assert by_name["psi"] == pytest.approx(3 * by_name["ks"])
    assert by_name["adwin"] == 0


def test_without_a_reference_records_are_taken_for_independent() -> None:
    """The defaults, and configured metadata, are what is assumed; and that is said."""
    metadata = {"route": "categorical", "cost": "numeric"}
    settings = Config.model_validate(
        {"features": FeaturesConfig.model_validate({"metadata": metadata})}
    )
    plain, more = only(outlook.of(Config())), only(outlook.of(settings))
    streams = [{p.detector: p.streams for p in each.parts} for each in (plain, more)]
    assert streams[1]["psi"] == streams[0]["psi"] + 2
    assert streams[1]["chi2"] == streams[0]["chi2"] + 1
    assert plain.assumed
    text = words(outlook.of(Config()))
    assert text[0] == "1 false page in 30 days allowed to each model when nothing has changed"
    assert text[1].startswith("a model of independent records (assumed): 50 records a second")
    assert any("a number: a shift of 0.2 sd (median" in line for line in text)
    assert any(
        line == "  together 100%; nothing for adwin, which can raise no alarm" for line in text
    )


def test_segments_take_part_of_the_budget() -> None:
    """How much is left to the whole traffic is said."""
    text = words(outlook.of(Config(segments=("metadata.route",))))
    assert text[0].endswith(": 0.5 to its whole traffic, and as many to the segments of each key")


def test_a_named_reference_is_looked_at(tmp_path: Path) -> None:
    """Its models and features by name, at their own rate; the largest models first."""
    settings = named(tmp_path, built(), built(2, "n", 30_000))
    found = outlook.of(settings)
    assert [model.model for model in found.models] == ["n", "m"]
    assert not found.warnings
    model = found.models[0]
    assert model.records_per_second == pytest.approx(made.RATE, rel=0.01)
    latency = next(feature for feature in model.features if feature.name == "latency_ms")
    assert latency.delays[0].before == pytest.approx(403, rel=0.05)
    assert latency.delays[1].seen is not None
    text = words(found)
    (line,) = [line for line in text if line.startswith("  latency_ms: ")][:1]
    assert line.startswith("  latency_ms: a shift of 0.2 sd (median 40")
    assert "; 0.5 sd (-> 5" in line
    assert any("finish_reason: a shift of 0.2 sd (89." in line for line in text)


def test_a_file_is_looked_at(tmp_path: Path) -> None:
    """So is a reference that a file of records will make."""
    path = tmp_path / "logs.jsonl"
    lines = (
        f'{{"request_id":"{i}","timestamp":{1e9 + i},"model":"m","latency_ms":{i % 97}}}'
        for i in range(3_000)
    )
    path.write_text("\n".join(lines))
    settings = Config(windows=SMALL, reference=FileReference(source="file", path=path))
    model = only(outlook.of(settings))
    assert (model.model, model.reference_records) == ("m", 3_000)


def test_a_reference_that_cannot_be_read_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check is of the configuration: what is not there yet, or too long, is said."""
    missing = Config(reference=NamedReference(source="named", name="x", directory=tmp_path))
    gone = Config(reference=FileReference(source="file", path=tmp_path / "none.jsonl"))
    path = tmp_path / "long.jsonl"
    path.write_text("{}\n" * 10)
    monkeypatch.setattr(outlook, "LONGEST_FILE", 5)
    long = Config(reference=FileReference(source="file", path=path))
    for settings, expected in (
        (missing, "the reference cannot be used: no reference 'x'"),
        (gone, f"the reference cannot be used: {tmp_path}/none.jsonl: {os.strerror(2)}"),
        (long, "long.jsonl is too long to be read for a check"),
    ):
        found = outlook.of(settings)
        assert only(found).assumed
        assert any(expected in line and line.startswith("  ! ") for line in words(found))


def test_many_models_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are simulated, the others told of without delays, the rest counted."""
    monkeypatch.setattr(outlook, "MANY_MODELS", 3)
    profiles = [built(seed, f"m{seed}", 3_000 + seed) for seed in range(5)]
    found = outlook.of(named(tmp_path, *profiles))
    assert [model.model for model in found.models] == ["m4", "m3", "m2"]
    assert [bool(model.features[0].delays) for model in found.models] == [True, True, False]
    assert words(found)[-1] == "and 2 more models, of fewer records"


def test_what_cannot_be_simulated_is_said(tmp_path: Path) -> None:
    """A reference of less than two windows is warned of, and is no error."""
    model = only(outlook.of(named(tmp_path, built(records=300))))
    assert any("no shift can be simulated" in warning for warning in model.warnings)


def test_names_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Models and features of a reference come from a log."""
    hostile = "\x1b[31m[bold]x"
    columns = made.with_feature(made.stream(3_000, model=hostile), hostile, np.arange(3_000.0))
    profile = reference.build([columns], segment="", window=200, categories=100)
    console.print_outlook(outlook.of(named(tmp_path, profile)))
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert text.count("[31m[bold]x") >= 2


def warned(profile: Profile, settings: Config, **levels: float) -> Sequence[str]:
    """What is said of a reference."""
    return list(caveats(settings, profile, levels or {"zscore": 1e-8}))


def profile(values: Floats, days: float = 7.0) -> Profile:
    """The reference of numbers whose records cover so many days."""
    columns = numbers(values)
    times = made.START + np.linspace(0, days * SECONDS_PER_DAY, len(columns))
    return reference.build([replace(columns, times=times)], segment="", window=1000, categories=10)


def test_a_good_reference_is_not_warned_of() -> None:
    """Fifty windows and more, some days, independent records."""
    values = np.random.default_rng(0).standard_normal((2, 60_000))
    assert warned(profile(values), Config()) == []


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (30, "the reference holds 30 windows: 50 are advised"),
        (15, "is judged from 15 windows, and 20 are needed"),
        (15, "the z-score's level of 1e-08 is hardly supported by 15 windows: it must reach 11"),
        (4, "the z-score is silent: it needs 5 windows, and there are 4"),
    ],
)
def test_few_windows_are_warned_of(windows: int, expected: str) -> None:
    """What few windows cost is said in numbers."""
    values = np.random.default_rng(0).standard_normal((2, 1000 * windows))
    settings = Config(reference=WarmupReference(records=10_000))
    assert any(expected in line for line in warned(profile(values), settings))


def test_hours_are_no_days() -> None:
    """A reference that has not seen a night does not know one."""
    values = np.random.default_rng(0).standard_normal((2, 60_000))
    (line,) = warned(profile(values, days=0.25), Config())
    assert line.startswith("the reference covers 6 hours")


def test_dependence_is_warned_of() -> None:
    """How little a window is worth is said of the features that are worst off."""
    found = warned(profile_of(autoregressive(0.97)[None]), Config(), psi=1e-8)
    assert any(line.startswith("x0: records depend on each other so much") for line in found)


def test_levels_have_a_floor() -> None:
    """A budget so small that arithmetic ends is refused in words."""
    values = np.random.default_rng(0).standard_normal((2, 60_000))
    (line,) = warned(profile(values), Config(), psi=SMALLEST_LEVEL)
    assert line.startswith("a level of 1e-15 is the smallest that can be computed with")
