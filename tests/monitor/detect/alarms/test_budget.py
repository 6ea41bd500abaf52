"""Significance levels: the false-page budget divided among detectors and streams."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.e_detector import EDetector
from monitor.detect.watch import Watch
from tests.monitor import synthetic
from tests.monitor.detect.watch_runs import detectors_only
from tests.monitor.synthetic import STRIDE, WARMUP

STREAMS = {
    "psi": 5,
    "ks": 2,
    "zscore": 3,
    "chi2": 3,
    "e_detector": 5,
    "adwin": 3,
    "page_hinkley": 3,
}
"""Number of synthetic streams that each detector watches."""


@pytest.mark.parametrize(
    "weights",
    [None, {}, {"ks": 0.25}, {"e_detector": 1.0, "psi": 30.0}, dict.fromkeys(STREAMS, 5.0)],
)
@pytest.mark.parametrize("detectors", [tuple(STREAMS), ("chi2",), ("ks", "e_detector")])
def test_levels_add_up_to_the_budget(
    weights: dict[str, float] | None, detectors: tuple[str, ...]
) -> None:
    """Over all streams they sum to budget / (strides in the period x (1 + segment keys)).

    Each detector has a share by its weight, spread evenly over its streams.
    """
    chosen = {} if weights is None else {"weights": weights}
    settings = detectors_only(*detectors, false_pages=2.0, per_days=7.0, **chosen)
    watch = synthetic.watcher(settings.model_copy(update={"segments": ("metadata.route",)}))
    watch.feed(synthetic.stream(WARMUP, seed=1))
    total = 2.0 / (7 * 86_400 * synthetic.RATE / STRIDE * 2)
    spent = {name: level * STREAMS[name] for name, level in watch.main.levels.items()}
    assert list(spent) == list(detectors)
    assert sum(spent.values()) == pytest.approx(total, rel=1e-3)
    given_weights = {"e_detector": 20.0} if weights is None else weights
    parts = {name: given_weights.get(name, 1.0) for name in detectors}
    for name, part in parts.items():
        assert spent[name] == pytest.approx(total * part / sum(parts.values()), rel=1e-3)


def test_levels_of_the_default_configuration() -> None:
    """The e-detector has more than all others together, and each detector runs at its level."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP, seed=1))
    spent = {name: level * STREAMS[name] for name, level in watch.main.levels.items()}
    advisory = spent.pop("adwin")
    assert spent["e_detector"] == pytest.approx(sum(spent.values()) * 20 / 25)
    assert advisory == pytest.approx(sum(spent.values()))
    for detector in watch.main.detectors:
        assert len(detector.streams) == STREAMS[detector.name]
    limits = {d.name: 1 / d.limit for d in watch.main.detectors if isinstance(d, EDetector)}
    assert limits == {"e_detector": pytest.approx(watch.main.levels["e_detector"])}


def test_segment_uses_the_record_rate_of_the_model() -> None:
    """The level of a segment follows the rate of the whole model: segments share one budget."""
    whole = Watch("m", "", synthetic.of_log(synthetic.config()), lambda: None)
    part = Watch(
        "m",
        "metadata.route=web",
        synthetic.of_log(synthetic.config()),
        lambda: 10 * synthetic.RATE,
    )
    for watch in (whole, part):
        watch.feed(synthetic.stream(WARMUP, seed=1))
    tenfold = {name: 10 * level for name, level in part.main.levels.items()}
    assert whole.main.levels == pytest.approx(tenfold, rel=1e-3)


def test_one_wrong_clock_does_not_change_the_levels() -> None:
    """One record dated 1970 among thousands does not reduce the measured record rate."""
    stream = synthetic.stream(WARMUP, seed=1)
    wrong = stream.times.copy()
    wrong[17] = 0.0
    right, late = synthetic.watcher(), synthetic.watcher()
    right.feed(stream)
    late.feed(replace(stream, times=wrong))
    assert late.main.levels == pytest.approx(right.main.levels, rel=0.01)
