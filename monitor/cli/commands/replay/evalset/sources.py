"""The items of the sources that `plumbline evalset build` names."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from judges.checks.language import language
from monitor.cli.commands.replay.evalset.generation import generated
from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.events.evaluations import Evaluation, EvaluationError, decode_evaluation
from monitor.ingest.files.rejections import Rejections
from monitor.ingest.files.samples import read_samples, redactor
from monitor.ingest.sampling.codec import decode_sample
from monitor.ingest.sampling.cut import MARKER
from monitor.kafka.readers.values import topic_values
from monitor.kafka.topics import Topics
from monitor.records import Sample
from monitor.redaction.redactor import Redacted
from monitor.roles import evaluation_publisher
from replay.sets.behaviours.suites import suite_items
from replay.sets.building.candidates import Redact
from replay.sets.item import Item
from replay.sets.measures.backlog import known_failure
from replay.sets.sources.files import items_of_file
from replay.sets.sources.opinions import Opinions
from replay.sets.sources.samples import SampleRules, items_of_samples
from replay.sets.sources.variants import VARIANTS, variants

MAX_SAMPLES: Final = 200_000
"""Samples that are read; a set has far fewer items."""
READ_SECONDS: Final = 300.0


@dataclass(slots=True)
class Gathered:
    """Items of all sources. skipped: samples that are no items, and generated texts that were
    dropped, by reason. stopped: why generation ended early, or "". cost_usd: of generation.
    """

    items: list[Item] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    stopped: str = ""
    cost_usd: float = 0.0


def gather(arguments: argparse.Namespace, config: Config, known: Sequence[Item]) -> Gathered:
    """Return the items of all sources. Raises UserError if one cannot be read.

    known: candidates of the set, of which variants are made.
    """
    found = Gathered()
    if arguments.samples or arguments.topic:
        _add_samples(arguments, config, found)
    for path in arguments.file:
        found.items += items_of_file(path, "file", arguments.scoring)
    for path in arguments.pairs:
        found.items += items_of_file(path, "pair", arguments.scoring)
    for suite in arguments.behaviour:
        found.items += suite_items(suite)
    parents = [item for item in (*known, *found.items) if _may_be_varied(item)]
    kinds = [kind for kind in arguments.variant if kind in VARIANTS]
    found.items += variants(parents, kinds)
    if arguments.generate or "rephrase" in arguments.variant:
        made, found.cost_usd = generated(arguments, config, parents)
        found.items += made.items
        found.stopped = made.stopped
        found.skipped |= made.rejected
    return found


def redact_function(config: Config) -> Redact:
    """Return what redacts texts by the rules of the configuration."""
    found = redactor(config)
    if found is None:
        return lambda text: Redacted(text, {})
    return cast("Redact", found)


def evaluations_of_file(path: Path) -> Iterator[Evaluation]:
    """Yield the evaluations of a file. Raises UserError with the line of what is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield decode_evaluation(line)
            except EvaluationError as error:
                raise UserError(f"{path}:{number}: is not an evaluation: {error}") from None


def _may_be_varied(item: Item) -> bool:
    """Return whether an item has a target and is no variant itself."""
    return item.target is not None and not item.provenance.parent


def _add_samples(arguments: argparse.Namespace, config: Config, found: Gathered) -> None:
    """Add the items of samples, of records whose answers were accepted or disliked."""
    samples = list(_chosen(_samples(arguments, config, found.skipped), arguments))
    opinions = Opinions(wanted={sample.request_id for sample in samples})
    for path in arguments.evaluations:
        opinions.add_all(evaluations_of_file(path))
    if arguments.judged:
        opinions.add_all(evaluation_publisher.evaluations(config.kafka))
    rules = SampleRules(
        window=arguments.window,
        scoring=arguments.scoring,
        slices=_slices(arguments.slice),
        language=language,
        open_items=arguments.open,
    )
    skipped = Counter[str]()
    items = items_of_samples(samples, opinions, rules, skipped)
    if arguments.known_failures:
        failures = [item for item in items if item.provenance.origin == "disliked"]
        found.items += [
            known_failure(item, item.provenance.detail, item.provenance.time or 0.0)[0]
            for item in failures
        ]
    else:
        found.items += items
    found.skipped |= skipped


def _samples(
    arguments: argparse.Namespace, config: Config, skipped: dict[str, int]
) -> Iterator[Sample]:
    """Yield the samples of all files, and of the topic.

    skipped: receives the number of messages that are no records, by reason.
    """
    rejections = Rejections()
    for path in arguments.samples:
        yield from read_samples(path, config, rejections)
    skipped |= {f"message rejected: {reason}": n for reason, n in rejections.counts.items()}
    skipped |= {f"no inference: {kind}": n for kind, n in rejections.skipped.items()}
    if arguments.topic:
        for value in topic_values(config.kafka, Topics(config.kafka.prefix).samples, READ_SECONDS):
            if value is None:
                return
            try:
                yield decode_sample(value)
            except ValueError:
                continue


def _chosen(samples: Iterable[Sample], arguments: argparse.Namespace) -> Iterator[Sample]:
    """Yield the samples of the time and model, each request once. Raises UserError for too many."""
    seen: set[str] = set()
    for sample in samples:
        since, until = arguments.since, arguments.until
        if since is not None and sample.timestamp < since:
            continue
        if until is not None and sample.timestamp > until:
            continue
        if arguments.model is not None and sample.model != arguments.model:
            continue
        if sample.request_id in seen:
            continue
        if len(seen) >= MAX_SAMPLES:
            raise UserError(f"more than {MAX_SAMPLES:,} samples; narrow --since and --until")
        seen.add(sample.request_id)
        yield _with_cut(sample)


def _with_cut(sample: Sample) -> Sample:
    """Return a sample of a file with the fields that were cut when it was drawn."""
    texts = {
        "prompt": sample.prompt if isinstance(sample.prompt, str) else "",
        "response": sample.response,
        "reference": sample.reference,
    }
    cut = {name for name, text in texts.items() if text and text.endswith(MARKER)}
    if cut:
        sample.cut = tuple(sorted({*sample.cut, *cut}))
    return sample


def _slices(words: Sequence[str]) -> dict[str, str]:
    """Return the keys of the metadata by dimension. Raises UserError."""
    found = {}
    for word in words:
        name, separator, key = word.partition("=")
        if not (name and separator and key):
            raise UserError(f"--slice {word}: is not NAME=KEY, such as topic=intent")
        found[name] = key
    return found
