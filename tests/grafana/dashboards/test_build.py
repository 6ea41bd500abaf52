"""Tests that the committed dashboards are up to date, and that `check` locates differences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import build, drift, experiments, fleet, judged, plumbline, replay, review
from grafana.dashboards.rows import detectors
from grafana.dashboards.rows.daemon import processes
from monitor.config.sections.detection import DetectorName
from monitor.errors import UserError
from monitor.telemetry import exporter
from tests.monitor.web.clients import routes

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with newly built dashboards."""
    build.write(tmp_path / "new" / "folder")
    return tmp_path / "new" / "folder"


def change(path: Path, **keys: Any) -> None:
    """Change values in a dashboard's file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_committed_files_are_up_to_date() -> None:
    """The committed files equal the output of the code."""
    build.check(build.SHIPPED)
    assert {path.name for path in build.SHIPPED.glob("*.json")} == set(build.DASHBOARDS)


def test_building_is_repeatable(folder: Path) -> None:
    """Repeated builds write the same bytes, which equal the committed files."""
    for name in build.DASHBOARDS:
        assert (folder / name).read_bytes() == (build.SHIPPED / name).read_bytes()
        assert build.texts()[name].encode() == (folder / name).read_bytes()


def test_check_accepts_the_output_of_build(folder: Path) -> None:
    """`check` returns the paths of the files."""
    assert build.check(folder) == [folder / name for name in build.DASHBOARDS]


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        ({"a": 1}, {"a": 1}, None),
        ([{"a": [1, 2.5, None]}], [{"a": [1, 2.5, None]}], None),
        ({"a": 1}, {"a": 2}, "a is 1, expected 2"),
        ({"a": {"b": [0, "x"]}}, {"a": {"b": [0, "y"]}}, 'a.b[1] is "x", expected "y"'),
        ({}, {"a": 1}, "a is missing"),
        ({"a": 1}, {}, "a is unexpected"),
        ([1, 2], [1], "[1] is unexpected"),
        ([1], [1, 2], "[1] is missing"),
        ({"a": 1}, {"a": True}, "a is 1, expected true"),
        ({"a": None}, {}, "a is unexpected"),
        ({"a": []}, {"a": {}}, "a is [], expected {}"),
    ],
)
def test_the_first_difference_is_described(found: Any, expected: Any, message: str | None) -> None:
    """The description contains the location in the JSON and both values."""
    assert build.difference(found, expected) == message


def test_long_values_are_truncated() -> None:
    """The description of a difference stays short."""
    message = build.difference({"a": "x" * 5000}, {"a": "y" * 5000})
    assert message is not None
    assert len(message) < 250


def test_a_changed_file_is_an_error(folder: Path) -> None:
    """The error contains the file, the location and the command that fixes it."""
    change(folder / "drift.json", editable=True)
    with pytest.raises(UserError) as raised:
        build.check(folder)
    assert str(raised.value) == (
        f"{folder / 'drift.json'}: editable is true, expected false;"
        f" run plumbline dashboards build {folder}"
    )


def test_a_missing_file_is_an_error(folder: Path) -> None:
    """The error contains the command that writes the file."""
    (folder / "fleet.json").unlink()
    message = r"fleet\.json: no such file; run plumbline dashboards build"
    with pytest.raises(UserError, match=message):
        build.check(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_invalid_json_is_an_error(folder: Path, content: bytes) -> None:
    """Any content that is not JSON causes the same error."""
    (folder / "fleet.json").write_bytes(content)
    with pytest.raises(UserError, match=r"fleet\.json: not valid JSON: "):
        build.check(folder)


def test_the_url_of_the_runbooks_can_be_set(folder: Path) -> None:
    """`build` replaces the placeholder in every dashboard, and `check` expects the new URL."""
    build.write(folder, "https://wiki.test/plumbline/")
    build.check(folder, "https://wiki.test/plumbline/")
    for name in build.DASHBOARDS:
        text = (folder / name).read_text()
        assert "https://wiki.test/plumbline" in text
        assert "plumbline.example" not in text
    with pytest.raises(UserError, match=r"wiki\.test"):
        build.check(folder)


def test_dashboards_link_to_the_pages_of_the_web_application(folder: Path) -> None:
    """With an address each dashboard has one more link, to a page that is served."""
    pages = "https://plumbline.test/"
    build.write(folder, pages=pages)
    build.check(folder, pages=pages)
    plain = build.texts()
    for name, (_, path) in build.PAGES.items():
        found = json.loads((folder / name).read_text())["links"]
        before = json.loads(plain[name]).get("links", [])
        assert [each["url"] for each in found[len(before) :]] == [pages + path]
        assert f"/{path.partition('?')[0]}" in {
            route.path for route in routes().routes if isinstance(route, APIRoute)
        }


@pytest.mark.parametrize("name", build.DASHBOARDS)
def test_the_sdk_can_parse_the_output(name: str) -> None:
    """The Grafana SDK parses each file and finds all panels."""
    text = json.loads(build.texts()[name])
    read = Dashboard.from_json(text)
    assert len(read.panels or []) == len(text["panels"]) > 10


def test_uids_are_stable() -> None:
    """The UIDs are constants, so that bookmarks and links stay valid."""
    uids = {name: json.loads(text)["uid"] for name, text in build.texts().items()}
    assert uids == {
        "fleet.json": fleet.UID,
        "drift.json": drift.UID,
        "judged.json": judged.UID,
        "experiments.json": experiments.UID,
        "replay.json": replay.UID,
        "review.json": review.UID,
        "plumbline.json": plumbline.UID,
    }
    assert f"/d/{drift.UID}?" in build.texts()["fleet.json"]
    assert f"/d/{drift.UID}?" in build.texts()["judged.json"]


def test_constants_equal_those_of_the_daemon() -> None:
    """Detector names and limits that the dashboards repeat equal those of the daemon."""
    known = {*detectors.DETECTORS, *detectors.WITHOUT_THRESHOLD}
    assert known == set(get_args(DetectorName))
    assert processes.SERIES == exporter.MAX_SERIES


def test_the_wheel_contains_the_dashboards(tmp_path: Path) -> None:
    """The wheel contains the JSON files and the code that builds them."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("monitor", "detectors", "grafana"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    # without a compiler the extensions are left out: compiling them takes most of the time
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "CC": "false"})
    [wheel] = tmp_path.glob("*.whl")
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {f"grafana/dashboards/{name}" for name in build.DASHBOARDS} <= files
    assert {"grafana/dashboards/build.py", "grafana/links.py", "grafana/py.typed"} <= files
