"""Tests of docker-compose.yaml without a Docker engine: files exist, images are pinned.

The programs themselves check their input: Plumbline its settings, the traffic producer its
arguments, Prometheus its configuration and rules, Alertmanager its routes, nginx its configuration,
with which it signs people in to a real web application.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from monitor import app
from monitor.cli.demo import produce
from monitor.cli.demo.experiment import EFFECT
from monitor.cli.demo.traffic import MODELS
from monitor.cli.main import parser
from monitor.config.load import load
from monitor.config.sections.detection import WarmupReference
from monitor.database.opening import open_store
from monitor.roles import names
from monitor.telemetry.counters.web import WebMetrics
from monitor.web.application import make_application
from monitor.web.context import WebContext
from monitor.web.server.server import WebServer
from monitor.web.sign_in import people
from monitor.web.store.schema import SCHEMA
from tests.debian import needed
from tests.integration.broker import free_ports
from tests.integration.harness import until

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROVISIONING = ROOT / "grafana" / "provisioning"
services = pytest.mark.parametrize("name", SERVICES)


def settings(name: str) -> dict[str, str]:
    """Return the environment of a service as strings."""
    return {key: str(value) for key, value in SERVICES[name]["environment"].items()}


def mounts(name: str) -> dict[str, str]:
    """Return the mounts of a service: target -> path in the repository, or volume."""
    found = {}
    for mount in SERVICES[name].get("volumes", []):
        source, target, *options = mount.split(":")
        assert not source.startswith("./") or options == ["ro"], f"{mount} is writable"
        found[target] = source
    return found


def test_services() -> None:
    """The file has exactly these services."""
    assert list(SERVICES) == [
        "kafka",
        "plumbline",
        "database",
        "schema",
        "web",
        "proxy",
        "traffic",
        "prometheus",
        "alertmanager",
        "grafana",
    ]


def listens(port: int) -> bool:
    """Return whether a server listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@services
def test_images_are_pinned(name: str) -> None:
    """Every image has a full version as its tag, and only Plumbline's are built, each once."""
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+){1,2}(-web)?", image)
    assert ("build" in SERVICES[name]) == (name in {"plumbline", "schema"})
    # do not pull an image of the same name
    policies = {"plumbline": "build", "schema": "build", "traffic": "never", "web": "never"}
    assert SERVICES[name].get("pull_policy") == policies.get(name)


def test_built_images_have_their_target() -> None:
    """A service runs an image whose stage in the Dockerfile has the packages it needs."""
    built = {
        each["image"]: each["build"]["target"] for each in SERVICES.values() if "build" in each
    }
    assert built == {"plumbline:0.1.0": "plumbline", "plumbline:0.1.0-web": "web"}
    assert SERVICES["web"]["image"] == SERVICES["schema"]["image"] == "plumbline:0.1.0-web"
    assert SERVICES["traffic"]["image"] == SERVICES["plumbline"]["image"] == "plumbline:0.1.0"


@services
def test_ports_are_on_loopback(name: str) -> None:
    """All ports are published on the loopback interface only."""
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@services
def test_mounted_files_exist(name: str) -> None:
    """Every mounted path exists; Docker would create an empty folder for a missing one."""
    for source in mounts(name).values():
        if source.startswith("./"):
            assert (ROOT / source).exists(), f"{name} mounts {source}, which does not exist"
        else:
            assert source in COMPOSE["volumes"]


@services
def test_services_have_a_healthcheck(name: str) -> None:
    """Each service has a healthcheck in this file or in its image, except what has no server."""
    check = SERVICES[name].get("healthcheck", {})
    assert "test" in check or name in {"plumbline", "traffic", "schema", "web"}
    assert (check.get("disable") is True) == (name in {"traffic", "schema"})
    for port in re.findall(r"127\.0\.0\.1:(\d+)", " ".join(check.get("test", []))):
        inside = {each.rpartition(":")[2] for each in SERVICES[name]["ports"]}
        assert port in inside or name == "kafka"


@services
def test_services_wait_for_each_other(name: str) -> None:
    """Dependencies exist, and those with the condition `service_healthy` have a healthcheck."""
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        if condition["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        if condition["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "on-failure"  # it ends


@services
def test_services_are_confined(name: str) -> None:
    """All services except Kafka have a read-only root and no capabilities."""
    service = SERVICES[name]
    confined = (service.get("read_only"), service.get("cap_drop"), service.get("security_opt"))
    assert confined == (
        (None, None, None) if name == "kafka" else (True, ["ALL"], ["no-new-privileges:true"])
    )


@pytest.mark.parametrize("name", ["plumbline", "schema", "web"])
def test_plumbline_accepts_its_settings(name: str) -> None:
    """The environment is a valid configuration with the broker's address and the scraped port."""
    config = load(None, settings(name))
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{config.kafka.bootstrap_servers}," in listeners
    assert f"127.0.0.1:{config.http.port}:{config.http.port}" in SERVICES["plumbline"]["ports"]
    [scrape] = yaml.safe_load((ROOT / "grafana" / "prometheus.yaml").read_text())["scrape_configs"]
    assert scrape["job_name"] == "plumbline"
    port = config.http.port
    assert scrape["static_configs"] == [{"targets": [f"plumbline:{port}", f"web:{port}"]}]


@pytest.mark.parametrize("name", ["plumbline", "web"])
def test_roles_have_work(name: str) -> None:
    """The arguments are accepted, no role is idle, and together they run all that have work."""
    arguments = parser().parse_args(SERVICES[name]["command"])
    assert app.active_roles(load(None, settings(name)), arguments.roles) == list(arguments.roles)
    together = ",".join(SERVICES[each]["command"][-1] for each in ("plumbline", "web")).split(",")
    assert together == app.active_roles(load(None, settings("web")), names.ROLES)


def test_the_experiment_is_that_of_the_traffic() -> None:
    """The configured experiment has the name, the variants and the metric of the traffic."""
    [(name, found)] = load(None, settings("plumbline")).experiments.items()
    assert name == EFFECT.experiment
    assert list(found.variants) == [EFFECT.control, EFFECT.treatment]
    assert found.goal.metric == f"score.{EFFECT.score}"


def test_plumbline_reaches_its_database() -> None:
    """Name, account and password of the database are those that the server is created with."""
    store = load(None, settings("web")).store
    url, created = urlsplit(store.url), settings("database")
    assert (url.hostname, url.username) == ("database", created["POSTGRES_USER"])
    assert url.path == f"/{created['POSTGRES_USER']}"  # the server names a database after its owner
    assert store.password is not None
    assert store.password.get_secret_value() == created["POSTGRES_PASSWORD"]
    assert SERVICES["schema"]["command"] == ["db", "upgrade"]


def proxy_file(folder: Path, port: int, upstream: int) -> Path:
    """Write the configuration of the proxy with other ports, and return it."""
    text = COMPOSE["configs"]["proxy"]["content"].replace("$$", "$")
    text = text.replace("listen 9465;", f"listen 127.0.0.1:{port};")
    text = text.replace("http://web:9465", f"http://127.0.0.1:{upstream}")
    file = folder / "nginx.conf"
    file.write_text(text.replace("/tmp/", f"{folder}/"))
    return file


def fetched(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Return status and text of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_the_proxy_signs_people_in(tmp_path: Path) -> None:
    """nginx with this configuration makes a visitor an admin, whatever the visitor claims to be.

    Without the proxy, and from another address than its own, nobody is signed in.
    """
    web = load(None, settings("web")).web
    assert web.proxy is not None
    pages = SERVICES["proxy"]["networks"]["pages"]["ipv4_address"]
    assert web.proxy.networks == (f"{pages}/32",)
    nginx, port = needed("nginx"), free_ports()[0]
    here = web.model_copy(
        update={"proxy": web.proxy.model_copy(update={"networks": ("127.0.0.1/32",)})}
    )
    with open_store(f"sqlite:///{tmp_path / 'web.db'}", None, (SCHEMA,)) as store:
        context = WebContext(store, WebMetrics())
        with WebServer(make_application(context, here), "127.0.0.1", 0, context.stopping) as server:
            assert fetched(server.port, "/")[0] == 401
            file = proxy_file(tmp_path, port, server.port)
            command = [nginx, "-p", str(tmp_path), "-c", str(file), "-g", "daemon off;"]
            with subprocess.Popen(command) as process:
                try:
                    until(lambda: listens(port), "nginx")
                    claims = {"X-Auth-Request-User": "root", "X-Plumbline-Proxy-Secret": "guess"}
                    for headers in ({}, claims):
                        status, text = fetched(port, "/admin", headers)
                        assert (status, "Evaluation" in text) == (200, True)
                    evil = {"Host": "attacker.example"}
                    assert fetched(port, "/admin", evil)[0] == 421
                finally:
                    process.terminate()
        with store.read() as connection:
            assert {person.subject for person in people.listed(connection)} == {"evaluation"}
        away = make_application(WebContext(store, WebMetrics()), web)
        with WebServer(away, "127.0.0.1", 0, context.stopping) as server:
            secret = web.proxy.secret.get_secret_value()
            known = {web.proxy.secret_header: secret, web.proxy.subject_header: "evaluation"}
            assert fetched(server.port, "/admin", known)[0] == 401


def test_grace_period_is_longer_than_a_shutdown() -> None:
    """Plumbline is killed only after the time limits of its roles' shutdown."""
    for name, roles in (("plumbline", len(names.ROLES)), ("web", 1)):
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > roles * app.DRAIN_SECONDS


def test_traffic_accepts_its_arguments() -> None:
    """The producer accepts its arguments, and its first phase is long enough for a reference."""
    assert SERVICES["traffic"]["entrypoint"] == ["python", "-m", produce.__name__]
    arguments = produce._parser().parse_args(SERVICES["traffic"]["command"])
    assert arguments.bootstrap == "kafka:9092"
    reference = load(None, settings("plumbline")).reference
    assert isinstance(reference, WarmupReference)
    share = min(model.share for model in MODELS)
    assert arguments.rate * arguments.phase * share > 2 * reference.records


def test_kafka_listeners_are_consistent() -> None:
    """Each listener has a protocol and a bind address; all but the controller are advertised."""
    environment = SERVICES["kafka"]["environment"]

    def ports(key: str) -> dict[str, str]:
        parts = (listener.split("://") for listener in environment[key].split(","))
        return {name: address.rpartition(":")[2] for name, address in parts}

    bound, advertised = ports("KAFKA_LISTENERS"), ports("KAFKA_ADVERTISED_LISTENERS")
    protocols = dict(
        pair.split(":") for pair in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert protocols.keys() == bound.keys()
    assert advertised == {name: port for name, port in bound.items() if name != "CONTROLLER"}
    assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].endswith(f":{bound['CONTROLLER']}")
    outside = advertised["OUTSIDE"]
    assert SERVICES["kafka"]["ports"] == [f"127.0.0.1:{outside}:{outside}"]


def test_grafana_is_provisioned() -> None:
    """Data sources are services of this file, and dashboards are in the provider's folder."""
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


def test_grafana_requires_no_login() -> None:
    """Anonymous users can view, but not administrate, and password logins are disabled."""
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] != "Admin"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"


def placed(name: str, target: str, tmp_path: Path) -> Path:
    """Copy the mounted files below a folder, and return one with its paths adapted to it."""
    root = tmp_path / "root"
    for inside, source in mounts(name).items():
        if source.startswith("./"):
            path = root / inside.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, path)
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
def test_programs_accept_their_configuration(name: str, check: list[str], tmp_path: Path) -> None:
    """promtool and amtool accept the configurations of Prometheus and Alertmanager."""
    [option] = [word for word in SERVICES[name]["command"] if word.startswith("--config.file=")]
    file = placed(name, option.partition("=")[2], tmp_path)
    command = [needed(check[0]), *check[1:], str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if name == "prometheus":
        assert "1 rule files found" in done.stdout
        assert re.search(r"SUCCESS: [1-9]\d* rules found", done.stdout)


def test_docker_compose_accepts_the_file() -> None:
    """`docker compose config` succeeds if Docker is installed."""
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
