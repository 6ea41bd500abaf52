"""What the detect role logs, and when."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.roles import detect, detect_output
from tests.monitor import synthetic
from tests.monitor.fake_kafka import FakeKafka
from tests.monitor.synthetic import WARMUP


class Log:
    """Records log lines, with the number of events that were produced before each."""

    def __init__(self, cluster: FakeKafka) -> None:
        self.cluster = cluster
        self.lines: list[tuple[str, int, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """Record a line."""
        self.lines.append((event, len(self.cluster.events), fields))

    warning = error = info


def lines(monkeypatch: pytest.MonkeyPatch, *chunks: Any) -> Log:
    """Return the log of a member that reads these chunks."""
    cluster = FakeKafka(chunks)
    log = Log(cluster)
    monkeypatch.setattr(detect, "log", log)
    monkeypatch.setattr(detect_output, "log", log)
    cluster.run(monkeypatch, synthetic.config())
    return log


def test_an_event_is_produced_before_it_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that cannot be written must not cost an event."""
    stream = synthetic.joined(
        synthetic.stream(WARMUP + 400, seed=1), synthetic.stream(600, seed=2, factor=5.0)
    )
    log = lines(monkeypatch, stream)
    events = [produced for event, produced, _ in log.lines if event.startswith("drift ")]
    assert events == list(range(1, len(log.cluster.events) + 1))
    assert events


@pytest.mark.parametrize("cut", [1, 7, WARMUP])
def test_the_end_of_a_warm_up_is_logged_once(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """Each model has one line with its name and the size of its reference, for any chunks."""
    chunks = [
        part
        for model in ("a", "b", "short")
        for part in (
            synthetic.stream(WARMUP - cut if model != "short" else 50, seed=1, model=model),
            synthetic.stream(cut if model != "short" else 50, seed=2, model=model),
            synthetic.stream(100, seed=3, model=model),
        )
        if len(part)
    ]
    log = lines(monkeypatch, *chunks)
    ended = [fields for event, _, fields in log.lines if event == "warm-up ended, watching"]
    assert ended == [{"model": model, "reference_records": WARMUP} for model in ("a", "b")]
