"""`plumbline dashboards`: build the Grafana dashboards, or check their files."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

from grafana.links import RUNBOOKS
from monitor.cli.arguments import base_url
from monitor.cli.options import add_command, add_group
from monitor.errors import UserError


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(commands, "dashboards", "build the Grafana dashboards, or check their files")
    build = add_command(
        group,
        "build",
        _build,
        "write one JSON file per dashboard into a directory",
        "plumbline dashboards build dashboards",
    )
    build.add_argument("directory", type=Path, metavar="DIRECTORY")
    check = add_command(
        group,
        "check",
        _check,
        "compare the files of a directory with what the code builds; report the first difference",
        "plumbline dashboards check dashboards",
    )
    check.add_argument(
        "directory",
        type=Path,
        nargs="?",
        metavar="DIRECTORY",
        help="default: the files shipped with Plumbline",
    )
    for parser in (build, check):
        parser.add_argument(
            "--runbooks",
            type=base_url,
            default=RUNBOOKS,
            metavar="URL",
            help="address under which you publish docs/runbooks (default: a placeholder)",
        )
        parser.add_argument(
            "--pages",
            type=base_url,
            metavar="URL",
            help="address of the web application, to link to its pages (default: no links)",
        )


def _build(arguments: argparse.Namespace) -> int:
    for path in _builder().write(arguments.directory, arguments.runbooks, arguments.pages):
        print(path)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    builder = _builder()
    directory = arguments.directory or builder.SHIPPED
    builder.check(directory, arguments.runbooks, arguments.pages)
    print(f"{directory}: up to date")
    return 0


def _builder() -> ModuleType:
    """Return the module that builds dashboards.

    Raises UserError if its extra is not installed.
    """
    try:
        from grafana.dashboards import build
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("grafana_foundation_sdk"):
            raise
        raise UserError(
            "building dashboards needs an extra that is not installed:"
            " pip install '.[dashboards]' in a checkout of the repository"
        ) from None
    return build
