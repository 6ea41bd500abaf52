"""The forecast of a configuration: shares, levels, delays, warnings, and their text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.calibration import MIN_LEVEL, SECONDS_PER_DAY
from monitor.cli.console import forecast_text, tables
from monitor.config.schema import Config
from monitor.config.sections.detection import (
    AlarmsConfig,
    FeaturesConfig,
    FileReference,
    NamedReference,
    WarmupReference,
    WindowsConfig,
)
from monitor.detect.audit import forecast
from monitor.detect.audit.forecast import Forecast, ModelForecast
from monitor.detect.audit.reference_warnings import warnings_of
from monitor.detect.reference import builder, store
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.store import UnusableReferenceError
from tests.detectors.test_block_bootstrap import autoregressive
from tests.monitor import synthetic
from tests.monitor.detect.audit.test_self_audit import numbers, profile_of

SMALL = WindowsConfig(records=200, stride=20)


def text_of(result: Forecast) -> list[str]:
    """Return the lines of a forecast."""
    return list(forecast_text.lines(result))


def named(tmp_path: Path, *profiles: Profile, **settings: object) -> Config:
    """Return a configuration with a named reference of these profiles."""
    store.save(tmp_path, "chat", profiles, "logs")
    source = NamedReference(source="named", name="chat", directory=tmp_path)
    return Config.model_validate({"windows": SMALL, "reference": source} | settings)


def built(seed: int = 1, model: str = "m", records: int = 20_000) -> Profile:
    """Return a reference of synthetic traffic."""
    columns = synthetic.stream(records, seed=seed, model=model)
    return builder.build([columns], segment="", window=200, categories=100)


def only_model(result: Forecast) -> ModelForecast:
    """Return the only model of a forecast."""
    (model,) = result.models
    return model


def test_shares_and_levels_add_up_to_the_budget() -> None:
    """Shares sum to one; level x streams x evaluations is each detector's part of the budget."""
    settings = Config(alarms=AlarmsConfig(false_pages=2, per_days=10, weights={"psi": 3.0}))
    model = only_model(forecast.compute(settings))
    assert sum(part.share for part in model.parts) == pytest.approx(1)
    evaluations = 10 * SECONDS_PER_DAY / model.seconds_per_evaluation
    for part in model.parts:
        if part.share:
            pages = part.level * part.streams * evaluations
            assert pages == pytest.approx(2 * part.share)
    by_name = {part.detector: part.share for part in model.parts}
    assert by_name["psi"] == pytest.approx(3 * by_name["ks"])
    assert by_name["adwin"] == 0


def test_forecast_without_a_reference_assumes_independent_records() -> None:
    """The assumed model has the default features and configured metadata, and is marked."""
    metadata = {"route": "categorical", "cost": "numeric"}
    settings = Config.model_validate(
        {"features": FeaturesConfig.model_validate({"metadata": metadata})}
    )
    plain, more = only_model(forecast.compute(Config())), only_model(forecast.compute(settings))
    streams = [{p.detector: p.streams for p in each.parts} for each in (plain, more)]
    assert streams[1]["psi"] == streams[0]["psi"] + 2
    assert streams[1]["chi2"] == streams[0]["chi2"] + 1
    assert plain.assumed
    text = text_of(forecast.compute(Config()))
    assert text[0] == "budget: 1 false page per model in 30 days without a change"
    assert text[1].startswith("assumed model (independent records): 50 records per second")
    assert any("a number: a shift of 0.2 sd (median" in line for line in text)
    assert any(line == "  total: 100%; no share and no alarms: adwin" for line in text)


def test_segments_have_a_share_of_the_budget() -> None:
    """The text has the shares of the whole traffic and of each segment key."""
    text = text_of(forecast.compute(Config(segments=("metadata.route",))))
    assert text[0].endswith(", 0.5 of them for its whole traffic and 0.5 for each segment key")


def test_forecast_uses_a_named_reference(tmp_path: Path) -> None:
    """It has the models of the reference, largest first, with their features and rates."""
    settings = named(tmp_path, built(), built(2, "n", 30_000))
    result = forecast.compute(settings)
    assert [model.model for model in result.models] == ["n", "m"]
    assert not result.warnings
    model = result.models[0]
    assert model.records_per_second == pytest.approx(synthetic.RATE, rel=0.01)
    latency = next(feature for feature in model.features if feature.name == "latency_ms")
    assert latency.delays[0].before == pytest.approx(403, rel=0.05)
    assert latency.delays[1].seen is not None
    text = text_of(result)
    (line,) = [line for line in text if line.startswith("  latency_ms: ")][:1]
    assert line.startswith("  latency_ms: a shift of 0.2 sd (median 40")
    assert "; 0.5 sd (-> 5" in line
    assert any("finish_reason: a shift of 0.2 sd (89." in line for line in text)


def test_forecast_uses_a_file_of_records(tmp_path: Path) -> None:
    """It builds the reference from the configured file."""
    path = tmp_path / "logs.jsonl"
    lines = (
        f'{{"request_id":"{i}","timestamp":{1e9 + i},"model":"m","latency_ms":{i % 97}}}'
        for i in range(3_000)
    )
    path.write_text("\n".join(lines))
    settings = Config(windows=SMALL, reference=FileReference(source="file", path=path))
    model = only_model(forecast.compute(settings))
    assert (model.model, model.reference_records) == ("m", 3_000)


def test_unusable_reference_is_an_error(tmp_path: Path) -> None:
    """A missing reference, which the daemon would refuse, is an error."""
    missing = Config(reference=NamedReference(source="named", name="x", directory=tmp_path))
    with pytest.raises(UnusableReferenceError, match="no reference 'x'"):
        forecast.compute(missing)
    gone = Config(reference=FileReference(source="file", path=tmp_path / "none.jsonl"))
    with pytest.raises(UnusableReferenceError, match=f"none.jsonl: {os.strerror(2)}"):
        forecast.compute(gone)


def test_large_reference_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large to be read is a warning, and the forecast assumes a model."""
    path = tmp_path / "long.jsonl"
    path.write_text("{}\n" * 10)
    monkeypatch.setattr(forecast, "MAX_FILE_BYTES", 5)
    result = forecast.compute(Config(reference=FileReference(source="file", path=path)))
    assert only_model(result).assumed
    expected = "long.jsonl is too large to be read for a forecast"
    assert any(expected in line and line.startswith("  ! ") for line in text_of(result))


def test_number_of_models_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models are simulated, some more are listed without delays, the others are counted."""
    monkeypatch.setattr(forecast, "MAX_MODELS", 3)
    profiles = [built(seed, f"m{seed}", 3_000 + seed) for seed in range(5)]
    result = forecast.compute(named(tmp_path, *profiles))
    assert [model.model for model in result.models] == ["m4", "m3", "m2"]
    assert [bool(model.features[0].delays) for model in result.models] == [True, True, False]
    assert text_of(result)[-1] == "and 2 more models with fewer records"


def test_failed_simulation_is_a_warning(tmp_path: Path) -> None:
    """A reference of less than two windows has a warning and no delays."""
    model = only_model(forecast.compute(named(tmp_path, built(records=300))))
    assert any("no shift can be simulated" in warning for warning in model.warnings)


def test_names_are_escaped_for_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters and markup in names of models and features are escaped."""
    hostile = "\x1b[31m[bold]x"
    columns = synthetic.with_feature(
        synthetic.stream(3_000, model=hostile), hostile, np.arange(3_000.0)
    )
    profile = builder.build([columns], segment="", window=200, categories=100)
    tables.print_forecast(forecast.compute(named(tmp_path, profile)))
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert text.count("[31m[bold]x") >= 2


def warnings_for(profile: Profile, settings: Config, **levels: float) -> Sequence[str]:
    """Return the warnings about a reference."""
    return list(warnings_of(settings, profile, levels or {"zscore": 1e-8}))


def profile(values: Floats, days: float = 7.0) -> Profile:
    """Return a reference of numbers whose records cover some days."""
    columns = numbers(values)
    times = synthetic.START + np.linspace(0, days * SECONDS_PER_DAY, len(columns))
    return builder.build([replace(columns, times=times)], segment="", window=1000, categories=10)


def test_good_reference_has_no_warnings() -> None:
    """Independent records of some days and more than fifty windows have no warning."""
    values = np.random.default_rng(0).standard_normal((2, 60_000))
    assert warnings_for(profile(values), Config()) == []


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (30, "the reference has 30 windows, 50 are recommended"),
        (15, "cannot be estimated from 15 windows, 20 are needed"),
        (15, "the z-score's threshold is 11.9 with 15 windows"),
        (4, "the z-score is inactive: it needs 5 windows, there are 4"),
    ],
)
def test_few_windows_are_a_warning(windows: int, expected: str) -> None:
    """The warning has the number of windows and its effect."""
    values = np.random.default_rng(0).standard_normal((2, 1000 * windows))
    settings = Config(reference=WarmupReference(records=10_000))
    assert any(expected in line for line in warnings_for(profile(values), settings))


def test_less_than_a_day_is_a_warning() -> None:
    """A reference of some hours does not cover a daily cycle."""
    values = np.random.default_rng(0).standard_normal((2, 60_000))
    (line,) = warnings_for(profile(values, days=0.25), Config())
    assert line.startswith("the reference covers 6 hours")


def test_dependence_is_a_warning() -> None:
    """The warning has the number of independent records in a window."""
    warnings = warnings_for(profile_of(autoregressive(0.97)[None]), Config(), psi=1e-8)
    assert any(line.startswith("x0: records are dependent") for line in warnings)


def test_level_at_the_minimum_is_a_warning() -> None:
    """A budget that requires a smaller level than supported is a warning."""
    values = np.random.default_rng(0).standard_normal((2, 60_000))
    (line,) = warnings_for(profile(values), Config(), psi=MIN_LEVEL)
    assert line.startswith("the budget requires a level below the supported minimum of 1e-15")
