"""`plumbline config`: check a configuration, propose a format, or print the schema."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import input_file
from monitor.cli.commands.logs.decode import add_envelope
from monitor.cli.commands.logs.sample import (
    NO_RECORDS,
    add_sniff,
    as_json,
    check_sample,
    print_finding,
)
from monitor.cli.options import (
    add_command,
    add_config,
    add_group,
    add_json,
    config_path,
    print_error,
    print_json,
)
from monitor.errors import UserError
from monitor.events.wording.drift import printable

if TYPE_CHECKING:
    from monitor.config.schema import Config
    from monitor.config.sections.judging.section import JudgesConfig
    from monitor.config.sections.kafka.section import KafkaConfig
    from monitor.detect.audit.forecast import Forecast
    from monitor.ingest.files.sniff.finding import Finding


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(
        commands, "config", "check a configuration, propose a format, or print the schema"
    )
    check = add_command(
        group,
        "check",
        _check,
        "report all errors and a forecast; --json prints the settings in effect, secrets masked",
        "plumbline config check -c plumbline.yaml",
    )
    add_config(check)
    check.add_argument(
        "--without-secrets",
        action="store_true",
        help="do not require passwords, URLs and tokens, for example in CI",
    )
    check.add_argument(
        "--sample",
        type=input_file,
        metavar="FILE",
        help="show which fields of records are in the messages of this file, and what is missing",
    )
    add_envelope(check)
    add_json(check)
    add_sniff(group)
    add_command(
        group,
        "schema",
        _schema,
        "print the JSON schema of plumbline.yaml",
        "plumbline config schema > plumbline.schema.json",
    )


def _check(arguments: argparse.Namespace) -> int:
    from monitor.cli.console import tables
    from monitor.config.schema import describe
    from monitor.experiments.design import design_of

    config, found = _checked(arguments)
    warnings = [*_warnings(config.judges), *_unjudged(config)]
    phases = {name: design_of(name, each).phase for name, each in config.experiments.items()}
    sample = None
    if arguments.sample is not None:
        sample = check_sample(arguments.sample, config, enveloped=arguments.envelope)
    if arguments.json:
        added = {"outlook": asdict(found), "warnings": warnings, "phases": phases}
        added |= {} if sample is None else {"sample": as_json(sample)}
        print_json(describe(config) | added)
        return _status(sample)
    print(f"{arguments.config or 'the defaults'}: no errors")
    for warning in warnings:
        print(f"warning: {printable(warning)}")
    for name, each in config.experiments.items():
        print(f"experiment {name}: phase {phases[name]}, seed {printable(each.seed_of(name))}")
    tables.print_forecast(found)
    if sample is not None:
        print()
        print_finding(sample)
    return _status(sample)


def _checked(arguments: argparse.Namespace) -> tuple[Config, Forecast]:
    """Return the configuration and its forecast.

    Raises ConfigError with all problems: those of the keys, and what `run` would refuse of the
    valid sections, each with its place if that is known.
    """
    from monitor.config.draft import ConfigError
    from monitor.config.load import load_draft
    from monitor.detect.audit import forecast
    from monitor.roles import judge_setup
    from monitor.telemetry import logging

    secrets, found = not arguments.without_secrets, None
    config, draft = load_draft(config_path(arguments), os.environ, secrets=secrets)
    if config is not None:
        logging.configure(config.log)
        problems = [
            *_client_problems(config.kafka, secrets=secrets),
            *judge_setup.problems(config, secrets=secrets),
        ]
        try:
            found = forecast.compute(config)
        except UserError as error:
            problems.append(f"reference: {error}")
        for problem in problems:
            draft.add_described(problem)
    if config is None or found is None or draft.problems:
        raise ConfigError(draft.problems)
    return config, found


def _status(sample: Finding | None) -> int:
    """Return the exit status; print an error if a sample has no record."""
    if sample is None or sample.records:
        return 0
    print_error(NO_RECORDS)
    return 2


def _warnings(judges: JudgesConfig) -> list[str]:
    """Return what the mapping of features to KPIs lacks."""
    if not judges.kpis:  # without them the judges need not be imported
        return []
    from monitor.roles.judge_kpis import kpi_warnings

    return kpi_warnings(judges)


def _unjudged(config: Config) -> list[str]:
    """Return the metrics of experiments whose rubric is not configured."""
    metrics = [
        (name, metric.metric)
        for name, each in config.experiments.items()
        for metric in each.metrics
        if metric.metric.startswith("judge.")
    ]
    if not metrics:
        return []
    from monitor.roles.judge_kpis import judged_features

    judged = judged_features(config.judges)
    return [
        f"experiments.{name}: {metric} is not configured in judges, so it has no values"
        for name, metric in metrics
        if metric not in judged
    ]


def _client_problems(kafka: KafkaConfig, *, secrets: bool) -> list[str]:
    """Return what the clients of Kafka and of the schema registry reject."""
    from monitor.kafka.clients import check_client_settings
    from monitor.kafka.readers.registry import check_files

    found = list[str]()
    try:
        check_client_settings(kafka, secrets=secrets)
    except UserError as error:
        found += str(error).splitlines()
    try:
        check_files(kafka.schema_registry if secrets else None)
    except UserError as error:
        found.append(str(error))
    return found


def _schema(arguments: argparse.Namespace) -> int:
    from monitor.config.schema import schema

    return print_json(schema())
