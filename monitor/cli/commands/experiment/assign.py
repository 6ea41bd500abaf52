"""`plumbline experiment assign`: print the variants of units."""

from __future__ import annotations

import argparse
import sys
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.cli.arguments import input_file, positive_number
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError
from monitor.events.wording.drift import printable
from monitor.experiments.assignment.assign import Assignment, assign

NONE = "-"
"""Printed for a unit without a variant."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "assign",
        _assign,
        "print the variants of units, such as users, and their reasons",
        "plumbline experiment assign new-prompt --unit user-1 --variants control=0.5,treatment=0.5",
    )
    parser.add_argument("name", metavar="NAME", help="name of the experiment")
    parser.add_argument(
        "--unit", action="append", default=[], metavar="ID", help="id of a unit; repeatable"
    )
    parser.add_argument(
        "--file", type=input_file, metavar="IDS", help="file of ids, one per line; - is stdin"
    )
    add_config(parser)
    parser.add_argument(
        "--variants",
        type=variants,
        metavar="NAME=WEIGHT,...",
        help="variants and their weights, instead of those of the configuration",
    )
    parser.add_argument("--seed", metavar="TEXT", help="seed, with --variants (default: NAME)")
    parser.add_argument(
        "--coverage",
        type=share,
        metavar="SHARE",
        help="share of the units that are in the experiment, with --variants (default: 1)",
    )
    add_json(parser)


def variants(text: str) -> dict[str, float]:
    """Return variants and weights, given as a=0.5,b=0.5."""
    # imported here, because other commands do not need pydantic
    from monitor.config.sections.experiments.parts import MAX_WEIGHT

    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.rpartition("=")
        if not name or name in found:
            raise ArgumentTypeError(f"{text!r} is not a list such as control=0.5,treatment=0.5")
        found[name] = positive_number(weight)
        if found[name] > MAX_WEIGHT:
            raise ArgumentTypeError(f"{weight!r} is not a weight of at most {MAX_WEIGHT:.0f}")
    if len(found) < 2:
        raise ArgumentTypeError(f"{text!r} has one variant; at least two are required")
    return found


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    number = 0.0 if text in {"0", "0.0"} else positive_number(text)
    if number > 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def _assign(arguments: argparse.Namespace) -> int:
    units = [*arguments.unit, *(_lines(arguments.file) if arguments.file else ())]
    if not units:
        raise UserError("no unit is given; add --unit ID or --file IDS")
    found = _assignments(arguments, units)
    if arguments.json:
        return print_json(
            [
                {"unit": unit, "variant": variant, "reason": reason}
                for unit, (variant, reason) in zip(units, found, strict=True)
            ]
        )
    for unit, (variant, reason) in zip(units, found, strict=True):
        print(f"{printable(unit)}  {printable(variant or NONE)}  {reason}")
    if len(units) > 1:
        counts = Counter(variant or NONE for variant, _ in found)
        shares = ", ".join(f"{printable(name)} {counts[name]:,}" for name in sorted(counts))
        print(f"{len(units):,} units: {shares}")
    return 0


def _assignments(arguments: argparse.Namespace, units: Sequence[str]) -> list[Assignment]:
    """Return the assignments by the options, or by the configuration. Raises UserError."""
    if arguments.variants is not None:
        seed = arguments.name if arguments.seed is None else arguments.seed
        coverage = 1.0 if arguments.coverage is None else arguments.coverage
        return [assign(unit, arguments.variants, seed, coverage=coverage) for unit in units]
    if arguments.seed is not None or arguments.coverage is not None:
        raise UserError("--seed and --coverage need --variants; else the configuration has them")
    from monitor.experiments.assignment.lookup import Assignments

    return Assignments(load_config(arguments, secrets=False).experiments)(arguments.name, units)


def _lines(path: Path) -> list[str]:
    """Return the lines of a file that are not empty. Raises UserError if it is not text."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None
    return [line for each in lines if (line := each.removesuffix("\r"))]
