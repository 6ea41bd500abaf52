"""What a gate reads besides its criteria: records, checks, stored runs, the experiment."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import msgspec

from judges.checks.build import Check
from monitor.cli.commands.replay.gate.review import review
from monitor.cli.commands.setup.db import password, store_module
from monitor.cli.console.daemon import get
from monitor.config.schema import Config
from monitor.config.sections.replay.store import StoreConfig
from monitor.errors import UserError
from monitor.events.wording.drift import printable
from monitor.experiments.decisions.result import Result, ResultError, decode_result
from monitor.ingest.files.rejections import Rejections, text
from monitor.ingest.files.samples import as_sample, read_whole
from monitor.records import Sample, WholeRecord
from monitor.roles.judge_setup import configured_checks
from replay.gate.criteria.model import Canary, Criteria, Side
from replay.gate.stages.canary import NotReadable, Reading
from replay.gate.stages.sequence import Inputs
from replay.results import TaskScores

_COPIED = (
    *("latency_ms", "time_to_first_token_ms", "input_tokens", "output_tokens", "cost_usd"),
    *("finish_reason", "error", "scores", "feedback"),
)
"""Fields of a record that measures use and samples for judges do not have."""


class WallClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return the seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def gate_inputs(criteria: Criteria, config: Config, folder: Path, labels: Path | None) -> Inputs:
    """Return the inputs of a gate. Raises UserError if criteria measure what is not there."""
    measures = {d.measure for d in criteria.dimensions.values() if d.measure is not None}
    checks = _checks(measures, config)
    _require_records(criteria)
    samples = tuple(_records(side, config) for side in (criteria.candidate, criteria.baseline))
    return Inputs(
        folder=folder,
        samples=(samples[0], samples[1]),
        checks=checks,
        stored=partial(stored_run, config.store),
        canary=read_canary,
        labels=labels,
        review=None if labels is not None else review(criteria, config),
        clock=WallClock(),
        time=time.time,
    )


def stored_run(config: StoreConfig, run: str) -> tuple[TaskScores, ...]:
    """Return the scores of a finished run of the result store. Raises UserError."""
    opened = store_module().open_store(config.url, password(config))
    from replay.store import queue, results

    with opened as store, store.read() as connection:
        found = queue.find(connection, run)
        if found is None:
            raise UserError(f"store {store.place} has no run {printable(run)}")
        if found.verdict in {"", "error", "cancelled"}:
            state = found.verdict or found.state
            raise UserError(f"run {printable(run)} has no complete scores: it is {state}")
        return results.load(connection, run)


def _checks(measures: set[str], config: Config) -> Mapping[str, Check]:
    """Return the checks that are measured. Raises UserError for one that is not configured."""
    wanted = {m.removeprefix("check.") for m in measures if m.startswith("check.")}
    if not wanted:
        return {}
    found = configured_checks(config.judges)
    missing = sorted(wanted - found.keys())
    if missing:
        known = ", ".join(sorted(found)) or "none"
        raise UserError(
            f"check.{printable(missing[0])} is not configured: judges.checks has {known}; name the"
            " configuration with -c"
        )
    return {name: found[name] for name in wanted}


def _require_records(criteria: Criteria) -> None:
    for name, dimension in criteria.dimensions.items():
        measure = dimension.measure
        if measure is None or (measure.startswith("check.") and criteria.tasks):
            continue
        sides = {"candidate": criteria.candidate}
        if dimension.margin is not None and criteria.baseline is not None:
            sides["baseline"] = criteria.baseline
        for side, given in sides.items():
            if given.records is None:
                raise UserError(
                    f"dimensions.{name} measures {measure}, which runs do not have; add --records"
                    f" {side}=FILE, or {side}.records to the criteria"
                )


def _records(side: Side | None, config: Config) -> Sequence[Sample]:
    """Return the records of a side. Raises UserError if its file has none."""
    if side is None or side.records is None:
        return ()
    rejections = Rejections()
    samples = [_sample(r) for r in read_whole(side.records, config, rejections)]
    if not samples:
        found = "; ".join(map(text, rejections.by_reason())) or "the file is empty"
        raise UserError(f"{side.records}: no valid records: {found}")
    return samples


def _sample(record: WholeRecord) -> Sample:
    copied = {name: getattr(record, name) for name in _COPIED}
    return msgspec.structs.replace(as_sample(record), **copied)


def read_canary(canary: Canary) -> Reading:
    """Return the state of the experiment. Raises NotReadable."""
    url = f"{canary.url.rstrip('/')}/api/v1/experiments/{quote(canary.experiment, safe='')}"
    try:
        result = decode_result(get(url))
    except UserError as error:
        raise NotReadable(str(error)) from None
    except ResultError as error:
        raise NotReadable(f"{url}: {error}", final=True) from None
    return reading(result, canary.variant)


def reading(result: Result, variant: str) -> Reading:
    """Return the state of a variant. Raises NotReadable if the experiment does not have it."""
    arms = {arm.variant: arm for arm in result.arms[1:]}
    if variant not in arms:
        names = ", ".join(arms)
        detail = f"experiment {result.experiment} has no variant {variant}; there is {names}"
        raise NotReadable(printable(detail), final=True)
    arm = arms[variant]
    harmed = [
        c.metric
        for c in result.comparisons
        if c.variant == variant and c.guardrail is not None and c.guardrail.harm is not None
    ]
    return Reading(
        verdict=arm.verdict,
        users=arm.users,
        stopped=arm.stopped,
        guardrails=tuple(harmed),
        split="block" if arm.in_doubt else result.srm.status,
    )


def needs_store(criteria: Criteria) -> bool:
    """Return whether the database is needed, with its password: for a run, or a review queue."""
    sides = (criteria.candidate, criteria.baseline)
    return criteria.people.queue is not None or any(
        side is not None and side.run is not None for side in sides
    )


def user() -> str:
    """Return the name of the user who runs the command."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid {os.getuid()}"
