"""`plumbline evalset build`: add candidates to a set, from traffic, files and language models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import count, input_file, moment, positive_number
from monitor.cli.commands.replay.evalset.listing import add_directory, add_name, print_line
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.cli.commands.replay.evalset.sources import Gathered
    from monitor.config.schema import Config
    from replay.sets.building.candidates import Candidates
    from replay.sets.item import Item

SUITES: Final = ("over_refusal", "harmful", "paraphrases", "constraints")
SCORINGS: Final = ("exact_match", "token_f1", "rouge_1", "rouge_2", "rouge_l", "bleu", "judge")
VARIANTS: Final = ("typos", "distractor", "injection", "rephrase")
DIFFICULTIES: Final = ("easy", "medium", "hard")


def add(group: Any) -> None:
    """Add the command."""
    parser = add_command(
        group,
        "build",
        _build,
        "add candidates to a set: redacted, without duplicates, for a person to approve",
        "plumbline evalset build support --samples logs.jsonl --evaluations judged.jsonl",
    )
    add_name(parser)
    _add_traffic(parser)
    _add_files(parser)
    _add_generation(parser)
    choice = parser.add_argument_group("choice")
    choice.add_argument(
        "--scoring", choices=SCORINGS, metavar="S", help="scoring of items with a target"
    )
    choice.add_argument("--limit", type=count, metavar="N", help="add at most N candidates")
    choice.add_argument(
        "--by", metavar="DIMENSION", default="", help="with --limit: evenly over this slice"
    )
    add_directory(parser)
    add_config(parser)
    add_json(parser)


def _add_traffic(parser: argparse.ArgumentParser) -> None:
    """Add the options of traffic."""
    group = parser.add_argument_group("traffic")
    group.add_argument(
        "--samples",
        action="append",
        default=[],
        type=input_file,
        metavar="FILE",
        help="records of a file; repeatable",
    )
    group.add_argument(
        "--topic", action="store_true", help="samples of the samples topic, which has three days"
    )
    group.add_argument("--since", type=moment, metavar="TIME", help="first time of the records")
    group.add_argument("--until", type=moment, metavar="TIME", help="last time of the records")
    group.add_argument("--model", metavar="NAME", help="records of this model only")
    group.add_argument(
        "--window",
        choices=("reference", "drifted"),
        default="",
        help="part of the traffic, for the provenance",
    )
    group.add_argument(
        "--evaluations",
        action="append",
        default=[],
        type=input_file,
        metavar="FILE",
        help="evaluations by judges and people, as in the evaluations topic; repeatable",
    )
    group.add_argument("--judged", action="store_true", help="evaluations of the evaluations topic")
    group.add_argument(
        "--slice",
        action="append",
        default=[],
        metavar="NAME=KEY",
        help="slice by a key of the metadata, such as topic=intent; repeatable",
    )
    group.add_argument(
        "--open",
        action="store_true",
        help="also records without an accepted answer, which a judge scores",
    )
    group.add_argument(
        "--known-failures",
        action="store_true",
        help="add disliked answers only, with an entry in the backlog",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options of files and shipped suites."""
    group = parser.add_argument_group("files")
    for name, text in (
        ("--file", "prompts with targets: JSON lines, CSV or TSV; repeatable"),
        ("--pairs", "questions with answers and contexts, for RAG; repeatable"),
    ):
        group.add_argument(
            name, action="append", default=[], type=input_file, metavar="FILE", help=text
        )
    group.add_argument(
        "--behaviour",
        action="append",
        default=[],
        choices=SUITES,
        metavar="SUITE",
        help=f"a shipped suite: {', '.join(SUITES)}; repeatable",
    )


def _add_generation(parser: argparse.ArgumentParser) -> None:
    """Add the options of generation."""
    group = parser.add_argument_group("generation by the judge's model, within its budget")
    group.add_argument(
        "--generate",
        action="append",
        default=[],
        metavar="DOMAIN",
        help="write questions about a domain, their answers checked by a second call; repeatable",
    )
    group.add_argument(
        "--difficulty",
        action="append",
        choices=DIFFICULTIES,
        metavar="D",
        help=f"{', '.join(DIFFICULTIES)}; repeatable (default: all)",
    )
    group.add_argument(
        "--count",
        type=count,
        default=10,
        metavar="N",
        help="questions of each domain and difficulty (default: 10)",
    )
    group.add_argument(
        "--variant",
        action="append",
        default=[],
        choices=VARIANTS,
        metavar="KIND",
        help="adversarial variants of the set's candidates with a target:"
        f" {', '.join(VARIANTS)} (rephrase asks the model); repeatable",
    )
    group.add_argument("--writer", metavar="NAME", help="model (default: judges.model)")
    group.add_argument("--yes", action="store_true", help="spend money without asking")
    group.add_argument(
        "--similar",
        type=positive_number,
        default=0.8,
        metavar="J",
        help="similarity from which two items are duplicates, 0 to 1 (default: 0.8)",
    )


def _build(arguments: argparse.Namespace) -> int:
    from monitor.cli.commands.replay.evalset.sources import gather, redact_function
    from replay.sets import versions
    from replay.sets.building.candidates import build_candidates, with_parent_clusters
    from replay.sets.building.selection import select

    _check(arguments)
    config: Config = load_config(arguments, secrets=_needs_secrets(arguments))
    directory, name = arguments.directory, arguments.name
    with versions.editing(directory, name):
        known = versions.read_candidates(directory, name)
        rejected = versions.read_rejected(directory, name)
        gathered = gather(arguments, config, known)
        built = build_candidates(
            gathered.items, known, redact=redact_function(config), similar=arguments.similar
        )
        new = tuple(item for item in built.items if item.id not in rejected)
        if arguments.limit is not None:
            new = select(new, arguments.limit, by=arguments.by)
        candidates = with_parent_clusters((*known, *new))
        if new:
            versions.write_candidates(directory, name, candidates)
        if arguments.known_failures:
            _add_failures(arguments, new)
    report = _report(arguments, gathered, built, (candidates, new))
    if arguments.json:
        return print_json(report)
    _print(report)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise UserError if the options do not go together."""
    sources = ("samples", "topic", "file", "pairs", "behaviour", "generate", "variant")
    if not any(getattr(arguments, name) for name in sources):
        raise UserError(f"nothing to build from; give --{', --'.join(sources)}")
    since, until = arguments.since, arguments.until
    if since is not None and until is not None and since >= until:
        raise UserError("--since is not before --until")
    if arguments.by and arguments.limit is None:
        raise UserError("--by needs --limit N")
    if arguments.known_failures and not (arguments.samples or arguments.topic):
        raise UserError("--known-failures needs traffic: --samples FILE or --topic")


def _needs_secrets(arguments: argparse.Namespace) -> bool:
    """Return whether Kafka or the provider of the model is needed."""
    asks = bool(arguments.generate) or "rephrase" in arguments.variant
    return bool(arguments.topic or arguments.judged or asks)


def _add_failures(arguments: argparse.Namespace, new: tuple[Item, ...]) -> None:
    """Add the new items to the backlog of the set."""
    from monitor.cli.commands.replay.evalset.failures import path_of
    from replay.sets.measures.backlog import Failure, read_backlog, with_failures, write_backlog

    path = path_of(arguments)
    found = [
        Failure(
            item=item.id,
            cause=item.slices["cause"],
            first_seen=item.provenance.time or 0.0,
            last_seen=item.provenance.time or 0.0,
        )
        for item in new
        if item.provenance.origin == "failure"
    ]
    write_backlog(path, with_failures(read_backlog(path), found))


def _report(
    arguments: argparse.Namespace,
    gathered: Gathered,
    built: Candidates,
    items: tuple[tuple[Item, ...], tuple[Item, ...]],
) -> dict[str, Any]:
    """Return the report. items: all candidates, and the new ones of them."""
    candidates, new = items
    return {
        "name": arguments.name,
        "added": len(new),
        "candidates": len(candidates),
        "approved": sum(bool(item.approved) for item in candidates),
        "not_chosen": len(built.items) - len(new),
        "duplicates": [
            {"item": each.item.id, "of": each.kept, "similarity": round(each.similarity, 4)}
            for each in built.duplicates
        ],
        "redacted": built.redacted,
        "damaged": list(built.damaged),
        "skipped": gathered.skipped,
        "stopped": gathered.stopped or None,
        "cost_usd": gathered.cost_usd,
    }


def _print(report: dict[str, Any]) -> None:
    """Print what was added, and what was not and why."""
    print(
        f"{report['name']}: {report['added']:,} candidates added; {report['candidates']:,}"
        f" candidates, {report['approved']:,} approved"
    )
    parts = {
        "duplicates": len(report["duplicates"]),
        "rejected, or beyond --limit": report["not_chosen"],
        "damaged by redaction": len(report["damaged"]),
        **report["skipped"],
    }
    left_out = ", ".join(f"{name} {number:,}" for name, number in parts.items() if number)
    if left_out:
        print_line(f"  left out: {left_out}")
    if report["redacted"]:
        places = ", ".join(f"{kind} {number:,}" for kind, number in report["redacted"].items())
        print_line(f"  redacted: {places}")
    if report["cost_usd"]:
        print(f"  cost: ${report['cost_usd']:.4f}")
    if report["stopped"]:
        print_line(f"  generation ended early: {report['stopped']}")
