"""`plumbline evalset check`: sizes, duplicates, approval, doubtful items and contamination."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import input_file
from monitor.cli.commands.replay.evalset.listing import (
    add_directory,
    add_name,
    add_version,
    described,
    print_line,
    version_line,
)
from monitor.cli.options import add_command, add_json, print_json

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from replay.sets.contamination.report import ContaminationReport
    from replay.sets.item_set import ItemSet

SIMILAR: Final = 0.6
"""Similarity from which items of a version are reported."""
SMALL_SLICE: Final = 30
"""Items of a slice below which its results say little."""
MAX_SHOWN: Final = 10


def add(group: Any) -> None:
    """Add the command."""
    parser = add_command(
        group,
        "check",
        _check,
        "check a version: what drop its size can show, similar items, doubtful items by past runs,"
        " contamination of training files. Exit status 1 if items are contaminated",
        "plumbline evalset check support --against train.jsonl --against few_shot.jsonl",
    )
    add_name(parser)
    add_version(parser)
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        type=input_file,
        metavar="FILE",
        help="training or few-shot file: JSON lines, CSV, TSV or text, also gzipped; repeatable",
    )
    parser.add_argument(
        "--embeddings",
        action="store_true",
        help="with --against: compare embeddings as well, of up to 5,000 documents, for review",
    )
    parser.add_argument(
        "--scores",
        action="append",
        default=[],
        type=input_file,
        metavar="FILE",
        help="scores of a past run, for difficulty and discrimination; repeatable, one a model",
    )
    add_directory(parser)
    add_json(parser)


def _check(arguments: argparse.Namespace) -> int:
    import msgspec

    from replay.sets import versions

    item_set = versions.read_version(arguments.directory, arguments.name, arguments.version)
    contamination = _contamination(arguments, item_set)
    report = described(item_set) | {
        "independent": _independent(item_set),
        "detectable_drop": _sizes(_independent(item_set)),
        "small_slices": _small_slices(item_set),
        "similar": _similar(item_set),
        "candidates": _candidates(arguments),
        "statistics": _statistics(arguments, item_set),
        "contamination": None if contamination is None else msgspec.to_builtins(contamination),
    }
    if arguments.json:
        print_json(report)
    else:
        _print(report)
        _print_contamination(contamination)
    return int(contamination is not None and bool(contamination.contaminated))


def _independent(item_set: ItemSet) -> int:
    """Return the number of items, those of a cluster counted once."""
    return len({item.cluster or item.id for item in item_set.items})


def _sizes(count: int) -> dict[str, float | None]:
    """Return the smallest drop that a number of items shows, by correlation."""
    from replay.sets.measures.sizes import CORRELATIONS, detectable_drop

    return {str(each): detectable_drop(count, each) for each in CORRELATIONS}


def _small_slices(item_set: ItemSet) -> dict[str, int]:
    slices: dict[str, int] = described(item_set)["slices"]
    return {name: number for name, number in slices.items() if number < SMALL_SLICE}


def _similar(item_set: ItemSet) -> list[dict[str, Any]]:
    """Return the items that are similar to another one, although they were no duplicates."""
    from replay.sets.building.duplicates import without_duplicates

    dropped = without_duplicates(item_set.items, similar=SIMILAR).dropped
    return [
        {"item": each.item.id, "of": each.kept, "similarity": round(each.similarity, 4)}
        for each in dropped
    ]


def _candidates(arguments: argparse.Namespace) -> dict[str, int]:
    """Return the number of candidates, and of those that a person has approved."""
    from replay.sets import versions

    found = versions.read_candidates(arguments.directory, arguments.name)
    return {"all": len(found), "approved": sum(bool(item.approved) for item in found)}


def _statistics(arguments: argparse.Namespace, item_set: ItemSet) -> list[dict[str, Any]] | None:
    """Return difficulty and discrimination of the items from past runs; None without runs."""
    import msgspec

    from monitor.cli.commands.replay.evalset.scores import read_run
    from replay.sets.measures.difficulty import item_statistics

    if not arguments.scores:
        return None
    runs = [read_run(path) for path in arguments.scores]
    found = item_statistics([item.id for item in item_set.items], runs)
    return [msgspec.to_builtins(each) | {"doubtful": each.doubtful} for each in found]


def _contamination(arguments: argparse.Namespace, item_set: ItemSet) -> ContaminationReport | None:
    """Return which items are in the files; None without files."""
    from replay.sets.contamination.check import Search
    from replay.sets.contamination.corpus import documents
    from replay.sets.contamination.report import report_of

    if not arguments.against:
        return None
    embed = None
    if arguments.embeddings:
        from judges.ragas.embedding import installed_embedder

        embed = installed_embedder().embed
    search = Search(item_set.items, embed)
    for path in arguments.against:
        search.read(documents(path))
    return report_of(item_set, [str(path) for path in arguments.against], search)


def _print(report: dict[str, Any]) -> None:
    """Print all but the contamination."""
    print(f"{report['name']}: {version_line(report)}")
    drops = ", ".join(
        f"{'none' if drop is None else f'{drop:.1%}'} at correlation {correlation}"
        for correlation, drop in report["detectable_drop"].items()
    )
    print(
        f"  {report['independent']:,} independent items show this drop from 80 % (power 80 %,"
        f" one-sided 5 %): {drops}"
    )
    if report["small_slices"]:
        found = ", ".join(f"{name} {number:,}" for name, number in report["small_slices"].items())
        print_line(f"  slices below {SMALL_SLICE} items: {found}")
    waiting = report["candidates"]["all"] - report["candidates"]["approved"]
    if waiting:
        print(f"  {waiting:,} candidates wait for approval")
    print(f"  {len(report['similar']):,} items are similar to another one")
    for each in report["similar"][:MAX_SHOWN]:
        print(f"    {each['item']} to {each['of']} ({each['similarity']:.2f})")
    _print_statistics(report["statistics"])


def _print_statistics(statistics: list[dict[str, Any]] | None) -> None:
    """Print which items past runs call into question."""
    if statistics is None:
        return
    scored = [each for each in statistics if each["mean"] is not None]
    known = [each for each in scored if each["discrimination"] is not None]
    doubtful = [each for each in known if each["doubtful"]]
    always = sum(each["mean"] == 1 for each in scored)
    never = sum(each["mean"] == 0 for each in scored)
    print(
        f"  past runs: {len(scored):,} items scored, {always:,} always right, {never:,} never;"
        f" discrimination known of {len(known):,}, negative of {len(doubtful):,}: review these"
    )
    for each in sorted(doubtful, key=lambda each: float(each["discrimination"]))[:MAX_SHOWN]:
        print(f"    {each['item']} mean {each['mean']:.2f}, {each['discrimination']:.2f}")


def _print_contamination(report: ContaminationReport | None) -> None:
    from replay.sets.contamination.report import report_lines

    if report is not None:
        for line in report_lines(report):
            print_line(f"  {line}")
