"""`plumbline notify`: send test notifications."""

from __future__ import annotations

import argparse
import time
from typing import Any

from monitor.cli.options import (
    add_command,
    add_config,
    add_group,
    add_json,
    load_config,
    print_json,
)


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(commands, "notify", "test the targets of notifications")
    test = add_command(
        group,
        "test",
        _test,
        "send a notification marked as a test to each target and print the responses",
        "plumbline notify test -c plumbline.yaml on_call",
    )
    test.add_argument("targets", nargs="*", metavar="TARGET", help="targets (default: all)")
    add_config(test)
    add_json(test)


def _test(arguments: argparse.Namespace) -> int:
    from monitor.notify import self_test

    results = list(self_test.run(load_config(arguments), arguments.targets, time.time()))
    if arguments.json:
        print_json([self_test.to_dict(result) for result in results])
    else:
        print("\n".join(map(str, results)))
    return 0 if all(result.passed for result in results) else 1
