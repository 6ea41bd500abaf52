"""`plumbline experiment plan`: users and days that an experiment needs."""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import positive_number
from monitor.cli.commands.experiment.assign import variants
from monitor.cli.options import add_command, add_json, print_json
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.experiments.planning.baseline import Baseline, Users
    from monitor.experiments.planning.plan import Duration, Plan


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "plan",
        _plan,
        "print the users and days that an experiment needs, fixed and sequential side by side",
        "plumbline experiment plan --rate 0.05 --mde 0.1 --users-per-day 2000",
    )
    _add_baseline(parser)
    parser.add_argument(
        "--mde",
        type=effect,
        default=0.05,
        metavar="X",
        help="smallest relative effect that matters (default: 0.05, which is 5 %%)",
    )
    parser.add_argument("--power", type=positive_number, default=0.8, help="default: 0.8")
    parser.add_argument("--alpha", type=positive_number, default=0.05, help="default: 0.05")
    parser.add_argument(
        "--variants",
        type=variants,
        default={"control": 0.5, "treatment": 0.5},
        metavar="NAME=WEIGHT,...",
        help="variants, the control first, and their weights (default: two equal ones)",
    )
    parser.add_argument(
        "--users-per-day",
        type=positive_number,
        metavar="N",
        help="new users of the experiment each day, over all variants",
    )
    _add_requests(parser)
    add_json(parser)


def _add_requests(parser: argparse.ArgumentParser) -> None:
    users = parser.add_argument_group("requests of a user")
    users.add_argument(
        "--requests-per-user", type=positive_number, default=1.0, metavar="N", help="default: 1"
    )
    users.add_argument(
        "--dispersion",
        type=not_negative,
        default=0.0,
        metavar="X",
        help="standard deviation of the requests of users over their mean (default: 0)",
    )
    users.add_argument(
        "--correlation",
        type=not_negative,
        default=0.1,
        metavar="X",
        help="correlation of the metric in two requests of a user (default: 0.1)",
    )


def _add_baseline(parser: argparse.ArgumentParser) -> None:
    today = parser.add_argument_group(
        "the metric today", "one of these"
    ).add_mutually_exclusive_group(required=True)
    today.add_argument(
        "--mean", type=number, metavar="X", help="mean of a score or a capped value, with --sd"
    )
    today.add_argument(
        "--rate", type=positive_number, metavar="X", help="share of requests, such as errors"
    )
    today.add_argument(
        "--log-sd",
        type=positive_number,
        metavar="X",
        help="standard deviation of the logarithm, of latency, length or cost",
    )
    today.add_argument(
        "--from-reference",
        type=Path,
        metavar="PATH",
        help="a version of a reference, or the folder of its name, with --metric",
    )
    parser.add_argument(
        "--sd", type=positive_number, metavar="X", help="standard deviation, with --mean"
    )
    parser.add_argument("--metric", metavar="M", help="metric of --from-reference")
    parser.add_argument("--model", metavar="NAME", help="model of --from-reference")
    parser.add_argument(
        "--cap", type=positive_number, metavar="X", help="cap of a metric FEATURE.capped"
    )


def number(text: str) -> float:
    """Return a finite number."""
    negative = text.startswith("-")
    value = 0.0 if text.lstrip("-") in {"0", "0.0"} else positive_number(text.lstrip("-"))
    return -value if negative else value


def not_negative(text: str) -> float:
    """Return a finite number from 0 on."""
    value = number(text)
    if value < 0:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def effect(text: str) -> float:
    """Return a relative effect: above -1, and not 0."""
    value = number(text)
    if not value or value <= -1:
        raise ArgumentTypeError(f"{text!r} is not a relative effect, such as 0.05")
    return value


def _plan(arguments: argparse.Namespace) -> int:
    from monitor.experiments.planning.baseline import Users
    from monitor.experiments.planning.plan import plan

    _check_options(arguments)
    try:
        users = Users(arguments.requests_per_user, arguments.dispersion, arguments.correlation)
        found = plan(
            _baseline(arguments, users),
            arguments.mde,
            power=arguments.power,
            alpha=arguments.alpha,
            weights=tuple(arguments.variants.values()),
            users_per_day=arguments.users_per_day,
        )
    except ArithmeticError:
        raise UserError("these numbers are too large or too small to plan with") from None
    except ValueError as error:
        raise UserError(str(error)) from None
    if arguments.json:
        return print_json(asdict(found))
    print("\n".join(_lines(found, list(arguments.variants))))
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise UserError for an option that the baseline would not use."""
    for name, owner in (
        ("sd", "mean"),
        ("metric", "from_reference"),
        ("model", "from_reference"),
        ("cap", "from_reference"),
    ):
        if getattr(arguments, name) is not None and getattr(arguments, owner) is None:
            raise UserError(f"--{name} needs --{owner.replace('_', '-')}")


def _baseline(arguments: argparse.Namespace, users: Users) -> Baseline:
    """Return the baseline that the arguments give. Raises UserError and ValueError."""
    from monitor.experiments.planning.baseline import log_baseline, mean_baseline, rate_baseline

    if arguments.from_reference is not None:
        from monitor.cli.commands.experiment.baselines import from_reference

        if arguments.metric is None:
            raise UserError("--from-reference needs --metric")
        return from_reference(
            arguments.from_reference, arguments.metric, arguments.model, arguments.cap, users
        )
    if arguments.rate is not None:
        return rate_baseline(arguments.rate, users)
    if arguments.log_sd is not None:
        return log_baseline(arguments.log_sd**2, users=users)
    if arguments.sd is None:
        raise UserError("--mean needs --sd")
    return mean_baseline(arguments.mean, arguments.sd**2, users)


def _lines(found: Plan, names: list[str]) -> Iterator[str]:
    arms = ", ".join(f"{n} {w:.0%}" for n, w in zip(names, found.weights, strict=True))
    effect = f"{100 * found.effect:+.3g} %"
    if found.change is not None:
        effect = f"{found.change:+.3g} ({effect})"
    yield (
        f"To find an effect of {effect} with a power of"
        f" {found.power:.0%}, alpha {found.alpha:.3g} for each variant; {arms}"
    )
    rows = [
        ("one fixed test, no look before", found.fixed),
        ("sequential, looks at any time", found.sequential),
        ("  mean until its verdict", found.expected),
        ("planned end (planned_users)", found.planned_end),
        ("  mean until its verdict", found.planned_end_expected),
        ("no verdict before (burn-in)", found.burn_in),
    ]
    yield f"{'':32}{'users':>14}{'days':>10}"
    yield from (f"{name:32}{each.users:>14,}{_days(each):>10}" for name, each in rows)


def _days(each: Duration) -> str:
    return "-" if each.days is None else f"{each.days:,.1f}"
