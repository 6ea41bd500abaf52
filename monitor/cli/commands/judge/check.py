"""`plumbline judge check`: report all errors of rubrics."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.cli.options import add_command, add_json, print_json
from monitor.errors import UserError


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "check",
        _check,
        "report all errors of rubrics, or print their version, hash and dimensions",
        "plumbline judge check answer_quality rubrics/mine.yaml",
    )
    parser.add_argument(
        "rubrics",
        nargs="+",
        metavar="RUBRIC",
        help="name of a shipped rubric, or path of a YAML file",
    )
    add_json(parser)


def _check(arguments: argparse.Namespace) -> int:
    from judges.rubrics.loading import load
    from judges.rubrics.rubric import Rubric

    rubrics: list[Rubric] = []
    problems: list[str] = []
    for name in arguments.rubrics:
        try:
            rubrics.append(load(name))
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    described: list[dict[str, Any]] = [
        {
            "name": rubric.name,
            "version": rubric.version,
            "hash": rubric.hash,
            "mode": str(rubric.mode),
            "needs": sorted(map(str, rubric.needs)),
            "pass_mark": rubric.pass_mark,
            "dimensions": {name: round(share, 4) for name, share in rubric.shares.items()},
        }
        for rubric in rubrics
    ]
    if arguments.json:
        return print_json(described)
    for each in described:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in each["dimensions"].items())
        print(f"{each['name']}: no errors; version {each['version']}, hash {each['hash']}")
        print(f"  passes from {each['pass_mark']:g} of 5; {shares}")
    return 0
