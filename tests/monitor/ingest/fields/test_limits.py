"""Limits: what they cut off does not depend on batches, and is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cli.backtest import backtest
from monitor.cli.console import dropped_text
from monitor.cli.report import Dropped, Report
from monitor.config.load import load
from monitor.config.schema import Config
from monitor.detect.audit import page_costs
from monitor.ingest.fields.limits import MAX_NAMES, OTHER, Names, model_label
from tests.long_form import long_only

RECORDS = 4000


@given(st.sets(st.text(max_size=3) | st.from_regex(r"other( \(named\)){0,3}", fullmatch=True)))
def test_labels_of_models_differ(models: set[str]) -> None:
    """No two models have the same label, and only the catch-all has the label "other"."""
    labels = {model: model_label(model) for model in models}
    assert len(set(labels.values())) == len(models)
    assert [m for m, label in labels.items() if label == "other"] in ([], [OTHER])


def test_names_are_bounded() -> None:
    """Many names are counted, the first of them kept."""
    names = Names()
    for i in range(3 * MAX_NAMES):
        names.add(f"n{i % (2 * MAX_NAMES)}")
    assert names.count == 2 * MAX_NAMES
    assert len(names.first) == MAX_NAMES
    assert names.first["n0"] == 2


def config(tmp_path: Path, text: str) -> Config:
    """Return a configuration with short windows."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "windows: {records: 200, stride: 100}\nreference: {source: warmup, records: 2000}\n" + text
    )
    return load(path, {})


@pytest.fixture(autouse=True)
def short_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure false pages on a tenth of the values: most of the time of a small backtest."""
    monkeypatch.setattr(page_costs, "VALUES", page_costs.VALUES // 10)


def run(tmp_path: Path, records: list[dict[str, Any]], text: str, sizes: list[int]) -> Report:
    """Run records as files of these sizes, the last one for the rest."""
    lines = [
        json.dumps({"request_id": f"r{i}", "timestamp": 1.76e9 + i / 10, "model": "m"} | each)
        + "\n"
        for i, each in enumerate(records)
    ]
    paths, start = [], 0
    for number, size in enumerate([*sizes, len(lines)]):
        path = tmp_path / f"{number:04}.jsonl"
        path.write_text("".join(lines[start : start + size]), encoding="utf-8")
        paths.append(path)
        start += size
    return backtest(paths, config(tmp_path, text))


def zipf(names: int) -> list[int]:
    """Return a category for each record; the frequencies fall as 1 / rank."""
    weights = 1 / np.arange(1, names + 1)
    chosen = np.random.default_rng(5).choice(names, RECORDS, p=weights / weights.sum())
    found: list[int] = chosen.tolist()
    return found


ROUTES = [{"metadata": {"route": f"route-{n}"}} for n in zipf(60)]
REASONS = [{"finish_reason": f"reason-{n}"} for n in zipf(30)]
SCORES = [{"scores": {f"s{n}": 0.5, f"t{n}": 1}} for n in zipf(15)]
MODELS = [{"model": f"m{n}"} for n in zipf(5)]


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (ROUTES, "features: {metadata: {route: categorical}}\nlimits: {categories: 5}\n"),
        (REASONS, "limits: {categories: 3}\n"),
        (SCORES, "limits: {scores: 8}\n"),
        (MODELS, "limits: {models: 2}\n"),
        (ROUTES, "segments: [metadata.route]\nlimits: {segments: 2}\n"),
    ],
    ids=["routes", "reasons", "scores", "models", "segments"],
)
@pytest.mark.parametrize("sizes", [[2000, *[50] * 30], pytest.param([37] * 80, marks=long_only)])
def test_limits_do_not_depend_on_files(
    tmp_path: Path, records: list[dict[str, Any]], text: str, sizes: list[int]
) -> None:
    """The same records give the same events and the same dropped names, however they are cut."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, cut = run(tmp_path / "a", records, text, []), run(tmp_path / "b", records, text, sizes)
    assert cut.events == whole.events == []
    assert cut.dropped == whole.dropped
    assert cut.dropped != Dropped()
    assert list(dropped_text.lines(cut.dropped))


def test_most_frequent_names_are_kept(tmp_path: Path) -> None:
    """The categories and scores that are dropped are the rarest of the reference."""
    both = [a | b for a, b in zip(ROUTES, SCORES, strict=True)]
    text = "features: {metadata: {route: categorical}}\nlimits: {categories: 5, scores: 8}\n"
    dropped = run(tmp_path, list(reversed(both)), text, []).dropped
    assert not {f"route-{n}" for n in range(3)} & set(dropped.categories["metadata.route"])
    assert not {f"{letter}{n}" for letter in "st" for n in range(3)} & set(dropped.scores)


@pytest.mark.parametrize("name", ["other", "other (named)", "rare", "missing", "None"])
def test_model_may_have_any_name(tmp_path: Path, name: str) -> None:
    """A model with the name of a catch-all is watched like any other, beside unwatched models."""
    values = np.random.default_rng(1).lognormal(6, 0.5, RECORDS)
    values[3000:] *= 3
    records: list[dict[str, Any]] = [{"model": name, "latency_ms": v} for v in values.tolist()]
    records += [{"model": f"more{i}"} for i in range(7)]
    report = run(tmp_path, records, "limits: {models: 1}\n", [])
    assert {(e.model, e.feature) for e in report.events} == {(name, "latency_ms")}
    label = model_label(name)
    assert report.models == {label: {"records": RECORDS}, "other": {"records": 7}}
    assert report.dropped.models == 7
    assert report.dropped.model_names == [f"more{i}" for i in range(7)]
    [line] = dropped_text.lines(report.dropped)
    assert "7 models (more0, more1, more2, ...)" in line


@pytest.mark.parametrize("name", ["qualité", "качество", "質", "score 1", "😀", "a\u0301"])
def test_scores_may_have_any_printable_name(tmp_path: Path, name: str) -> None:
    """A score is watched under any name that can be printed."""
    values = np.random.default_rng(1).normal(0, 1, RECORDS)
    values[3000:] += 5
    report = run(tmp_path, [{"scores": {name: v}} for v in values.tolist()], "", [])
    assert {e.feature for e in report.events} == {f"score.{name}"}


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "\u202eabc", "\x1b[31m"])
def test_other_scores_are_named_in_the_report(tmp_path: Path, name: str) -> None:
    """A score that cannot be watched is in the report."""
    report = run(tmp_path, [{"scores": {name: 1.0}}] * 10, "", [])
    assert report.dropped.scores == [name[:100]]
