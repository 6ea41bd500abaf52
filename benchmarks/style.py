"""Measure swaps, unchanged models, other mixes of prompts, bursts and the cost of the style.

    python -m benchmarks.style --make-records ../tools/make_records.py [--answers N] [--tilts N]

The texts are those of the tool: answers of real models to the same prompts. They are not part of
the repository. Sampled answers go through the daemon's own markers, watch and alarms, at the
default budget and at RATE records per second.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from detectors.arrays import Bools, Floats, Ints
from monitor.config.schema import Config
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference.sources import STYLE_REFERENCE
from monitor.events.types import DriftEvent, pages
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.sampling import examples
from monitor.ingest.style import markers
from monitor.ingest.style.counts import counts
from monitor.ingest.style.sample import SAMPLE_ONE_IN
from monitor.ingest.style.texts import answer_text, prompt_text
from monitor.records import Source

RESULT = Path(__file__).parent / "results" / "style.json"
RATE = 50.0
"""Records per second of the tool; one in SAMPLE_ONE_IN is sampled."""
SWAPS = (
    ("gpt4_1106_preview", "gpt4_1106_preview_concise"),
    ("gpt4_1106_preview", "gpt4_1106_preview_verbose"),
    ("gpt4_1106_preview", "gpt-3.5-turbo-1106"),
    ("gpt4_1106_preview_concise", "gpt-3.5-turbo-1106"),
    ("Meta-Llama-3-8B-Instruct", "llama-2-7b-chat-hf"),
    ("Meta-Llama-3-8B-Instruct", "Meta-Llama-3.1-8B-Instruct-Turbo"),
    ("Meta-Llama-3.1-8B-Instruct-Turbo", "Meta-Llama-3-8B-Instruct"),
    ("Mistral-7B-Instruct-v0.2", "vicuna-7b-v1.5"),
    ("Mistral-7B-Instruct-v0.2", "Meta-Llama-3.1-8B-Instruct-Turbo"),
    ("gpt-3.5-turbo-1106", "vicuna-7b-v1.5"),
    ("gpt-3.5-turbo-1106", "Mistral-7B-Instruct-v0.2"),
    ("llama-2-7b-chat-hf", "vicuna-7b-v1.5"),
)
MODELS = tuple(sorted({model for pair in SWAPS for model in pair}))
HORIZON = 1_000
"""Sampled answers after a swap within which it must be found."""
WARM = STYLE_REFERENCE + 1_000
"""Answers before a change: the reference, and two windows."""
LENGTH_BINS = 10
KIND = 120
"""Prompts of a kind: those most like a prompt."""
BURST = 15


class Pools:
    """Features of the answers of each model to the same prompts, shape (features, prompts)."""

    def __init__(self, tool: Path) -> None:
        spec = importlib.util.spec_from_file_location("make_records", tool)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        rows = {model: module.answers(model, module.DATA) for model in MODELS}
        self.prompts = [str(row["instruction"]) for row in rows[MODELS[0]]]
        self.lengths = {m: np.array([len(row["output"]) for row in rows[m]]) for m in MODELS}
        asked = counts([prompt_text(prompt) for prompt in self.prompts])
        self.features = {
            m: markers.values(asked, counts([answer_text(row["output"]) for row in rows[m]]))
            for m in MODELS
        }
        self.n = len(self.prompts)
        self.alike = _alike(self.prompts)

    def kind(self, seed: int) -> Bools:
        """Return which prompts are of a kind: the KIND ones most like a random one."""
        middle = int(np.random.default_rng(seed).integers(self.n))
        chosen = np.zeros(self.n, bool)
        chosen[np.argsort(-self.alike[middle], kind="stable")[:KIND]] = True
        return chosen

    def length_matched(self, before: str, after: str) -> Floats:
        """Return weights with which answers of `after` have the lengths of those of `before`."""
        lengths = self.lengths[before]
        cuts = np.quantile(lengths, np.arange(1, LENGTH_BINS) / LENGTH_BINS)
        bins = cuts.searchsorted(self.lengths[after], "right")
        weights = 1 / np.maximum(np.bincount(bins, minlength=LENGTH_BINS), 1)[bins]
        return np.asarray(weights / weights.sum(), np.float64)


def _alike(prompts: Sequence[str]) -> Floats:
    """Return the cosine similarity of prompts by their topics: latent semantic analysis."""
    words = [set(re.findall(r"[a-z']+", prompt.lower())) for prompt in prompts]
    every = [word for each in words for word in each]
    names, numbers = np.unique(every, return_counts=True)
    known = {n: i for i, n in enumerate(names[numbers > 1].tolist())}
    weights = np.log(len(prompts) / numbers[numbers > 1])
    table = np.zeros((len(prompts), len(known)))
    for row, each in zip(table, words, strict=True):
        row[[known[word] for word in each if word in known]] = 1
    table *= weights
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    topics = table @ np.linalg.svd(table, full_matrices=False)[2][:30].T
    topics /= np.maximum(np.linalg.norm(topics, axis=1, keepdims=True), 1e-9)
    return np.asarray(topics @ topics.T, np.float64)


def events_of(parts: Sequence[tuple[Floats, Ints]]) -> list[DriftEvent]:
    """Return the events of sampled answers: features of a model, and indices of its answers."""
    monitor, found, at = DriftMonitor(Config(), {}), list[DriftEvent](), 0
    for features, indices in parts:
        numbers = np.arange(at + 1, at + len(indices) + 1)
        columns = Columns(
            "model",
            numbers,
            1.7e9 + numbers * SAMPLE_ONE_IN / RATE,
            markers.NUMERIC,
            markers.BINARY,
            features[:, indices],
            (),
            examples.NONE,
            Source.STYLE,
        )
        found += monitor.process(columns)
        at += len(indices)
    return found


def pages_of(events: Sequence[DriftEvent], prefix: str, first: int = 0) -> list[int]:
    """Return the records after the `first` at which alarms of some features began to page."""
    return [
        event.record - first
        for event in events
        if event.feature.startswith(prefix)
        and pages(event.severity)
        and (event.change == "opened" or event.escalated_from == "info")
    ]


def swap(pools: Pools, before: str, after: str, seeds: int, *, matched: bool) -> dict[str, Any]:
    """Return the delay of a swap in sampled answers, by seed; null if it is not found."""
    weights = pools.length_matched(before, after) if matched else None
    delays: list[int | None] = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        events = events_of(
            [
                (pools.features[before], rng.integers(0, pools.n, WARM + 7 * seed)),
                (pools.features[after], rng.choice(pools.n, HORIZON + 100, p=weights)),
            ]
        )
        found = [each for each in pages_of(events, "style.", WARM + 7 * seed) if each <= HORIZON]
        delays.append(min(found, default=None))
    known = [delay if delay is not None else HORIZON * 10 for delay in delays]
    return {
        "before": before,
        "after": after,
        "length_matched": matched,
        "delays": delays,
        "found": median(known) <= HORIZON,
    }


def unchanged(pools: Pools, model: str, answers: int) -> int:
    """Return the false pages of a model against itself."""
    rng = np.random.default_rng(1)
    features = pools.features[model]
    sizes = [STYLE_REFERENCE, *[10_000] * (answers // 10_000)]
    events = events_of([(features, rng.integers(0, pools.n, size)) for size in sizes])
    return len(pages_of(events, ""))


def tilt(pools: Pools, model: str, seed: int) -> tuple[bool, bool, bool]:
    """Return what happens when a kind of prompt rises from 20 to 60 %.

    Whether answers page, whether prompts page, and whether prompts have an alarm of any severity.
    """
    kind, rng = pools.kind(seed), np.random.default_rng(seed)

    def weights(share: float) -> Floats:
        each = np.where(kind, share / kind.sum(), (1 - share) / (~kind).sum())
        return np.asarray(each, np.float64)

    features = pools.features[model]
    events = events_of(
        [
            (features, rng.choice(pools.n, WARM, p=weights(0.2))),
            (features, rng.choice(pools.n, 3_000, p=weights(0.6))),
        ]
    )
    alarmed = any(event.feature.startswith("prompt.") for event in events)
    return bool(pages_of(events, "style.")), bool(pages_of(events, "prompt.")), alarmed


def bursts(pools: Pools, model: str, answers: int) -> int:
    """Return the pages of sessions of BURST similar prompts, of which the hash samples some."""
    rng = np.random.default_rng(2)
    nearest = np.argsort(-pools.alike, axis=1, kind="stable")[:, : 2 * BURST]
    sessions = (STYLE_REFERENCE + answers) * SAMPLE_ONE_IN // BURST
    drawn = np.concatenate(
        [rng.choice(nearest[rng.integers(pools.n)], BURST) for _ in range(sessions)]
    )
    sampled = drawn[rng.random(len(drawn)) < 1 / SAMPLE_ONE_IN]
    return len(pages_of(events_of([(pools.features[model], sampled)]), ""))


def measure(pools: Pools, answers: int, tilts: int, seeds: int) -> dict[str, Any]:
    """Return all results but the cost."""
    swaps = [swap(pools, *pair, seeds, matched=m) for m in (False, True) for pair in SWAPS]
    tilted = [tilt(pools, model, seed) for seed, model in zip(range(tilts), cycle(MODELS))]
    each = answers // len(MODELS)
    return {
        "swaps": swaps,
        "found": sum(row["found"] for row in swaps if not row["length_matched"]),
        "found_length_matched": sum(row["found"] for row in swaps if row["length_matched"]),
        "unchanged": {
            "answers_by_model": answers,
            "pages": {model: unchanged(pools, model, answers) for model in MODELS},
        },
        "tilts": {
            "tilts": tilts,
            "answers_paged": sum(each[0] for each in tilted),
            "prompts_paged": sum(each[1] for each in tilted),
            "prompts_alarmed": sum(each[2] for each in tilted),
        },
        "bursts": {
            "answers_by_model": each,
            "pages": {model: bursts(pools, model, each) for model in MODELS},
        },
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make-records", type=Path, required=True)
    parser.add_argument("--answers", type=int, default=200_000, help="of each unchanged model")
    parser.add_argument("--tilts", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5, help="trials of each swap")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    started = time.process_time()
    pools = Pools(arguments.make_records)
    result = measure(pools, arguments.answers, arguments.tilts, arguments.seeds)
    result["cpu_seconds"] = round(time.process_time() - started)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: each for key, each in result.items() if key != "swaps"}, indent=1))
    for row in result["swaps"]:
        print(row["found"], row["length_matched"], row["before"], row["after"], row["delays"])


if __name__ == "__main__":
    main()
