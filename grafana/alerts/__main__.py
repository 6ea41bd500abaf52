"""`python -m grafana.alerts build|check`: Grafana's provisioning from the rules and routes."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from grafana.alerts import provisioning
from grafana.alerts.rules import ALERTMANAGER, GRAFANA, RULES, alertmanager, groups, moved
from grafana.links import RUNBOOKS

ROOT = Path(__file__).parents[2]


def files(runbooks: str = RUNBOOKS, grafana: str = GRAFANA) -> Mapping[str, str]:
    """Path within the repository -> what it has to hold, with links to these addresses."""
    text = moved(RULES.read_text(encoding="utf-8"), runbooks.rstrip("/") + "/", grafana)
    routes = alertmanager(ALERTMANAGER.read_text(encoding="utf-8"))
    return {
        "grafana/alerts/plumbline.rules.yaml": text,
        "grafana/provisioning/alerting/rules.yaml": provisioning.rules(groups(text)),
        "grafana/provisioning/alerting/policies.yaml": provisioning.policies(routes),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or say which ones are not what the rules make of them (exit 1)."""
    arguments = _parser().parse_args(argv)
    made = files(arguments.runbooks, arguments.grafana)
    if arguments.command == "build":
        _write(arguments.out, made)
        return 0
    stale = [path for path, text in made.items() if _read(arguments.out / path) != text]
    for path in stale:
        print(f"{path} is not what grafana/alerts makes of it: run make alerts", file=sys.stderr)
    return 1 if stale else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grafana.alerts", description=__doc__)
    parser.add_argument("command", choices=("build", "check"))
    for option, default, text in (
        ("--runbooks", RUNBOOKS, "where you publish docs/runbooks"),
        ("--grafana", GRAFANA, "where your Grafana is"),
    ):
        parser.add_argument(option, type=_address, default=default, metavar="URL", help=text)
    parser.add_argument(
        "--out", type=Path, default=ROOT, metavar="DIRECTORY", help="default: this checkout"
    )
    return parser


def _address(text: str) -> str:
    """An address that links can begin with, and that cannot break out of the file."""
    if not re.fullmatch(r"https?://[\w.:/~%-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as https://wiki.example/x")
    return text.rstrip("/")


def _write(folder: Path, made: Mapping[str, str]) -> None:
    for path, text in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
