"""Build what the judge role needs from the configuration: evaluators, client, prices and caps."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from judges.budget.caps import Caps, Purpose, divide_caps
from judges.budget.metered import Meter
from judges.budget.prices import Price, Prices
from judges.calls import JudgeClient
from judges.checks import specifications
from judges.checks.build import Check, build
from judges.checks.specifications import DONT_KNOW, Specification
from judges.client import connect
from judges.client.settings import ClientSettings
from judges.live.check_evaluator import CheckEvaluator, NoClient
from judges.live.evaluator import Evaluator
from judges.live.rubric_evaluator import RubricEvaluator
from judges.live.worker import Judging, Tiers
from judges.ragas.embedding import installed_embedder
from judges.ragas.metrics import Metric, metrics_of
from judges.rubrics import loading
from judges.rubrics.panel import Panel
from judges.rubrics.rubric import Mode, Rubric
from judges.trust.golden import LEAST_ITEMS
from judges.trust.schedule import TrustSettings
from monitor.config.schema import Config
from monitor.config.sections.judging import checks
from monitor.config.sections.judging.checks import CheckConfig
from monitor.config.sections.judging.section import JudgesConfig
from monitor.errors import UserError, os_error_reason
from monitor.ingest.files.rejections import Rejections
from monitor.ingest.files.samples import read_samples
from monitor.records import Sample

if TYPE_CHECKING:  # imports ragas
    from judges.live.ragas_evaluator import RagasEvaluator

CRITICAL_REASONS = frozenset({"open_alarm", "negative_feedback"})
"""Why a sample was boosted that is judged from the reserve for critical cases."""
MAX_GOLDEN = 500
"""Records of the golden set that are judged; the first ones of its file."""
_EXTRA = "judges need more packages: pip install '.[judges]' in a checkout"


def build_judging(config: JudgesConfig, meter: Meter) -> Judging:
    """Return what the partitions of the samples topic share.

    Raises UserError if a rubric, a price or a package is missing.
    """
    rubrics = load_rubrics(config)
    prices = model_prices(config)
    prices.require(models(config))
    pinned = evaluators(config, rubrics, config.model or "")
    critical = (
        evaluators(config, rubrics, config.critical_model)
        if config.critical_model is not None
        else dict[str, Evaluator]()
    )
    client, settings = live_client(config)
    return Judging(
        tiers=Tiers(pinned, critical, CRITICAL_REASONS),
        client=client,
        settings=settings,
        prices=prices,
        caps=budget_caps(config),
        meter=meter,
        clock=time.time,
        generator=random.Random(),
    )


def check(config: Config) -> None:
    """Raise UserError if the role judge could not start with this configuration."""
    judges = config.judges
    model_prices(judges).require(models(judges))
    evaluators(judges, load_rubrics(judges), judges.model or "")
    live_client(judges)
    trust_settings(config)


def problems(config: Config, *, secrets: bool) -> list[str]:
    """Return what the role judge would refuse, without the packages that it needs.

    secrets: whether the key of the provider is required.
    """
    judges = config.judges
    if not judges.rubrics and not judges.ragas:
        return []
    checks: list[Callable[[], object]] = [
        lambda: load_rubrics(judges),
        lambda: metrics_of(judges.ragas),
    ]
    path = judges.golden.path
    if path is not None:
        checks.append(lambda: _golden(path, config))
    if secrets:
        checks.append(lambda: client_settings(judges))
    found = []
    for check_part in checks:
        try:
            check_part()
        except UserError as error:
            found.append(str(error))
    return found


def trust_settings(config: Config) -> TrustSettings:
    """Return what is judged on a schedule. Raises UserError if the golden set is not usable."""
    judges = config.judges
    golden = judges.golden
    return TrustSettings(
        golden=_golden(golden.path, config) if golden.path is not None else (),
        golden_every=golden.every_hours * 3600.0,
        attacks=judges.canaries.attacks,
        canaries_every=judges.canaries.every_hours * 3600.0,
        rubrics=load_rubrics(judges),
        model=judges.model or "",
    )


def _golden(path: Path, config: Config) -> list[Sample]:
    """Return the records of the golden set."""
    rejections = Rejections()
    try:
        samples = list(islice(read_samples(path, config, rejections), MAX_GOLDEN))
    except OSError as error:
        reason = os_error_reason(error)
        raise UserError(f"judges.golden.path: {str(path)!r} cannot be read: {reason}") from None
    ids = {sample.request_id for sample in samples}
    if len(ids) < LEAST_ITEMS:
        raise UserError(
            f"judges.golden.path: {str(path)!r} has {len(ids)} valid records; at least"
            f" {LEAST_ITEMS} with different request ids are required"
        )
    return samples


def models(config: JudgesConfig) -> list[str]:
    """Return all models that may be asked."""
    if not config.needs_judge:
        return []
    further = [config.model, config.critical_model, *config.panel.models]
    return list(dict.fromkeys(model for model in further if model is not None))


def load_rubrics(config: JudgesConfig) -> list[Rubric]:
    """Return the configured rubrics. Raises UserError for one that does not exist or fits."""
    rubrics = [loading.load(name) for name in config.rubrics]
    for rubric in rubrics:
        if rubric.mode is Mode.PAIRWISE:
            raise UserError(
                f"judges.rubrics: {rubric.name} compares pairs of responses; live samples are"
                " judged one by one"
            )
    names = [rubric.name for rubric in rubrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"judges.rubrics: two rubrics have the name {twice!r}; rename one")
    return rubrics


def evaluators(
    config: JudgesConfig, rubrics: Sequence[Rubric], model: str
) -> Mapping[str, Evaluator]:
    """Return the evaluators by name, all with the same judge."""
    panel = Panel(config.panel.models, config.panel.share)
    found: list[Evaluator] = [
        RubricEvaluator(rubric, model, random.SystemRandom(), panel) for rubric in rubrics
    ]
    found += ragas_evaluators(metrics_of(config.ragas), model) if config.ragas else []
    found += _check_evaluators(config)
    return {each.name: each for each in found}


def ragas_evaluators(metrics: Sequence[Metric], model: str) -> list[RagasEvaluator]:
    """Return the evaluators of metrics of RAGAS. Raises UserError if a package is missing."""
    try:
        # Seconds to import, and hundreds of megabytes: only where metrics are configured.
        from judges.live.ragas_evaluator import RagasEvaluator  # noqa: PLC0415 - slow
    except ImportError as error:
        raise UserError(f"{_EXTRA} ({error.name} is missing)") from None
    embedder = installed_embedder() if any(metric.embeds for metric in metrics) else None
    return [RagasEvaluator(metric, model, embedder) for metric in metrics]


def _check_evaluators(config: JudgesConfig) -> list[Evaluator]:
    """Return the evaluators of checks. Raises UserError for one that cannot work."""
    found: list[Evaluator] = []
    for name, check in config.checks.items():
        with _problems_of(name):
            found.append(CheckEvaluator(_specification(name, check)))
    return found


def configured_checks(config: JudgesConfig | None) -> dict[str, Check]:
    """Return the checks by name, as functions. Raises UserError for one that cannot work."""
    found: dict[str, Check] = {}
    for name, check in (config.checks if config else {}).items():
        with _problems_of(name):
            found[name] = build(_specification(name, check))
    return found


@contextmanager
def _problems_of(name: str) -> Iterator[None]:
    """Raise UserError for what a check cannot work with. name: of the check."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"judges.checks.{name}: {error}") from None
    except ImportError as error:
        raise UserError(f"{_EXTRA} ({error.name} is missing)") from None


def _specification(name: str, check: CheckConfig) -> Specification:
    """Return what a check of the configuration checks."""
    if isinstance(check, checks.JsonSchemaCheck):
        return specifications.JsonSchemaCheck(name, check.matches)
    if isinstance(check, checks.LanguageCheck):
        return specifications.LanguageCheck(name, check.languages)
    if isinstance(check, checks.LengthCheck):
        limits = check.min_chars, check.max_chars, check.min_words, check.max_words
        return specifications.LengthCheck(name, *limits)
    if isinstance(check, checks.KeywordsCheck):
        return specifications.KeywordCheck(name, check.required, check.forbidden)
    if isinstance(check, checks.ParaphrasesCheck):
        return specifications.ParaphraseCheck(name, check.key)
    return specifications.TrapCheck(name, check.terms, check.answers or DONT_KNOW)


def model_prices(config: JudgesConfig) -> Prices:
    """Return the configured prices."""
    return Prices({name: Price(*each.by_kind()) for name, each in config.prices.items()})


def budget_caps(config: JudgesConfig) -> Caps:
    """Return the caps by purpose."""
    budget = config.budget
    shares = {Purpose(name): share for name, share in budget.shares.by_purpose().items()}
    return divide_caps(budget.usd_per_day, budget.usd_per_month, shares)


def client_settings(config: JudgesConfig) -> ClientSettings:
    """Return the settings of the client. Raises UserError if the provider needs a key."""
    if config.client.needs_key and config.client.api_key is None:
        raise UserError(
            "judges.client.api_key: is missing; give it in the environment as"
            " PLUMBLINE__JUDGES__CLIENT__API_KEY, or as {file: PATH}"
        )
    return _limits(config)


def _limits(config: JudgesConfig) -> ClientSettings:
    client = config.client
    return ClientSettings(
        base_url=client.url,
        key=client.api_key,
        concurrency=client.concurrency,
        timeout_seconds=client.timeout_seconds,
        retries=client.retries,
        backoff_seconds=client.backoff_seconds,
        cache_ttl=client.prompt_cache,
    )


def live_client(config: JudgesConfig) -> tuple[JudgeClient, ClientSettings]:
    """Return the client of the role and its settings. Checks alone need no provider and no key."""
    if not config.needs_judge:
        return NoClient(), _limits(config)
    settings = client_settings(config)
    return open_client(config, settings), settings


def open_client(config: JudgesConfig, settings: ClientSettings) -> JudgeClient:
    """Return the client of the provider. Raises UserError if its package is not installed."""
    try:
        return connect(config.client.provider, settings)
    except ImportError as error:
        raise UserError(f"{_EXTRA} ({error.name} is missing)") from None
