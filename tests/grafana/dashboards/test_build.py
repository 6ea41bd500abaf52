"""The committed dashboards are what the code builds, and a difference is named by its place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import build, drift, fleet, plumbline
from grafana.dashboards.rows import detectors, processes
from monitor import metrics
from monitor.config import DetectorName
from monitor.errors import UserError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The dashboards, freshly written."""
    build.write(tmp_path / "new" / "folder")
    return tmp_path / "new" / "folder"


def change(path: Path, **keys: Any) -> None:
    """Give a dashboard's file other values."""
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_what_is_committed_is_what_is_built() -> None:
    """Nobody has edited a file by hand, or the code without building."""
    build.check(build.SHIPPED)
    assert {path.name for path in build.SHIPPED.glob("*.json")} == set(build.DASHBOARDS)


def test_building_is_repeatable(folder: Path) -> None:
    """The same code writes the same bytes, and they are those that come with Plumbline."""
    for name in build.DASHBOARDS:
        assert (folder / name).read_bytes() == (build.SHIPPED / name).read_bytes()
        assert build.texts()[name].encode() == (folder / name).read_bytes()


def test_check_takes_what_build_writes(folder: Path) -> None:
    """Its files pass, and are named."""
    assert build.check(folder) == [folder / name for name in build.DASHBOARDS]


@pytest.mark.parametrize(
    ("found", "made", "said"),
    [
        ({"a": 1}, {"a": 1}, None),
        ([{"a": [1, 2.5, None]}], [{"a": [1, 2.5, None]}], None),
        ({"a": 1}, {"a": 2}, "a is 1, the code builds 2"),
        ({"a": {"b": [0, "x"]}}, {"a": {"b": [0, "y"]}}, 'a.b[1] is "x", the code builds "y"'),
        ({}, {"a": 1}, "a is missing"),
        ({"a": 1}, {}, "a is not built by the code"),
        ([1, 2], [1], "[1] is not built by the code"),
        ([1], [1, 2], "[1] is missing"),
        ({"a": 1}, {"a": True}, "a is 1, the code builds true"),
        ({"a": None}, {}, "a is not built by the code"),
        ({"a": []}, {"a": {}}, "a is [], the code builds {}"),
    ],
)
def test_the_first_difference_is_named(found: Any, made: Any, said: str | None) -> None:
    """By its place in the JSON, with both values."""
    assert build.difference(found, made) == said


def test_long_values_are_cut() -> None:
    """An error stays one line that fits a terminal."""
    said = build.difference({"a": "x" * 5000}, {"a": "y" * 5000})
    assert said is not None
    assert len(said) < 250


def test_a_changed_file_is_refused(folder: Path) -> None:
    """The file, the place and the way out are named."""
    change(folder / "drift.json", editable=True)
    with pytest.raises(UserError) as refused:
        build.check(folder)
    assert str(refused.value) == (
        f"{folder / 'drift.json'}: editable is true, the code builds false;"
        f" plumbline dashboards build {folder} writes it anew"
    )


def test_a_file_that_is_missing_is_refused(folder: Path) -> None:
    """One dashboard less is a difference."""
    (folder / "fleet.json").unlink()
    with pytest.raises(UserError, match=r"fleet\.json: no such file; plumbline dashboards build"):
        build.check(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_a_file_that_is_no_json_is_refused(folder: Path, content: bytes) -> None:
    """Whatever it holds, in one sentence."""
    (folder / "fleet.json").write_bytes(content)
    with pytest.raises(UserError, match=r"fleet\.json: is not JSON: "):
        build.check(folder)


def test_the_address_of_the_runbooks_can_be_set(folder: Path) -> None:
    """Build writes it into every dashboard, check expects it, and the default is gone."""
    build.write(folder, "https://wiki.test/plumbline/")
    build.check(folder, "https://wiki.test/plumbline/")
    for name in build.DASHBOARDS:
        text = (folder / name).read_text()
        assert "https://wiki.test/plumbline" in text
        assert "plumbline.example" not in text
    with pytest.raises(UserError, match=r"wiki\.test"):
        build.check(folder)


@pytest.mark.parametrize("name", build.DASHBOARDS)
def test_grafanas_own_types_read_it(name: str) -> None:
    """The SDK reads a file back and finds every panel in it."""
    text = json.loads(build.texts()[name])
    read = Dashboard.from_json(text)
    assert len(read.panels or []) == len(text["panels"]) > 10


def test_uids_are_those_that_links_use() -> None:
    """A bookmark and a click lead to the same dashboard after every release."""
    made = {name: json.loads(text)["uid"] for name, text in build.texts().items()}
    assert made == {
        "fleet.json": fleet.UID,
        "drift.json": drift.UID,
        "plumbline.json": plumbline.UID,
    }
    assert f"/d/{drift.UID}?" in build.texts()["fleet.json"]


def test_what_is_known_of_the_daemon_is_true() -> None:
    """Detectors and bounds are named in both places, and imported in neither."""
    known = {*detectors.DETECTORS, *detectors.WITHOUT_THRESHOLD}
    assert known == set(get_args(DetectorName))
    assert processes.SERIES == metrics.MAX_SERIES


def test_a_wheel_has_the_dashboards(tmp_path: Path) -> None:
    """Who installs Plumbline has the files, and what builds them."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("monitor", "detectors", "grafana"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, timeout=120)
    [wheel] = tmp_path.glob("*.whl")
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {f"grafana/dashboards/{name}" for name in build.DASHBOARDS} <= files
    assert {"grafana/dashboards/build.py", "grafana/links.py", "grafana/py.typed"} <= files
