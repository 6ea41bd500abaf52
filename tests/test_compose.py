"""docker-compose.yaml can be started: what it names is there, pinned, on loopback and understood.

No Docker engine runs where tests run. What each program would be given is given to the program
itself, where it is to be had: Plumbline its settings, the made traffic its arguments, Prometheus
its configuration and rules, Alertmanager its routes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import app
from monitor.config import WarmupReference
from monitor.config_file import load
from monitor.demo import produce
from monitor.demo.traffic import PROFILES
from tests.debian import needed

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROVISIONING = ROOT / "grafana" / "provisioning"
services = pytest.mark.parametrize("name", SERVICES)


def settings(name: str) -> dict[str, str]:
    """The environment of a service, as it arrives there."""
    return {key: str(value) for key, value in SERVICES[name]["environment"].items()}


def mounts(name: str) -> dict[str, str]:
    """What a service mounts: target -> a path of the repository, or a volume."""
    found = {}
    for mount in SERVICES[name].get("volumes", []):
        source, target, *options = mount.split(":")
        assert not source.startswith("./") or options == ["ro"], f"{mount} can be written"
        found[target] = source
    return found


def test_everything_is_there() -> None:
    """The issue's six services, and no other."""
    assert list(SERVICES) == [
        "kafka",
        "plumbline",
        "traffic",
        "prometheus",
        "alertmanager",
        "grafana",
    ]


@services
def test_images_are_pinned(name: str) -> None:
    """Every image has a tag that names a whole version, and only ours is built."""
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", image)
    assert ("build" in SERVICES[name]) == (name == "plumbline")
    ours = {"plumbline": "build", "traffic": "never"}  # nobody else's of the same name is pulled
    assert SERVICES[name].get("pull_policy") == ours.get(name)


@services
def test_ports_are_on_loopback(name: str) -> None:
    """Nothing is reachable from other machines."""
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@services
def test_mounted_files_are_there(name: str) -> None:
    """Every mounted path of the repository exists; Docker would make an empty folder of it."""
    for source in mounts(name).values():
        if source.startswith("./"):
            assert (ROOT / source).exists(), f"{name} mounts {source}, which is not there"
        else:
            assert source in COMPOSE["volumes"]


@services
def test_health_is_asked_for(name: str) -> None:
    """Each service says whether it is well: by a healthcheck here, or by its image's own."""
    check = SERVICES[name].get("healthcheck", {})
    assert "test" in check or name in {"plumbline", "traffic"}
    for port in re.findall(r"127\.0\.0\.1:(\d+)", " ".join(check.get("test", []))):
        inside = {each.rpartition(":")[2] for each in SERVICES[name]["ports"]}
        assert port in inside or name == "kafka"


@services
def test_services_wait_for_each_other(name: str) -> None:
    """Dependencies exist, and those waited for to be healthy can say so."""
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        if condition["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]


@services
def test_services_are_confined(name: str) -> None:
    """All but Kafka, which writes beside its data, have a read-only root and no capabilities."""
    service = SERVICES[name]
    confined = (service.get("read_only"), service.get("cap_drop"), service.get("security_opt"))
    assert confined == (
        (None, None, None) if name == "kafka" else (True, ["ALL"], ["no-new-privileges:true"])
    )


def test_plumbline_takes_its_settings() -> None:
    """The environment is a good configuration that reaches the broker and can be scraped."""
    config = load(None, settings("plumbline"))
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{config.kafka.bootstrap_servers}," in listeners
    assert f"127.0.0.1:{config.http.port}:{config.http.port}" in SERVICES["plumbline"]["ports"]
    [scrape] = yaml.safe_load((ROOT / "grafana" / "prometheus.yaml").read_text())["scrape_configs"]
    assert scrape["job_name"] == "plumbline"
    assert scrape["static_configs"] == [{"targets": [f"plumbline:{config.http.port}"]}]


def test_plumbline_may_leave_in_time() -> None:
    """It is killed only after it has had the time that its roles allow themselves."""
    grace = int(SERVICES["plumbline"]["stop_grace_period"].removesuffix("s"))
    assert grace > len(app.ROLES) * app.DRAIN_SECONDS


def test_traffic_takes_its_arguments() -> None:
    """The traffic is made by our own module, and its first phase is long enough for a reference."""
    assert SERVICES["traffic"]["entrypoint"] == ["python", "-m", produce.__name__]
    arguments = produce._parser().parse_args(SERVICES["traffic"]["command"])
    assert arguments.bootstrap == "kafka:9092"
    reference = load(None, settings("plumbline")).reference
    assert isinstance(reference, WarmupReference)
    share = min(profile.share for profile in PROFILES)
    assert arguments.rate * arguments.phase * share > 2 * reference.records


def test_kafka_listens_where_it_says() -> None:
    """Each listener has a protocol, an address to bind, and, but the controller's, one to give."""
    environment = SERVICES["kafka"]["environment"]

    def ports(key: str) -> dict[str, str]:
        parts = (listener.split("://") for listener in environment[key].split(","))
        return {name: address.rpartition(":")[2] for name, address in parts}

    bound, given = ports("KAFKA_LISTENERS"), ports("KAFKA_ADVERTISED_LISTENERS")
    protocols = dict(
        pair.split(":") for pair in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert protocols.keys() == bound.keys()
    assert given == {name: port for name, port in bound.items() if name != "CONTROLLER"}
    assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].endswith(f":{bound['CONTROLLER']}")
    assert SERVICES["kafka"]["ports"] == [f"127.0.0.1:{given['OUTSIDE']}:{given['OUTSIDE']}"]


def test_grafana_is_provisioned() -> None:
    """Datasources are the services of this file, dashboards lie where their provider looks."""
    [sources] = [
        yaml.safe_load(path.read_text()) for path in PROVISIONING.glob("datasources/*.yaml")
    ]
    for source in sources["datasources"]:
        service, port = source["url"].removeprefix("http://").split(":")
        assert f"127.0.0.1:{port}:{port}" in SERVICES[service]["ports"]
    [default] = [source["uid"] for source in sources["datasources"] if source.get("isDefault")]
    assert default == "prometheus"
    [providers] = [
        yaml.safe_load(path.read_text()) for path in PROVISIONING.glob("dashboards/*.yaml")
    ]
    [provider] = providers["providers"]
    folder = ROOT / mounts("grafana")[provider["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).parent == Path(provider["options"]["path"])
    assert "panels" in json.loads((folder / Path(home).name).read_text())


def test_grafana_asks_for_no_login() -> None:
    """Who can reach it looks at once, nobody administrates, and no default password is open."""
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] != "Admin"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"


def placed(name: str, target: str, tmp_path: Path) -> Path:
    """A mounted configuration as the container has it, with the container's paths moved here."""
    root = tmp_path / "root"
    for inside, source in mounts(name).items():
        if source.startswith("./"):
            place = root / inside.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    file = root / target.lstrip("/")
    file.write_text(file.read_text().replace("/etc/", f"{root}/etc/"))
    return file


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("prometheus", ["promtool", "check", "config"]),
        ("alertmanager", ["amtool", "check-config"]),
    ],
)
def test_programs_take_their_configuration(name: str, check: list[str], tmp_path: Path) -> None:
    """Prometheus and Alertmanager read, with their own tools, what they are given."""
    [option] = [word for word in SERVICES[name]["command"] if word.startswith("--config.file=")]
    file = placed(name, option.partition("=")[2], tmp_path)
    command = [needed(check[0]), *check[1:], str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if name == "prometheus":
        assert "1 rule files found" in done.stdout
        assert re.search(r"SUCCESS: [1-9]\d* rules found", done.stdout)


def test_compose_itself_agrees() -> None:
    """Docker's compose finds nothing wrong, where it is installed; the tests above need it not."""
    command = ["docker", "compose", "--file", str(ROOT / "docker-compose.yaml"), "config"]
    if (
        shutil.which("docker") is None
        or subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        return
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
