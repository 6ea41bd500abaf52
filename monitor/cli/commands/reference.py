"""`plumbline reference`: build, list, show and promote named references; accept traffic as one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import count, moment, positive_number
from monitor.cli.options import (
    add_command,
    add_config,
    add_group,
    add_json,
    add_logs,
    load_config,
    print_json,
)
from monitor.errors import UserError
from monitor.records import Source

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.config.schema import Config
    from monitor.detect.reference.profile import Profile
    from monitor.ingest.fields.limits import Dropped


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(
        commands, "reference", "build, list, show and promote references; accept a new normal"
    )
    build = _add_build(group)
    listing = add_command(
        group, "list", _list, "list all names and versions", "plumbline reference list"
    )
    show = add_command(
        group,
        "show",
        _show,
        "show the content of a version",
        "plumbline reference show chat --version 2",
    )
    show.add_argument("name")
    show.add_argument("--version", type=int, metavar="N", help="default: the promoted version")
    promote = add_command(
        group,
        "promote",
        _promote,
        "promote a version; the daemon uses it from its next start",
        "plumbline reference promote chat 2",
    )
    promote.add_argument("name")
    promote.add_argument("version", type=int)
    for parser in (build, listing, show, promote):
        parser.add_argument(
            "--directory",
            type=Path,
            default=Path("references"),
            help="directory of references (default: references)",
        )
        add_json(parser)
    _add_accept(group)


def _add_build(group: Any) -> argparse.ArgumentParser:
    build = add_command(
        group,
        "build",
        _build,
        "build a new version from files of records, or from the feature topic",
        "plumbline reference build --name chat logs.jsonl",
    )
    add_logs(build, required=False)
    build.add_argument("--name", required=True, help="name of the reference")
    build.add_argument(
        "--from-topic",
        action="append",
        default=[],
        metavar="MODEL",
        help="build from the records of a model in the feature topic, which has 14 days of them;"
        " repeat it for several models",
    )
    _add_traffic(build)
    add_config(build)
    return build


def _add_accept(group: Any) -> None:
    accept = add_command(
        group,
        "accept",
        _accept,
        "make traffic in the feature topic the new reference of a model, without a restart, and end"
        " its open alarms; without a time: the records since its oldest open alarm began, otherwise"
        " the newest ones",
        "plumbline reference accept chat --since 2h",
    )
    accept.add_argument("model")
    accept.add_argument(
        "--segment",
        metavar="KEY=VALUE",
        help="accept it for this segment only; '' for the whole traffic without its segments"
        " (default: both)",
    )
    accept.add_argument(
        "--source",
        choices=[str(source) for source in Source],
        default=Source.LOG,
        help="accept it for this source: the records (default: log), judged samples, feedback,"
        " style",
    )
    _add_traffic(accept)
    accept.add_argument("--dry-run", action="store_true", help="show what it would do, and stop")
    accept.add_argument(
        "--timeout",
        type=positive_number,
        default=60.0,
        metavar="SECONDS",
        help="time to wait for the answer of detect (default: 60)",
    )
    add_config(accept)
    add_json(accept)


def _add_traffic(parser: argparse.ArgumentParser) -> None:
    """Add the options that select traffic in the feature topic."""
    when = "event time such as 2026-01-31T12:00:00Z, or 90m: so long ago (s, m, h, d)"
    parser.add_argument("--since", type=moment, metavar="TIME", help=f"first {when}")
    parser.add_argument("--until", type=moment, metavar="TIME", help=f"last {when}")
    parser.add_argument(
        "--records",
        type=count,
        metavar="N",
        help="the newest N records of it (default: the length of a warm-up)",
    )


def _accept(arguments: argparse.Namespace) -> int:
    from monitor.cli.console import topic_references

    _check_period(arguments)
    return topic_references.accept(load_config(arguments), arguments)


def _check_period(arguments: argparse.Namespace) -> None:
    since, until = arguments.since, arguments.until
    if since is not None and until is not None and since >= until:
        raise UserError("--since is not before --until")


def _build(arguments: argparse.Namespace) -> int:
    from monitor.detect.reference import store
    from monitor.ingest.fields.limits import Dropped

    store.folder_of(arguments.directory, arguments.name)  # validate the name before reading logs
    if bool(arguments.logs) == bool(arguments.from_topic):
        raise UserError("give either files of records or --from-topic MODEL")
    dropped = Dropped()
    if arguments.logs:
        profiles, source = _from_files(arguments, dropped)
    else:
        profiles, source = _from_topic(arguments)
    built = store.save(arguments.directory, arguments.name, profiles, source, dropped)
    return _print_versions([built], arguments)


def _from_topic(arguments: argparse.Namespace) -> tuple[Sequence[Profile], str]:
    from monitor.cli.console.topic_references import profiles_from_topic

    _check_period(arguments)
    return profiles_from_topic(load_config(arguments), arguments)


def _from_files(arguments: argparse.Namespace, dropped: Dropped) -> tuple[Sequence[Profile], str]:
    """Return the profiles of files. dropped: receives the names that limits cut off."""
    from monitor.cli.console import tables
    from monitor.cli.report import dropped_names
    from monitor.detect.reference import loader
    from monitor.ingest import files
    from monitor.kafka.readers.registry.files import schemas_of

    for name in ("since", "until", "records"):
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} needs --from-topic: files of records are used as a whole")
    config: Config = load_config(arguments, secrets=False)
    reader = files.reader(config, schemas_of(config))
    with tables.read_progress(arguments.logs) as (progress, _):
        profiles = loader.from_files(arguments.logs, config, progress, reader, dropped)
    console = tables.new_console(stderr=True)
    tables.print_rejections(console, reader.rejections.by_reason(), reader.records)
    tables.print_dropped(console, dropped_names(dropped))
    return profiles, ", ".join(path.name for path in arguments.logs)


def _list(arguments: argparse.Namespace) -> int:
    from monitor.detect.reference import store

    return _print_versions(store.versions(arguments.directory), arguments)


def _show(arguments: argparse.Namespace) -> int:
    from monitor.cli.console import tables
    from monitor.detect.reference import store

    directory, name, number = arguments.directory, arguments.name, arguments.version
    if number is None:
        version = store.promoted(directory, name)
    else:
        version = store.version(directory, name, number)
    if arguments.json:
        return print_json(store.describe(version, profiles=True))
    tables.print_profiles(version)
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from monitor.detect.reference import store

    directory, name, number = arguments.directory, arguments.name, arguments.version
    store.promote(directory, name, number)
    return _print_versions([store.version(directory, name, number)], arguments)


def _print_versions(versions: Sequence[Any], arguments: argparse.Namespace) -> int:
    from monitor.cli.console import tables
    from monitor.detect.reference import store

    if arguments.json:
        return print_json([store.describe(version) for version in versions])
    tables.print_versions(versions)
    return 0
