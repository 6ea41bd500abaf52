"""The dashboards as JSON files: made, written, and compared with what lies in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import drift, fleet, plumbline
from grafana.links import RUNBOOKS
from monitor.errors import UserError

DASHBOARDS: Mapping[str, Callable[[], Dashboard]] = {
    "fleet.json": fleet.dashboard,
    "drift.json": drift.dashboard,
    "plumbline.json": plumbline.dashboard,
}
SHIPPED = Path(__file__).parent
"""The folder of the committed files."""
ABSENT = object()


def texts(runbooks: str = RUNBOOKS) -> dict[str, str]:
    """File name -> its JSON; `runbooks`: where the runbooks are published."""
    return {name: _text(make()).replace(RUNBOOKS, runbooks) for name, make in DASHBOARDS.items()}


def write(folder: Path, runbooks: str = RUNBOOKS) -> list[Path]:
    """Write all files into a folder, made if need be; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {folder / name: text for name, text in texts(runbooks).items()}
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return list(made)


def check(folder: Path, runbooks: str = RUNBOOKS) -> list[Path]:
    """Compare the files of a folder with what the code builds; their paths.

    Raises UserError at the first difference, naming its place.
    """
    made = texts(runbooks)
    for name, text in made.items():
        path = folder / name
        place = difference(_read(path), json.loads(text))
        if place:
            raise UserError(f"{path}: {place}; plumbline dashboards build {folder} writes it anew")
    return [folder / name for name in made]


def difference(found: Any, made: Any, place: str = "") -> str | None:
    """The first place where two JSON values differ, and how; None where they do not."""
    if isinstance(found, dict) and isinstance(made, dict):
        pairs = [(f"{place}.{k}", found.get(k, ABSENT), made.get(k, ABSENT)) for k in made | found]
    elif isinstance(found, list) and isinstance(made, list):
        both = zip_longest(found, made, fillvalue=ABSENT)
        pairs = [(f"{place}[{i}]", *pair) for i, pair in enumerate(both)]
    else:
        same = type(found) is type(made) and found == made
        return None if same else f"{place.lstrip('.')} {_differ(found, made)}"
    return next((each for pair in pairs if (each := difference(pair[1], pair[2], pair[0]))), None)


def _differ(found: object, made: object) -> str:
    if found is ABSENT:
        return "is missing"
    if made is ABSENT:
        return "is not built by the code"
    return f"is {_short(found)}, the code builds {_short(made)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; plumbline dashboards build writes it") from None
    except ValueError as error:
        raise UserError(f"{path}: is not JSON: {error}") from None


def _text(made: Dashboard) -> str:
    return json.dumps(made, cls=JSONEncoder, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
