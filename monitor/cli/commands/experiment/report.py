"""`plumbline experiment report`: the cards of an experiment, from a daemon, Kafka or files."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from monitor.cli.arguments import base_url, input_file, output_file
from monitor.cli.options import add_command, add_config, add_json, load_config
from monitor.errors import UserError
from monitor.events.wording.drift import printable

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.config.schema import Config
    from monitor.experiments.decisions.result import Result


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "report",
        _report,
        "print the cards of an experiment: one for each variant",
        "plumbline experiment report new-prompt --html report.html",
    )
    parser.add_argument("name", metavar="NAME", help="name of the experiment")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--url",
        type=base_url,
        metavar="URL",
        help="address of the daemon (default: http.host and http.port of the configuration)",
    )
    source.add_argument(
        "--topic", action="store_true", help="read the results from Kafka instead of a daemon"
    )
    source.add_argument(
        "--logs",
        type=input_file,
        nargs="+",
        metavar="LOG",
        help="compute the results from files of records, with the configured experiments",
    )
    parser.add_argument(
        "--html", type=output_file, metavar="FILE", help="write the report as a web page"
    )
    add_config(parser)
    add_json(parser)


def _report(arguments: argparse.Namespace) -> int:
    from msgspec import json

    from monitor.experiments.decisions.result import encode_result
    from monitor.experiments.report.terminal import card_text

    config = load_config(arguments, secrets=not arguments.logs)
    result = _result(arguments, config)
    if arguments.html:
        from monitor.cli.html.experiment.page import experiment_page

        arguments.html.write_bytes(experiment_page(result))
    if arguments.json:
        sys.stdout.buffer.write(json.format(encode_result(result), indent=2) + b"\n")
    else:
        print(card_text(result), end="")
    return 0


def _result(arguments: argparse.Namespace, config: Config) -> Result:
    """Return the result from the chosen source. Raises UserError."""
    if arguments.logs:
        return _named(_of_files(config, arguments.logs), arguments.name)
    if arguments.topic:
        return _named(_of_topic(config), arguments.name)
    return _of_daemon(config, arguments.url, arguments.name)


def _named(results: Mapping[str, Result], name: str) -> Result:
    """Return the result of an experiment. Raises UserError with the names that there are."""
    if name in results:
        return results[name]
    names = ", ".join(sorted(results)[:10]) or "none"
    raise UserError(f"no result of an experiment {printable(name)!r}; there is {printable(names)}")


def _of_files(config: Config, paths: Sequence[Path]) -> Mapping[str, Result]:
    from monitor.ingest import files
    from monitor.kafka.readers.registry.files import schemas_of
    from monitor.roles.local_experiments import LocalExperiments

    if not config.experiments:
        raise UserError("no experiment is configured: add one to experiments, and name it with -c")
    experiments = LocalExperiments(config)
    reader = files.reader(config, schemas_of(config))
    reader.observe = experiments.observe
    for _ in reader.batches(paths, lambda _: None):
        pass
    if not reader.records:
        raise UserError(f"nothing was read: no valid records in {', '.join(map(str, paths[:3]))}")
    return experiments.finish()


def _of_topic(config: Config) -> Mapping[str, Result]:
    from monitor.roles.experiment_log import ExperimentLog
    from monitor.telemetry.http.api import HistoryUnavailableError

    stopping = threading.Event()
    try:
        return ExperimentLog(config.kafka, stopping.wait).results()
    except HistoryUnavailableError as error:
        raise UserError(str(error)) from None
    finally:
        stopping.set()


def _of_daemon(config: Config, url: str | None, name: str) -> Result:
    from monitor.cli.console.daemon import address, get
    from monitor.experiments.decisions.result import ResultError, decode_result

    body = get(f"{url or address(config)}api/v1/experiments/{quote(name, safe='')}")
    try:
        return decode_result(body)
    except ResultError as error:
        raise UserError(f"the daemon has another version: {error}") from None
