"""`plumbline evalset export`: a version as JSON lines, or as a folder of tasks of lm-eval."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import output_file
from monitor.cli.commands.replay.evalset.listing import add_directory, add_name, add_version
from monitor.cli.options import add_command, add_json, print_json
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from replay.sets.item import Item

MODEL_KINDS: Final = ("hf", "vllm", "local-completions", "local-chat-completions")


def add(group: Any) -> None:
    """Add the command."""
    parser = add_command(
        group,
        "export",
        _export,
        "write a version without its held-out items",
        "plumbline evalset export support --tasks tasks --model-kind hf",
    )
    add_name(parser)
    add_version(parser)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--jsonl", type=output_file, metavar="FILE", help="write JSON lines")
    form.add_argument(
        "--tasks",
        type=Path,
        metavar="DIR",
        help="write a folder of tasks, which lm-eval runs as it is",
    )
    parser.add_argument(
        "--model-kind",
        choices=MODEL_KINDS,
        default="local-chat-completions",
        metavar="KIND",
        help=f"with --tasks: {', '.join(MODEL_KINDS)} (default: local-chat-completions)",
    )
    parser.add_argument(
        "--held-out", action="store_true", help="write the held-out items as well; keep them secret"
    )
    add_directory(parser)
    add_json(parser)


def _export(arguments: argparse.Namespace) -> int:
    from replay.sets import versions

    item_set = versions.read_version(arguments.directory, arguments.name, arguments.version)
    items: tuple[Item, ...] = item_set.items if arguments.held_out else item_set.visible()
    if not items:
        raise UserError(f"{arguments.name}: all items are held out")
    tasks: tuple[str, ...] = ()
    if arguments.jsonl is not None:
        arguments.jsonl.write_bytes(versions.encode_items(items))
    else:
        from replay.sets.task.folder import write_task

        tasks = write_task(item_set, arguments.tasks, arguments.model_kind, items)
    left_out = len(item_set.items) - len(items)
    if arguments.json:
        return print_json({"items": len(items), "held_out": left_out, "tasks": list(tasks)})
    held = f", {left_out:,} held-out items left out" if left_out else ""
    into = arguments.jsonl or arguments.tasks
    print(f"{len(items):,} items of {item_set.name} version {item_set.version} in {into}{held}")
    for task in tasks:
        print(f"  task {task}")
    return 0
