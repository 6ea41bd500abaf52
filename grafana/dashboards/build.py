"""Build the JSON files of the dashboards, and compare them with the files of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import drift, experiments, fleet, judged, plumbline, replay, review
from grafana.dashboards.elements import frame
from grafana.links import RUNBOOKS
from monitor.errors import UserError

DASHBOARDS: Mapping[str, Callable[[], Dashboard]] = {
    "fleet.json": fleet.dashboard,
    "drift.json": drift.dashboard,
    "judged.json": judged.dashboard,
    "experiments.json": experiments.dashboard,
    "replay.json": replay.dashboard,
    "review.json": review.dashboard,
    "plumbline.json": plumbline.dashboard,
}
PAGES: Mapping[str, tuple[str, str]] = {
    "fleet.json": ("Overview of all models", ""),
    "drift.json": ("Page of this model", "models?name=${model:percentencode}"),
    "judged.json": ("Review queues", "queues"),
    "experiments.json": ("Cards of the experiments", "experiments"),
    "replay.json": ("Results of the runs", "results"),
    "review.json": ("Review queues", "queues"),
}
"""Title and path of the page of the web application that each dashboard links to."""
SHIPPED = Path(__file__).parent
"""Folder of the committed files."""
ABSENT = object()


def texts(runbooks: str = RUNBOOKS, pages: str | None = None) -> dict[str, str]:
    """Return the JSON of each dashboard by file name.

    runbooks: base URL of the runbooks. pages: of the web application; None: no links to its pages.
    """
    return {name: _json(_linked(name, pages)).replace(RUNBOOKS, runbooks) for name in DASHBOARDS}


def _linked(name: str, pages: str | None) -> Dashboard:
    """Return a dashboard with a link to its page of the web application."""
    dashboard = DASHBOARDS[name]()
    if pages is not None and name in PAGES:
        title, path = PAGES[name]
        link = frame.to_page(title, f"{pages}{path}").build()
        dashboard.links = [*(dashboard.links or ()), link]
    return dashboard


def write(folder: Path, runbooks: str = RUNBOOKS, pages: str | None = None) -> list[Path]:
    """Write all dashboards to a folder, which is created if missing. Return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / name: text for name, text in texts(runbooks, pages).items()}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def check(folder: Path, runbooks: str = RUNBOOKS, pages: str | None = None) -> list[Path]:
    """Compare the files of a folder with the dashboards that the code builds. Return their paths.

    Raises UserError with the location of the first difference.
    """
    expected = texts(runbooks, pages)
    for name, text in expected.items():
        path = folder / name
        found = difference(_read(path), json.loads(text))
        if found:
            raise UserError(f"{path}: {found}; run plumbline dashboards build {folder}")
    return [folder / name for name in expected]


def difference(found: Any, expected: Any, at: str = "") -> str | None:
    """Describe the first difference between two JSON values; return None if they are equal.

    at: location of the values within the document.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = expected | found
        pairs = [(f"{at}.{k}", found.get(k, ABSENT), expected.get(k, ABSENT)) for k in keys]
    elif isinstance(found, list) and isinstance(expected, list):
        both = zip_longest(found, expected, fillvalue=ABSENT)
        pairs = [(f"{at}[{i}]", *pair) for i, pair in enumerate(both)]
    else:
        same = type(found) is type(expected) and found == expected
        return None if same else f"{at.lstrip('.')} {_describe(found, expected)}"
    return next((each for pair in pairs if (each := difference(pair[1], pair[2], pair[0]))), None)


def _describe(found: object, expected: object) -> str:
    if found is ABSENT:
        return "is missing"
    if expected is ABSENT:
        return "is unexpected"
    return f"is {_short(found)}, expected {_short(expected)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        command = f"plumbline dashboards build {path.parent}"
        raise UserError(f"{path}: no such file; run {command}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None


def _json(dashboard: Dashboard) -> str:
    text = json.dumps(dashboard, cls=JSONEncoder, indent=2, ensure_ascii=False, sort_keys=True)
    return text + "\n"
