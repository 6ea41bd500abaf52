"""The style of answers through a real broker: a swapped model is one page, as in a back-test."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from monitor.cli.backtest import backtest
from monitor.config.schema import Config
from monitor.events.codec import decode_event
from monitor.events.types import DriftEvent, pages
from monitor.events.wording.drift import sentence
from monitor.kafka.topics import Topics
from monitor.records import Source
from tests.integration.broker import KafkaBroker
from tests.integration.harness import QUICK, Daemon, produce, read_all, until
from tests.integration.role_panels import panels_without_data, scraping

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")

BEFORE, AFTER = 90_000, 12_000
"""Records: a reference of one in 16 with some windows, and a swap."""
WORDS = ("the", "plan", "works", "for", "most", "teams", "and", "costs", "little", "time")


def records() -> Iterator[bytes]:
    """Yield records of one model, whose answers lose their bold print and become hesitant."""
    rng = random.Random(1)
    for i in range(BEFORE + AFTER):
        swapped = i >= BEFORE
        words = rng.choices(WORDS, k=12)
        if rng.random() < (0.02 if swapped else 0.6):
            words[0] = f"**{words[0]}**"
        if rng.random() < (0.4 if swapped else 0.02):
            words.insert(3, "unfortunately")
        yield msgspec.json.encode(
            {
                "request_id": f"r{i:06}",
                "timestamp": 1_700_000_000 + i / 50,
                "model": "chat",
                "prompt": rng.choice(("How does it work?", "Write a list of teams.")),
                "response": f"{' '.join(words)}.",
                "latency_ms": 100 + i % 7,
            }
        )


def of_style(events: list[DriftEvent]) -> list[tuple[str, str, str]]:
    """Return ids, changes and severities of the events of style, sorted."""
    return sorted((e.id, e.change, e.severity) for e in events if e.source is Source.STYLE)


def test_a_swap_is_one_page_as_in_a_backtest(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """From the log to the events topic a swap is found with the ids of a back-test."""
    prefix, logs = uuid.uuid4().hex, topic(partitions=1)
    path = tmp_path / "log.jsonl"
    values = list(records())
    path.write_bytes(b"\n".join(values))
    expected = of_style(backtest([path], Config.model_validate(QUICK)).events)
    produce(broker.bootstrap, logs, values)
    begun = time.time()
    with (
        Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon,
        scraping(daemon, tmp_path) as prometheus,
    ):
        daemon.wait_metric("records_watched_total", BEFORE + AFTER - 20)
        shown = 'count_over_time(plumbline_feature_value{feature="style.bold"}[9s]) > 1'
        until(lambda: bool(prometheus.query(shown)), "the scrape of the style")
        panels = r"feature_(reference_)?value{[^}]*style"
        assert panels_without_data(prometheus, "drift", panels, begun, least=2) == []
        assert daemon.stop() == 0
    messages = read_all(broker.bootstrap, Topics(prefix).events)
    events = [decode_event(message.value() or b"") for message in messages]
    assert of_style(events) == expected
    opened = [
        event
        for event in events
        if event.source is Source.STYLE and event.change == "opened" and pages(event.severity)
    ]
    assert [event.feature for event in opened] == ["style.bold"]
    assert "style of chat has changed (critical): bold" in sentence(opened[0])
    assert "'unfortunately'" in sentence(opened[0])
