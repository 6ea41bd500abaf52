"""Generate Grafana's provisioning from rules and routes: `python -m grafana.alerts build|check`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from grafana.alerts import provisioning
from grafana.alerts.rules import ALERTMANAGER, GRAFANA, RULES, alertmanager, groups, with_links
from grafana.links import RUNBOOKS

ROOT = Path(__file__).parents[2]


def outputs(runbooks: str = RUNBOOKS, grafana: str = GRAFANA) -> Mapping[str, str]:
    """Return the generated files as path in the repository -> text, with links to these URLs."""
    text = with_links(RULES.read_text(encoding="utf-8"), runbooks.rstrip("/") + "/", grafana)
    routes = alertmanager(ALERTMANAGER.read_text(encoding="utf-8"))
    return {
        "grafana/alerts/plumbline.rules.yaml": text,
        "grafana/provisioning/alerting/rules.yaml": provisioning.rules(groups(text)),
        "grafana/provisioning/alerting/policies.yaml": provisioning.policies(routes),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or list those that are out of date and return 1."""
    arguments = _parser().parse_args(argv)
    expected = outputs(arguments.runbooks, arguments.grafana)
    if arguments.command == "build":
        _write(arguments.out, expected)
        return 0
    stale = [path for path, text in expected.items() if _read(arguments.out / path) != text]
    for path in stale:
        print(f"{path} is out of date with grafana/alerts: run make alerts", file=sys.stderr)
    return 1 if stale else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grafana.alerts", description=__doc__)
    parser.add_argument("command", choices=("build", "check"))
    for option, default, text in (
        ("--runbooks", RUNBOOKS, "URL at which you publish docs/runbooks"),
        ("--grafana", GRAFANA, "URL of your Grafana"),
    ):
        parser.add_argument(option, type=_url, default=default, metavar="URL", help=text)
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT,
        metavar="DIRECTORY",
        help="directory to write to or check (default: this checkout)",
    )
    return parser


def _url(text: str) -> str:
    """Return a base URL for links. Its characters need no escaping in YAML."""
    if not re.fullmatch(r"https?://[\w.:/~%-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as https://wiki.example/x")
    return text.rstrip("/")


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
