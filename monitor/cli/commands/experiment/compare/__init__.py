"""`plumbline experiment compare`: compare answers to the same prompts, from files or endpoints."""

from __future__ import annotations

import argparse
import json
from argparse import ArgumentTypeError
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import count, input_file, output_file, positive_number
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.cli.commands.experiment.compare.endpoints import Endpoint
    from monitor.config.schema import Config
    from monitor.experiments.compare.answers import Answers
    from monitor.experiments.compare.matching import Matched

MOST_FILES: Final = 20
_MAX_SYSTEM_CHARS: Final = 1_000_000


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "compare",
        _compare,
        "compare answers to the same prompts: of files, or of endpoints that are called; the first"
        " one is the control",
        "plumbline experiment compare a.jsonl b.jsonl --judge answer_quality",
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=input_file,
        metavar="ANSWERS.jsonl",
        help="records, or JSON objects with `prompt` and `response`; two files or more",
    )
    parser.add_argument(
        "--match",
        choices=["auto", "request_id", "prompt"],
        default="auto",
        help="what identifies answers to the same prompt (default: the request id, if the files"
        " have common ones with equal prompts; otherwise the prompt)",
    )
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME[:lower]",
        help="feature to compare, such as latency_ms or score.NAME; `:lower` or `:higher` states"
        " which values are better; repeatable. The first one is the goal (default: all features"
        " that all files have)",
    )
    parser.add_argument(
        "--alpha", type=_share, default=0.05, help="probability of a false verdict (default: 0.05)"
    )
    parser.add_argument(
        "--mde",
        type=_share,
        default=0.05,
        help="smallest effect that matters: relative, or in points of a rate (default: 0.05)",
    )
    parser.add_argument(
        "--report", type=output_file, metavar="FILE", help="write the report as JSON"
    )
    _add_judge(parser)
    _add_endpoints(parser)
    add_config(parser)
    add_json(parser)


def _add_judge(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("judge", "compare pairs of answers by an LLM judge")
    group.add_argument(
        "--judge", metavar="RUBRIC", help="shipped rubric, or path of a YAML file; in both orders"
    )
    group.add_argument(
        "--judge-model", metavar="NAME", help="model that judges (default: judges.model)"
    )
    group.add_argument(
        "--journal",
        type=output_file,
        metavar="FILE",
        help="keep paid results here; the same command resumes (default: beside the report, with"
        " the suffix .journal)",
    )
    group.add_argument("--yes", action="store_true", help="start judging without asking")


def _add_endpoints(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "endpoints",
        "call OpenAI-compatible endpoints instead of reading files of answers; the key of an"
        " endpoint is in PLUMBLINE_ENDPOINT_KEY_NAME",
    )
    group.add_argument(
        "--prompts",
        type=input_file,
        metavar="FILE",
        help="JSON objects with `prompt`, a text or chat messages; records are possible",
    )
    group.add_argument(
        "--endpoint",
        action="append",
        default=[],
        type=_endpoint,
        metavar="NAME=URL#MODEL",
        help="such as a=http://127.0.0.1:8000/v1#llama-3.1-8b; twice or more",
    )
    group.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="system message of an endpoint, a text file; compares two prompts of one model",
    )
    group.add_argument(
        "--save", type=Path, metavar="DIR", help="keep the answers here as DIR/NAME.jsonl"
    )
    group.add_argument("--concurrency", type=count, default=4, help="prompts at a time (4)")
    group.add_argument("--max-tokens", type=count, default=1024, help="of an answer (1024)")
    group.add_argument("--temperature", type=_temperature, help="(default: that of the endpoint)")
    group.add_argument(
        "--timeout", type=positive_number, default=120.0, help="seconds of a call (120)"
    )
    group.add_argument("--retries", type=_number, default=2, help="of a call that failed (2)")
    group.add_argument("--seed", type=_number, default=0, help="of the order of the endpoints (0)")


def _share(text: str) -> float:
    value = positive_number(text)
    if value >= 1:
        raise ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def _number(text: str) -> int:
    return 0 if text == "0" else count(text)


def _temperature(text: str) -> float:
    return 0.0 if text in {"0", "0.0"} else positive_number(text)


def _endpoint(text: str) -> Endpoint:
    from monitor.cli.commands.experiment.compare.endpoints import parse_endpoint

    try:
        return parse_endpoint(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _compare(arguments: argparse.Namespace) -> int:
    from monitor.cli.commands.experiment.compare.printing import print_report
    from monitor.experiments.compare.comparison import Criteria, compare, rate
    from monitor.experiments.compare.matching import Match, match
    from monitor.experiments.compare.metrics import metric_of, metrics_of
    from monitor.experiments.compare.report import report

    try:
        wanted = [metric_of(text) for text in arguments.metric]
    except ValueError as error:
        raise UserError(f"--metric {error}") from None
    config = load_config(arguments, secrets=arguments.judge is not None)
    criteria = Criteria(arguments.alpha, arguments.mde)
    with ExitStack() as stack:
        files = _answers(arguments, config, stack)
    matched = match(files, Match(arguments.match))
    metrics = metrics_of(files, wanted)
    preferences, judge = _judged(arguments, config, files, matched)
    variants = compare(files, matched, metrics, criteria, preferences)
    scores = [each for each in metrics if each.name.startswith(("score.", "feedback"))]
    goal = next(iter(wanted or scores), None)
    ratings = rate(files, matched, goal, criteria, preferences)
    found = report(files, matched, criteria, variants, ratings) | {"judge": judge}
    if arguments.report:
        arguments.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if arguments.json:
        return print_json(found)
    print_report(found)
    return 0


def _judged(
    arguments: argparse.Namespace, config: Config, files: list[Answers], matched: Matched
) -> tuple[tuple[str, Any] | None, dict[str, Any] | None]:
    """Return the preferences of the judge with the name of their metric, and its part of the
    report; None without a judge."""
    if arguments.judge is None:
        return None, None
    from monitor.cli.commands.experiment.compare.judging import PairJudge
    from monitor.cli.commands.judge.journal import Journal, beside, today

    journal = Journal(arguments.journal or beside(arguments.report), today)
    judge = PairJudge(config, arguments.judge, arguments.judge_model, journal)
    with journal.open():
        preferences, part = judge.judge(files, matched, yes=arguments.yes)
    return (f"judge.{judge.rubric.name}", preferences), part


def _answers(arguments: argparse.Namespace, config: Config, stack: ExitStack) -> list[Answers]:
    """Return the answers of the files, or of the endpoints."""
    from monitor.experiments.compare.answers import read_answers

    if not arguments.endpoint:
        for option, value in (("--prompts", arguments.prompts), ("--save", arguments.save)):
            if value is not None:
                raise UserError(f"{option} needs --endpoint NAME=URL#MODEL, twice or more")
        if len(arguments.files) < 2:
            raise UserError("give two files of answers or more, or --prompts and --endpoint")
        paths = arguments.files
    else:
        if arguments.files:
            raise UserError("give files of answers, or endpoints, not both")
        paths = _called(arguments, config, stack)
    if len(paths) > MOST_FILES:
        raise UserError(f"at most {MOST_FILES} files or endpoints can be compared")
    names = _names(paths)
    return [read_answers(path, name, config) for path, name in zip(paths, names, strict=True)]


def _names(paths: list[Path]) -> list[str]:
    """Return a name for each file: its own without suffixes, or its path if that is not unique."""
    names = [path.name.split(".")[0] or path.name for path in paths]
    if len(set(names)) < len(names):
        names = list(map(str, paths))
    if len(set(names)) < len(names):
        raise UserError("a file is given twice")
    return [name[-100:] for name in names]


def _called(arguments: argparse.Namespace, config: Config, stack: ExitStack) -> list[Path]:
    """Call the endpoints, and return the files of their answers."""
    from monitor.cli.commands.experiment.compare.calling import call_endpoints, with_systems
    from monitor.cli.commands.experiment.compare.endpoints import CallLimits, check_endpoints
    from monitor.experiments.compare.answers import read_answers
    from monitor.roles import judge_setup

    check_endpoints(arguments.endpoint)
    if arguments.prompts is None:
        raise UserError("--endpoint needs --prompts FILE")
    endpoints = with_systems(arguments.endpoint, dict(map(_system, arguments.system)))
    prompts = read_answers(arguments.prompts, "prompts", config)
    limits = CallLimits(
        arguments.max_tokens,
        arguments.temperature,
        arguments.timeout,
        arguments.retries,
        arguments.concurrency,
    )
    if arguments.save is None:
        folder = Path(stack.enter_context(TemporaryDirectory()))
    else:
        folder = arguments.save
        folder.mkdir(parents=True, exist_ok=True)
    prices = judge_setup.model_prices(config.judges)
    return call_endpoints(endpoints, prompts, limits, prices, folder, arguments.seed)


def _system(text: str) -> tuple[str, str]:
    """Return the name and the text of NAME=FILE."""
    name, equals, path = text.partition("=")
    if not equals:
        raise UserError("--system: must be NAME=FILE")
    content = Path(path).read_text(encoding="utf-8", errors="replace")
    if len(content) > _MAX_SYSTEM_CHARS:
        raise UserError(f"{path}: has more than {_MAX_SYSTEM_CHARS:,} characters")
    return name, content
