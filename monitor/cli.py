"""The command line. Errors that a user can mend are one line on standard error, and exit 2.

Commands import what they need when they run: `plumbline version` must not wait for scipy.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from monitor import __version__
from monitor.argument_types import folder_url, input_file, output_file, positive
from monitor.errors import UserError

if TYPE_CHECKING:
    from monitor.config import Config

ROLES = ("ingest", "detect", "notify")
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # rather a "?" than no report at all
    arguments = _parser().parse_args(argv)
    try:
        status = int(arguments.run(arguments))
        sys.stdout.flush()  # here a reader that has gone is still met below
        return status
    except UserError as error:
        _complain(str(error))
    except BrokenPipeError:
        # whoever read our output has seen enough; nothing may be left to be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    return 2


def _complain(text: str) -> None:
    """On standard error, without characters that a terminal would obey."""
    from monitor.events import printable

    print("\n".join(map(printable, text.splitlines())), file=sys.stderr)


def _run(arguments: argparse.Namespace) -> int:
    from monitor import app, logs

    config = _config(arguments)
    logs.configure(config.log)
    return app.run(config, arguments.roles)


def _demo(arguments: argparse.Namespace) -> int:
    from monitor.demo import show

    return show.run(arguments.seconds, arguments.rate, arguments.report)


def _backtest(arguments: argparse.Namespace) -> int:
    from monitor import console, report
    from monitor.backtest import backtest

    config = _config(arguments)
    with console.reading(arguments.logs) as (progress, show):
        result = backtest(arguments.logs, config, progress=progress, on_event=show)
    if arguments.report:
        report.write(result, arguments.report)
    if arguments.json:
        sys.stdout.buffer.write(report.encode(result))
    else:
        console.print_report(result)
    return 0


def _reference_build(arguments: argparse.Namespace) -> int:
    from monitor import console, references

    config = _config(arguments)
    references.folder_of(arguments.directory, arguments.name)  # a bad name before hours of reading
    with console.reading(arguments.logs) as (progress, _):
        profiles = references.from_files(arguments.logs, config, progress)
    source = ", ".join(path.name for path in arguments.logs)
    built = references.save(arguments.directory, arguments.name, profiles, source)
    return _show_versions([built], arguments)


def _reference_list(arguments: argparse.Namespace) -> int:
    from monitor import references

    return _show_versions(references.versions(arguments.directory), arguments)


def _reference_show(arguments: argparse.Namespace) -> int:
    from monitor import console, references

    directory, name, number = arguments.directory, arguments.name, arguments.version
    if number is None:
        version = references.promoted(directory, name)
    else:
        version = references.version(directory, name, number)
    if arguments.json:
        return _print_json(references.describe(version, profiles=True))
    console.print_profiles(version)
    return 0


def _reference_promote(arguments: argparse.Namespace) -> int:
    from monitor import references

    directory, name, number = arguments.directory, arguments.name, arguments.version
    references.promote(directory, name, number)
    return _show_versions([references.version(directory, name, number)], arguments)


def _show_versions(versions: Sequence[Any], arguments: argparse.Namespace) -> int:
    from monitor import console, references

    if arguments.json:
        return _print_json([references.describe(version) for version in versions])
    console.print_versions(versions)
    return 0


def _config_check(arguments: argparse.Namespace) -> int:
    from monitor import console, outlook
    from monitor.config import describe

    config = _config(arguments)
    follows = outlook.of(config)
    if arguments.json:
        return _print_json(describe(config) | {"outlook": asdict(follows)})
    print(f"{arguments.config or 'the defaults'}: all is well")
    console.print_outlook(follows)
    return 0


def _config_schema(arguments: argparse.Namespace) -> int:
    from monitor.config import schema

    return _print_json(schema())


def _dashboards_build(arguments: argparse.Namespace) -> int:
    for path in _dashboards().write(arguments.directory, arguments.runbooks):
        print(path)
    return 0


def _dashboards_check(arguments: argparse.Namespace) -> int:
    dashboards = _dashboards()
    folder = arguments.directory or dashboards.SHIPPED
    dashboards.check(folder, arguments.runbooks)
    print(f"{folder}: all is as the code builds it")
    return 0


def _dashboards() -> ModuleType:
    """What builds dashboards.

    Raises UserError where the extra that it needs is not installed.
    """
    try:
        from grafana.dashboards import build
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("grafana_foundation_sdk"):
            raise
        raise UserError(
            "dashboards are built with an extra that is not installed:"
            " pip install 'plumbline[dashboards]'"
        ) from None
    return build


def _notify_test(arguments: argparse.Namespace) -> int:
    import time

    from monitor.notify import trial

    trials = list(trial.run(_config(arguments), arguments.targets, time.time()))
    if arguments.json:
        _print_json([trial.plain(each) for each in trials])
    else:
        print("\n".join(map(str, trials)))
    return 0 if all(each.passed for each in trials) else 1


def _version(arguments: argparse.Namespace) -> int:
    if arguments.json:
        return _print_json({"version": __version__})
    print(f"plumbline {__version__}")
    return 0


def _config(arguments: argparse.Namespace) -> Config:
    """The configuration of -c, or of plumbline.yaml if it is there, or the defaults."""
    from monitor.config_file import load

    if arguments.config is None and Path("plumbline.yaml").exists():
        arguments.config = Path("plumbline.yaml")
    return load(arguments.config, os.environ)


def _print_json(value: object) -> int:
    print(json.dumps(value, indent=2, default=str))
    return 0


def _roles(text: str) -> tuple[str, ...]:
    roles = tuple(dict.fromkeys(role.strip() for role in text.split(",")))
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown role {unknown[0]!r}; there are {', '.join(ROLES)}"
        )
    return roles


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # it exits all the same
        """One line, not the whole usage."""
        _complain(f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help")
        self.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="plumbline", description="Watches language models in production for drift."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    run = _command(commands, "run", _run, "the daemon", "plumbline run -c plumbline.yaml")
    _add_config(run)
    run.add_argument(
        "--roles",
        type=_roles,
        default=ROLES,
        metavar="ROLE,...",
        help=f"which of {', '.join(ROLES)} to run (default: all; notify where it is configured)",
    )

    demo = _command(
        commands,
        "demo",
        _demo,
        "the whole thing on an embedded broker, with made traffic that drifts half-way",
        "plumbline demo --seconds 40 --report demo.json",
    )
    demo.add_argument("--seconds", type=positive, default=40.0, help="how long (default: 40)")
    demo.add_argument(
        "--rate", type=positive, default=2000.0, help="records a second (default: 2000)"
    )
    demo.add_argument("--report", type=output_file, metavar="FILE", help="write the report as JSON")

    backtest = _command(
        commands,
        "backtest",
        _backtest,
        "what would have paged, from files of records",
        "plumbline backtest logs.jsonl --report report.json",
    )
    _add_logs(backtest)
    _add_config(backtest)
    backtest.add_argument(
        "--report", type=output_file, metavar="FILE", help="write the report as JSON"
    )
    _add_json(backtest)

    _add_reference_commands(commands)
    _add_config_commands(commands)
    _add_dashboards_commands(commands)
    _add_notify_commands(commands)
    version = _command(commands, "version", _version, "the version", "plumbline version")
    _add_json(version)
    return parser


def _add_reference_commands(commands: Any) -> None:
    group = _group(commands, "reference", "build, list, show and promote named references")
    build = _command(
        group,
        "build",
        _reference_build,
        "build a new version from files of records",
        "plumbline reference build --name chat logs.jsonl",
    )
    _add_logs(build)
    build.add_argument("--name", required=True, help="what to call it")
    _add_config(build)
    listing = _command(
        group, "list", _reference_list, "all names and versions", "plumbline reference list"
    )
    show = _command(
        group,
        "show",
        _reference_show,
        "what a version holds",
        "plumbline reference show chat --version 2",
    )
    show.add_argument("name")
    show.add_argument("--version", type=int, metavar="N", help="default: the promoted one")
    promote = _command(
        group,
        "promote",
        _reference_promote,
        "let a version count from the next start on",
        "plumbline reference promote chat 2",
    )
    promote.add_argument("name")
    promote.add_argument("version", type=int)
    for parser in (build, listing, show, promote):
        parser.add_argument(
            "--directory",
            type=Path,
            default=Path("references"),
            help="where references are kept (default: references)",
        )
        _add_json(parser)


def _add_config_commands(commands: Any) -> None:
    group = _group(commands, "config", "check a configuration, or print its schema")
    check = _command(
        group,
        "check",
        _config_check,
        "find all errors, and say what follows; --json prints what is in force, secrets masked",
        "plumbline config check -c plumbline.yaml",
    )
    _add_config(check)
    _add_json(check)
    _command(
        group,
        "schema",
        _config_schema,
        "the JSON schema of plumbline.yaml",
        "plumbline config schema > plumbline.schema.json",
    )


def _add_dashboards_commands(commands: Any) -> None:
    from grafana.links import RUNBOOKS

    group = _group(commands, "dashboards", "build the Grafana dashboards, or check their files")
    build = _command(
        group,
        "build",
        _dashboards_build,
        "write a JSON file for each dashboard into a directory",
        "plumbline dashboards build dashboards",
    )
    build.add_argument("directory", type=Path, metavar="DIRECTORY")
    check = _command(
        group,
        "check",
        _dashboards_check,
        "say whether the files of a directory are what the code builds, or the first difference",
        "plumbline dashboards check dashboards",
    )
    check.add_argument(
        "directory",
        type=Path,
        nargs="?",
        metavar="DIRECTORY",
        help="default: the files that come with Plumbline",
    )
    for parser in (build, check):
        parser.add_argument(
            "--runbooks",
            type=folder_url,
            default=RUNBOOKS,
            metavar="URL",
            help="where you publish docs/runbooks (default: an address that leads nowhere)",
        )


def _add_notify_commands(commands: Any) -> None:
    group = _group(commands, "notify", "try the targets of notifications")
    test = _command(
        group,
        "test",
        _notify_test,
        "send a message marked as a test to each target, and say what came back",
        "plumbline notify test -c plumbline.yaml on_call",
    )
    test.add_argument("targets", nargs="*", metavar="TARGET", help="only these (default: all)")
    _add_config(test)
    _add_json(test)


def _group(commands: Any, name: str, text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text)
    return parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)


def _command(
    commands: Any, name: str, run: Command, text: str, example: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=f"example: {example}"
    )
    parser.set_defaults(run=run)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration (default: plumbline.yaml, if it is there)",
    )


def _add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "logs",
        nargs="+",
        type=input_file,
        metavar="LOGS.jsonl",
        help="files of records, one a line; .gz is unpacked, - is standard input",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")
