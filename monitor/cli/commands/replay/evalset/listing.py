"""`plumbline evalset list` and `show`, and the arguments that all commands of the group share."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.options import add_command, add_json, print_json
from monitor.errors import UserError
from monitor.events.wording.drift import printable

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from replay.sets.item import Item
    from replay.sets.item_set import ItemSet

DIRECTORY: Final = Path("evalsets")
PREVIEW_CHARS: Final = 70


def add(group: Any) -> None:
    """Add both commands."""
    listing = add_command(
        group, "list", _list, "list the sets with their versions", "plumbline evalset list"
    )
    show = add_command(
        group,
        "show",
        _show,
        "show the items of a version, or the candidates",
        "plumbline evalset show support --version 2",
    )
    add_name(show)
    add_version(show)
    show.add_argument(
        "--candidates", action="store_true", help="show the candidates instead of a version"
    )
    for parser in (listing, show):
        add_directory(parser)
        add_json(parser)


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add the name of the set."""
    parser.add_argument("name", metavar="NAME", help="name of the set")


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add the number of the version."""
    parser.add_argument("--version", type=int, metavar="N", help="default: the newest version")


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add the directory of the sets."""
    parser.add_argument(
        "--directory",
        type=Path,
        default=DIRECTORY,
        metavar="DIR",
        help=f"directory of the sets (default: {DIRECTORY})",
    )


def print_line(text: str) -> None:
    """Print a line with text of a log or a file, without what a terminal would interpret."""
    print(printable(text))


def described(item_set: ItemSet) -> dict[str, Any]:
    """Return a version as JSON-compatible values, without its items."""
    held = item_set.hold_out
    return {
        "name": item_set.name,
        "version": item_set.version,
        "digest": item_set.digest,
        "created": item_set.created,
        "items": len(item_set.items),
        "hold_out": None
        if held is None
        else {"share": held.share, "period": held.period, "items": len(item_set.held_out())},
        **counted(item_set.items),
    }


def counted(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    """Return the numbers of items by origin, scoring and value of each slice."""
    ways: dict[str, Callable[[Item], Sequence[str]]] = {
        "origins": lambda item: [item.provenance.origin],
        "scorings": lambda item: [item.scoring],
        "slices": lambda item: [f"{name}={value}" for name, value in item.slices.items()],
    }
    return {
        name: dict(sorted(Counter(each for item in items for each in values(item)).items()))
        for name, values in ways.items()
    }


def _list(arguments: argparse.Namespace) -> int:
    from replay.sets import versions

    directory = arguments.directory
    found: list[dict[str, Any]] = []
    for name in versions.names(directory):
        candidates = versions.read_candidates(directory, name)
        numbers = versions.version_numbers(directory, name)
        found.append(
            {
                "name": name,
                "candidates": len(candidates),
                "approved": sum(bool(item.approved) for item in candidates),
                "versions": [
                    described(versions.read_version(directory, name, number)) for number in numbers
                ],
            }
        )
    if arguments.json:
        return print_json(found)
    if not found:
        print(f"no evaluation sets in {directory}; build one with 'plumbline evalset build'")
    for each in found:
        print(f"{each['name']}: {each['candidates']:,} candidates, {each['approved']:,} approved")
        for version in each["versions"]:
            print(f"  {version_line(version)}")
    return 0


def version_line(version: dict[str, Any]) -> str:
    """Return a version in one line."""
    created = datetime.fromtimestamp(version["created"], UTC)
    held = version["hold_out"]
    part = "" if held is None else f", {held['items']:,} held out in period {held['period']}"
    return (
        f"version {version['version']} of {created:%Y-%m-%d}: {version['items']:,} items{part},"
        f" digest {version['digest']}"
    )


def _show(arguments: argparse.Namespace) -> int:
    import msgspec

    from replay.sets import versions

    if arguments.candidates:
        items = versions.read_candidates(arguments.directory, arguments.name)
        if not items:
            raise UserError(f"{arguments.name}: has no candidates in {arguments.directory}")
        head: dict[str, Any] = {"name": arguments.name, "version": None, **counted(items)}
    else:
        found = versions.read_version(arguments.directory, arguments.name, arguments.version)
        items, head = found.items, described(found)
    if arguments.json:
        values = [{"id": item.id, **msgspec.to_builtins(item)} for item in items]
        return print_json(head | {"items": values})
    if arguments.candidates:
        print(f"{arguments.name}: {len(items):,} candidates")
    else:
        print(f"{arguments.name}: {version_line(head)}")
    for way in ("origins", "scorings", "slices"):
        print_line(f"  {way}: " + ", ".join(f"{name} {n:,}" for name, n in head[way].items()))
    for item in items:
        print_line(item_line(item))
    return 0


def item_line(item: Item) -> str:
    """Return an item in one line, with the beginning of its prompt."""
    from replay.sets.building.texts import prompt_text

    prompt = " ".join(prompt_text(item).split())
    preview = prompt[:PREVIEW_CHARS] + ("..." if len(prompt) > PREVIEW_CHARS else "")
    state = f"approved by {item.approved}" if item.approved else "not approved"
    return f"  {item.id} {item.provenance.origin} {item.scoring} ({state}): {preview}"
